"""Writing files so that nothing is lost: to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from equiangular._extras import require

CACHE_VARIABLE = "EQUIANGULAR_CACHE"
CHECKSUM = "checksum"  # in the metadata of every .safetensors file of this library


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


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: a reader sees all of it or none."""
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file atomically."""
    return write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_json(path: str | Path, value: Any) -> Path:
    """Write JSON atomically; NaN and infinity, which JSON does not have, become null."""
    return write_text(path, json.dumps(json_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: the file is missing or is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error
    except ValueError as error:
        hint = "If this program wrote it, delete it to have it made again."
        raise ValueError(f"{str(path)!r} is not a JSON file ({error}). {hint}") from error


def write_safetensors(
    path: str | Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    *,
    extra: str = "train",
    durable: bool = False,
) -> Path:
    """Write tensors and strings as one .safetensors file with a SHA-256 of both, atomically.

    Args:
        path: the file; its folder must exist.
        tensors: by name, on any device; they may share memory.
        metadata: strings by name.
        extra: of this library, that brings safetensors.
        durable: whether all is on the disk before the old file goes.

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
            if durable:
                file.flush()
                os.fsync(file.fileno())

    return write_atomically(path, write)


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
        raise ValueError(f"{str(path)!r} is not a readable .safetensors file ({error}). {remedy}") from error
    known = metadata.pop(CHECKSUM, None)
    if known is not None and known != tensors_checksum(tensors, metadata):
        raise ValueError(f"{str(path)!r} is damaged: its content has another hash than was written. {remedy}")
    return tensors, metadata


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


def check_npz(path: str | Path) -> None:
    """Raise if a file is no .npz archive: NumPy would take it for a pickle and advise to trust it.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is of another kind.
    """
    with Path(path).open("rb") as handle:
        if not zipfile.is_zipfile(handle):
            raise ValueError("it is no .npz archive, as numpy.savez writes it")


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
