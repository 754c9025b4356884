"""Frames in files: .npy and .safetensors, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._files import write_atomically

SUFFIXES = (".npy", ".safetensors")
_KEY = "weight"


def save_frame(
    path: str | Path, weight: Tensor, *, metadata: Mapping[str, str] | None = None, overwrite: bool = False
) -> Path:
    """Write a (K, d) frame; the suffix chooses the format.

    Args:
        path: file to write, ``.npy`` or ``.safetensors`` (needs the extra ``[train]``); its folder must exist.
        weight: (K, d) floating-point tensor. NumPy has no bfloat16: write it as .safetensors.
        metadata: strings kept inside a .safetensors file, and in ``path + ".json"`` beside an .npy file.
        overwrite: whether an existing file may be replaced.

    Returns:
        The path written.

    Raises:
        ValueError: unknown suffix, existing file, missing or unwritable folder, a dtype the format does not have.

    Example:
        >>> import tempfile
        >>> from equiangular import simplex_etf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_frame(save_frame(Path(folder) / "f.npy", simplex_etf(3, 2))).shape
        torch.Size([3, 2])
    """
    target = Path(path)
    suffix = _suffix(target)
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(f"a frame is a floating (K, d) matrix, got {weight.dtype} of shape {tuple(weight.shape)}.")
    if target.exists() and not overwrite:
        raise ValueError(f"{str(target)!r} exists. Choose another name, or allow it to be replaced with overwrite.")
    if not target.parent.is_dir():
        raise ValueError(f"the folder {str(target.parent)!r} does not exist. Create it, or choose another one.")
    data = weight.detach().cpu().contiguous()
    try:
        if suffix == ".npy":
            if data.dtype == torch.bfloat16:
                raise ValueError("NumPy has no bfloat16. Write a .safetensors file, or convert with .float().")
            # NumPy appends ".npy" to a name without it; a handle keeps the temporary name as it is.
            write_atomically(target, lambda p: _save_npy(p, data.numpy()))
            if metadata:
                text = json.dumps(dict(metadata), indent=1, sort_keys=True)
                write_atomically(Path(f"{target}.json"), lambda p: p.write_text(text + "\n", encoding="utf-8"))
        else:
            torch_format = require("safetensors.torch", extra="train", purpose="Writing a .safetensors file")
            kept = {str(k): str(v) for k, v in (metadata or {}).items()}
            write_atomically(target, lambda p: torch_format.save_file({_KEY: data}, str(p), metadata=kept))
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    return target


def load_frame(path: str | Path) -> Tensor:
    """Read a (K, d) frame from a .npy or .safetensors file; it comes back on the CPU in the dtype it was written in.

    Raises:
        ValueError: the file is missing, unreadable, of an unknown suffix, or holds no (K, d) floating-point matrix.
    """
    source = Path(path)
    suffix = _suffix(source)
    try:
        if suffix == ".npy":
            weight = torch.from_numpy(np.load(source, allow_pickle=False))
        else:
            torch_format = require("safetensors.torch", extra="train", purpose="Reading a .safetensors file")
            tensors = torch_format.load_file(str(source))
            weight = tensors[_KEY] if _KEY in tensors else next(iter(tensors.values()))
    except FileNotFoundError as error:
        raise ValueError(f"{str(source)!r} does not exist.") from error
    except ImportError:
        raise
    except Exception as error:  # NumPy and safetensors raise many kinds for a file that is not theirs
        raise ValueError(f"{str(source)!r} is not a readable {suffix} file ({error}). Write it again.") from error
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(f"{str(source)!r} holds {weight.dtype} of shape {tuple(weight.shape)}, not a (K, d) frame.")
    return weight


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a frame file ends in {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    return path.suffix


def _save_npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)
