"""A disk cache for frames that cost minutes: one file each, named by the hash of what defines the frame."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._files import CACHE_VARIABLE, cache_folder, write_atomically


def cached_frame(
    key: Mapping[str, Any], build: Callable[[], Tensor], *, cache: bool | str | Path = True, stacklevel: int = 2
) -> Tensor:
    """The frame stored under a key, or else the one that ``build`` gives, stored for the next time.

    A file holds the matrix, the key and a SHA-256 of the matrix, as NumPy arrays without pickle. It is written to a
    temporary name and renamed. A file that is truncated, altered or belongs to another key is reported by a warning
    that names it, built again and replaced; a folder that cannot be written costs a warning, never the result.

    Args:
        key: all that defines the frame (sizes, seed, settings, version of the algorithm); JSON-plain values.
        build: gives the (K, d) float32 or float64 frame.
        cache: True for ``$EQUIANGULAR_CACHE`` or the user's cache folder; a folder; or False to build without looking
            or storing.
        stacklevel: as in :func:`warnings.warn`, counted from the caller of this function.

    Returns:
        (K, d) on the CPU when it was read; as built otherwise.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = cached_frame({"name": "axes"}, lambda: torch.eye(2), cache=folder)
        ...     torch.equal(cached_frame({"name": "axes"}, lambda: torch.zeros(2, 2), cache=folder), first)
        True
    """
    folder = cache_folder() if cache is True else Path(cache).expanduser() if cache else None
    if folder is None:
        return build()
    text = json.dumps(dict(key), sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    found = None
    try:
        found = _read(path, text)
    except OSError:
        pass  # not there, or not to be read: the attempt to write says why
    except Exception as error:  # a damaged archive raises anything from zipfile.BadZipFile to KeyError
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the cached frame {str(path)!r} is corrupt ({reason}). It is being built again and replaced.",
            stacklevel=stacklevel + 1,
        )
    if found is not None:
        return found
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
