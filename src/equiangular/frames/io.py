"""Frames as safetensors or NumPy files, and a cache of those that take long to build."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._atomic import write_atomically
from equiangular._files import (
    CACHE_VARIABLE,
    DamagedError,
    cache_folder,
    check_output,
    read_json,
    read_numpy,
    read_safetensors,
    write_json,
    write_safetensors,
)
from equiangular.frames.checks import frame_tensor


def cached_frame(
    key: Mapping[str, Any], build: Callable[[], Tensor], *, cache: bool | str | Path = True, stacklevel: int = 2
) -> Tensor:
    """The frame stored under a key, or else the one that ``build`` gives, stored for the next time.

    A file holds the matrix, the key and a SHA-256 of the matrix, as NumPy arrays without pickle. One that is truncated,
    altered or of another key is named by a warning and replaced; a folder that cannot be written costs a warning only.

    Args:
        key: all that defines the frame (sizes, seed, settings, version of the algorithm); JSON-plain values.
        build: gives the (K, d) float32 or float64 frame; it is returned as built, or on the CPU when it was read.
        cache: True for ``$EQUIANGULAR_CACHE`` or the user's cache folder; a folder; or False to build without it.
        stacklevel: as in :func:`warnings.warn`, counted from the caller of this function.
    """
    folder = cache_folder() if cache is True else Path(cache).expanduser() if cache else None
    if folder is None:
        return build()
    text = json.dumps(dict(key), sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    try:
        return _read(path, text)
    except OSError:
        pass  # not there, or not to be read: the attempt to write says why
    except Exception as error:  # a damaged archive raises anything from zipfile.BadZipFile to KeyError
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the cached frame {str(path)!r} is corrupt ({reason}). It is being built again and replaced.",
            stacklevel=stacklevel + 1,
        )
    frame = build()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: _write(temporary, frame, text))
    except OSError as error:
        warnings.warn(
            f"the frame could not be kept in the cache folder {str(folder)!r}: {error.strerror or error}. It is "
            f"returned all the same; set {CACHE_VARIABLE} to a folder that can be written, or pass cache=False.",
            stacklevel=stacklevel + 1,
        )
    return frame


def _write(path: Path, frame: Tensor, key: str) -> None:
    array = frame.detach().cpu().contiguous().numpy()
    header = json.dumps({"key": key, "sha256": _digest(array)})
    with path.open("wb") as handle:
        np.savez(handle, frame=array, header=np.frombuffer(header.encode(), dtype=np.uint8))


def _read(path: Path, key: str) -> Tensor:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        array = archive["frame"]
    if header["key"] != key:
        raise ValueError(f"it holds the frame for {header['key']}")
    if header["sha256"] != _digest(array):
        raise ValueError("its checksum does not match its content")
    return torch.from_numpy(array)


def _digest(array: np.ndarray) -> str:
    described = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(described + np.ascontiguousarray(array).tobytes()).hexdigest()


SUFFIXES = (".npy", ".safetensors")
_KEY = "weight"
_SHA, _NEXT = "sha256 of the frame", "replaced by"  # in what lies beside an .npy file
_NUMPY_DTYPES = (torch.float64, torch.float32, torch.float16)


def save_frame(
    path: str | Path, weight: Tensor | np.ndarray, *, metadata: Mapping[str, str] | None = None, overwrite: bool = False
) -> Path:
    """Write a (K, d) frame and return the path written; the suffix chooses the format.

    Args:
        path: file to write, ``.npy`` or ``.safetensors`` (needs the extra ``[train]``); its folder must exist.
        weight: (K, d) floating-point tensor or array. NumPy has no bfloat16: write it as .safetensors.
        metadata: strings kept inside a .safetensors file, and in ``path + ".json"`` beside an .npy file.
        overwrite: whether existing files (the frame, what lies beside it) may be replaced.

    Raises:
        ValueError: unknown suffix, existing file, missing or unwritable folder, full disk, NaN, a dtype the format
            does not have. A file is replaced whole or not at all.

    Example:
        >>> import tempfile
        >>> from equiangular import simplex_etf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_frame(save_frame(Path(folder) / "f.npy", simplex_etf(3, 2))).shape
        torch.Size([3, 2])
    """
    target = check_target(path, overwrite=overwrite)
    weight = _check_frame(frame_tensor(weight, "the frame to save").detach(), "the frame to save")
    if target.suffix == ".npy" and weight.dtype not in _NUMPY_DTYPES:
        kind = str(weight.dtype).removeprefix("torch.")
        raise ValueError(f"NumPy has no {kind}. Write a .safetensors file, or convert with .float().")
    data = weight.cpu().contiguous()
    kept = {str(k): str(v) for k, v in (metadata or {}).items()}
    try:
        if target.suffix == ".npy":
            _write_pair(target, data.numpy(), kept)
        else:
            write_safetensors(target, {_KEY: data}, kept)
    except OSError as error:
        raise ValueError(
            f"cannot write {str(target)!r}: {error.strerror or error}. Choose another folder, or make room in it."
        ) from error
    return target


def _write_pair(target: Path, array: np.ndarray, kept: Mapping[str, str]) -> None:
    """Write a frame and what lies beside it; wherever this is cut short, the two belong together.

    Two files cannot take their names at once. In between, the one beside has what it says of both frames.
    """
    beside = Path(f"{target}.json")
    described = {**kept, _SHA: _digest(array)}

    def fill(temporary: Path) -> None:
        _save_npy(temporary, array)
        with contextlib.suppress(DamagedError):  # it is to be replaced
            if old := _described(beside):
                write_json(beside, {**old[0], _NEXT: [*old[1:], described]})

    def fill_both(temporary: Path) -> None:  # both have found room before one of them takes its name
        write_json(temporary, described)
        write_atomically(target, fill)

    if kept:
        write_atomically(beside, fill_both)
    else:
        write_atomically(target, fill)
        beside.unlink(missing_ok=True)


def _described(beside: Path) -> list[dict[str, Any]]:
    """What is said beside a frame: of that which was there, and after it of those that may have taken its place."""
    known = read_json(beside, remedy="Write the frame again.") if beside.exists() else None
    if not isinstance(known, dict):
        return []
    after = known.pop(_NEXT, [])
    return [known, *(entry for entry in after if isinstance(entry, dict))] if isinstance(after, list) else [known]


def check_target(path: str | Path, *, overwrite: bool = False) -> Path:
    """The path as :func:`save_frame` takes it, checked as there: worth a call before the frame is computed."""
    target = check_output(path, SUFFIXES, "a frame is written")
    beside = [Path(f"{target}.json")] if target.suffix == ".npy" else []
    for file in (target, *beside):
        if file.exists() and not overwrite:
            raise ValueError(
                f"{str(file)!r} exists. Choose another name, or allow it to be replaced: overwrite=True (--overwrite)."
            )
    return target


def load_frame(path: str | Path) -> Tensor:
    """Read a frame, (K, d) floating point, from a file; it comes back on the CPU in the dtype it was written in.

    Args:
        path: ``.npy``, or ``.safetensors`` (needs the extra ``[train]``) with one tensor or one called ``weight``.

    Raises:
        ValueError: the file is missing, unreadable, of an unknown suffix, or holds no (K, d) floating-point matrix.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/f.npy", np.eye(3))
        ...     load_frame(f"{folder}/f.npy").dtype
        torch.float64
    """
    source = Path(path).expanduser()
    suffix = source.suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"a frame file ends in {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    if suffix == ".npy":
        array = read_numpy(source)["x"]
        try:
            weight = torch.from_numpy(array)
        except (TypeError, ValueError) as error:  # a kind of numbers that PyTorch lacks
            raise ValueError(f"{str(source)!r} is no frame ({error}). Write it again.") from error
        beside = Path(f"{source}.json")
        entries, digest = _described(beside), _digest(array)
        if entries and all(entry.get(_SHA, digest) != digest for entry in entries):
            raise ValueError(f"{str(source)!r} is damaged: {beside.name!r} has another hash of it. Write it again.")
    else:
        tensors, _ = read_safetensors(source, remedy="Write it again.")
        if _KEY not in tensors and len(tensors) != 1:
            names = ", ".join(map(repr, sorted(tensors))) or "nothing"
            raise ValueError(f"{str(source)!r} holds {names}: which is the frame? Name it {_KEY!r} in the file.")
        weight = tensors[_KEY] if _KEY in tensors else next(iter(tensors.values()))
    return _check_frame(weight, repr(str(source)))


def _check_frame(weight: Tensor, what: str) -> Tensor:
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ValueError(f"{what} holds {weight.dtype} of shape {tuple(weight.shape)}, not a floating (K, d) frame.")
    if not torch.isfinite(weight).all():
        raise ValueError(f"{what} has NaN or infinite values. Make the frame again.")
    return weight


def _save_npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as handle:  # to a name, NumPy would append ".npy"
        np.save(handle, array, allow_pickle=False)
