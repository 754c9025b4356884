"""Files of this library: JSON and safetensors with a hash of their content, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from equiangular._atomic import write_atomically
from equiangular._extras import require
from equiangular._guarded import parse_json

CACHE_VARIABLE = "EQUIANGULAR_CACHE"
CHECKSUM = "checksum"  # in every JSON object, and in the metadata of every .safetensors file, of this library
_JSON_CHECKSUM = re.compile("sha256:[0-9a-f]{64}")


def user_folder() -> Path:
    """Where this library keeps what can be made or fetched again: ``equiangular`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "equiangular"


def cache_folder() -> Path | None:
    """``$EQUIANGULAR_CACHE``, or :func:`user_folder`; None where the variable is ``off``.

    Example:
        >>> cache_folder() is not None or os.environ[CACHE_VARIABLE].lower() == "off"
        True
    """
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    return Path(chosen).expanduser() if chosen else user_folder()


class DamagedError(ValueError):
    """A file whose content is not what was written, or that cannot be read at all."""


def prepare_folder(path: str | Path) -> Path:
    """Create a folder if need be and make sure it can be written to.

    Raises:
        ValueError: it cannot be created or written; the message says why and what to do.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write to the output folder {str(folder)!r}: {error.strerror or error}. "
            "Choose another one with --output, or change its permissions."
        ) from error
    return folder


def check_output(path: str | Path, suffixes: Collection[str], what: str) -> Path:
    """The path, with ``~`` expanded, where ``what`` can be written.

    Raises:
        ValueError: another suffix, or a folder that does not exist.
    """
    target = Path(path).expanduser()
    if target.suffix not in suffixes:
        raise ValueError(f"{what} to a file that ends in {' or '.join(suffixes)}, got {str(path)!r}.")
    if not target.parent.is_dir():
        raise ValueError(f"the folder {str(target.parent)!r} does not exist. Create it, or choose another one.")
    return target


def write_text(path: str | Path, text: str, *, durable: bool = False) -> Path:
    """Write a UTF-8 text file atomically."""
    return write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), durable=durable)


def write_json(path: str | Path, value: Any, *, durable: bool = False) -> Path:
    """Write JSON atomically; NaN and infinity, which JSON does not have, become null.

    An object gets its SHA-256 as a last entry ``"checksum"``, which :func:`read_json` compares and takes away.
    """
    plain = json_plain(value)
    if isinstance(plain, dict):
        plain = {**plain, CHECKSUM: json_checksum(plain)}
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(path, text, durable=durable)


def read_json(path: str | Path, *, remedy: str = "If this program wrote it, delete it to have it made again.") -> Any:
    """Read a JSON file; an object that this library wrote is compared with its hash.

    Raises:
        ValueError: the file is missing, is not JSON or was changed; the message names it and ends in ``remedy``.
    """
    try:
        value = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DamagedError(f"{str(path)!r} is not a JSON file ({error}). {remedy}") from error
    known = value.get(CHECKSUM) if isinstance(value, dict) else None
    if isinstance(known, str) and _JSON_CHECKSUM.fullmatch(known):
        del value[CHECKSUM]
        if known != json_checksum(value):
            raise DamagedError(f"{str(path)!r} is damaged: its content has another hash than was written. {remedy}")
    return value


def json_checksum(value: Mapping[str, Any]) -> str:
    """SHA-256 of JSON-plain values, whatever the order of their keys.

    Example:
        >>> json_checksum({"a": 1, "b": 2}) == json_checksum({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def write_safetensors(
    path: str | Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    *,
    extra: str = "train",
    durable: bool = False,
    before: str | Path | None = None,
) -> Path:
    """Write tensors and strings as one .safetensors file with a SHA-256 of both, atomically.

    Args:
        path: the file; its folder must exist.
        tensors: by name, on any device; they may share memory.
        metadata: strings by name.
        extra: of this library, that brings safetensors.
        durable, before: as for :func:`equiangular._atomic.write_atomically`.

    Raises:
        OSError: it cannot be written; a file that was there is unharmed.
        ImportError: safetensors is missing.
    """
    library = require("safetensors.torch", extra=extra, purpose="Writing a .safetensors file")
    plain, memory = {}, set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if (place := value.untyped_storage().data_ptr()) in memory:
            value = value.clone()  # the format wants tensors that share no memory
        memory.add(place)
        plain[name] = value
    kept = dict(metadata or {})
    # Through bytes: every failure to write is then an OSError.
    content = library.save(plain, metadata={**kept, CHECKSUM: tensors_checksum(plain, kept)})
    header, begin = _header_in_order(content)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(header)
            file.write(memoryview(content)[begin:])

    return write_atomically(path, write, durable=durable, before=before)


def read_safetensors(path: str | Path, *, remedy: str, extra: str = "train") -> tuple[dict[str, Any], dict[str, str]]:
    """All tensors of a .safetensors file by name, and its metadata; what this library wrote is compared with its hash.

    Files of other programs, and of this one before it wrote hashes, have none: they are taken as they are.

    Raises:
        ValueError: a file that is missing, damaged or of another kind; the message ends in ``remedy``.
        ImportError: safetensors is missing.
    """
    safetensors = require("safetensors", extra=extra, purpose="Reading a .safetensors file")
    try:
        with safetensors.safe_open(str(path), framework="pt") as archive:
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 -- no mapping
            metadata = archive.metadata() or {}
    except FileNotFoundError as error:
        raise ValueError(f"{str(path)!r} does not exist. Check the path.") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise DamagedError(f"{str(path)!r} is not a readable .safetensors file ({error}). {remedy}") from error
    known = metadata.pop(CHECKSUM, None)
    if known is not None and known != tensors_checksum(tensors, metadata):
        raise DamagedError(f"{str(path)!r} is damaged: its content has another hash than was written. {remedy}")
    return tensors, metadata


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    hasher = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(2**20):
            hasher.update(block)
    return hasher.hexdigest()


def tensors_checksum(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, dtypes, shapes and values of CPU tensors, and of strings beside them, in hexadecimal."""
    import torch

    hasher = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"\n{name!r} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():  # an empty one may have strides that no view takes
            hasher.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _header_in_order(content: bytes) -> tuple[bytes, int]:
    """The header of a .safetensors file with its metadata in order, and where its tensors begin.

    The library writes metadata in an order that changes from call to call; so the same content has the same bytes.
    """
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text, begin


def read_numpy(path: str | Path, *, remedy: str = "Write it again.") -> dict[str, Any]:
    """All arrays of an ``.npz`` file by name, or the one of a ``.npy`` file as ``"x"``; pickled objects are refused.

    Raises:
        ValueError: the file is missing; or it cannot be read, or is of another kind, which NumPy would take for a
            pickle and advise to trust; the message ends in ``remedy``.
    """
    import numpy as np

    file = Path(path)
    try:
        with file.open("rb") as handle:  # NumPy would leave one of its own open where zipfile gives up
            if file.suffix.lower() == ".npy":
                if handle.read(6) != np.lib.format.MAGIC_PREFIX:
                    raise ValueError("it is no .npy file, as numpy.save writes it")
                handle.seek(0)
                return {"x": np.load(handle, allow_pickle=False)}
            if not zipfile.is_zipfile(handle):
                raise ValueError("it is no .npz archive, as numpy.savez writes it")
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        if foreign := next((key for key, value in arrays.items() if not isinstance(value, np.ndarray)), None):
            raise ValueError(f"{foreign!r} in it is no array")
        return arrays
    except FileNotFoundError as error:
        raise ValueError(f"{str(file)!r} does not exist. Check the path.") from error
    except MemoryError as error:
        reason = f"it says that it holds more than fits into memory ({error})"
    except Exception as error:  # NumPy raises many kinds for a file that is not its own, and zipfile others
        reason = str(error)
    raise DamagedError(f"{str(file)!r} is not a readable {file.suffix} file ({reason}). {remedy}")


def json_plain(value: Any) -> Any:
    """Numbers, arrays and tensors as plain Python values; NaN and infinity as None.

    Example:
        >>> json_plain({"a": (1, float("nan"))})
        {'a': [1, None]}
    """
    if isinstance(value, dict):
        return {str(k): json_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return json_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
