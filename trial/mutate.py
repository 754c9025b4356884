"""Inputs that are nearly right: bytes, texts, JSON values, tensors, arrays, tables and pictures, changed at random."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

TOKENS = (
    "", " ", "-1", "0", "1e308", "1e-320", "nan", "inf", "-inf", "true", "null", "9" * 40, "0x10", "a=1", "a=", "=",
    ",", ",,", ";", "\t", '"', "'", "\n", "\r", "\r\n", "\\", "{", "}", "[", "]", "{}", "[]", "*a", "&a", "!!", "|",
    "%", "#", "\ufeff", "\u2028", "é", "漢", "𝔸", "\x00", "..", "/", "~", "a" * 300, "1,5", "1.000,5", "2020-01-01",
    "00:00", "NA", "None", "label", "text", "x",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, 2**31, 2**63, 10**30, "", "a", "nan", "0", "a" * 300, "\x00", [],
    {}, [[]], [None], [1, "a"], {"a": 1}, {"": None}, [0] * 50,
)  # fmt: skip

KINDS = (
    "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "b1", "c8", "U3", "S3", "M8[s]", "m8[s]", "f16",
)  # fmt: skip


def content(chance: random.Random, given: bytes, other: bytes = b"") -> bytes:
    """Bytes with one to four changes: bits, bytes, tokens, pieces left out, doubled, or of another file; or cut."""
    found = bytearray(given)
    for _ in range(chance.randint(1, 4)):
        size = len(found)
        place, length = chance.randrange(size + 1), chance.choice((1, 2, 4, 8, 64, 512))
        kind = chance.randrange(8)
        if kind == 0 and size:
            found[place % size] ^= 1 << chance.randrange(8)
        elif kind == 1 and size:
            found[place % size] = chance.randrange(256)
        elif kind == 2:
            found[place:place] = chance.choice(TOKENS).encode()
        elif kind == 3:
            del found[place : place + length]
        elif kind == 4:
            found[place:place] = found[place : place + length]
        elif kind == 5 and other:
            start = chance.randrange(len(other))
            found[place : place + length] = other[start : start + length]
        elif kind == 6:
            found[place : place + length] = chance.randbytes(length)
        elif chance.random() < 0.3:
            del found[place:]
    return bytes(found)


def value(chance: random.Random, given: Any) -> Any:
    """A JSON value with a node or two changed: left out, doubled, deepened, or of another kind."""
    found = json.loads(json.dumps(given))
    for _ in range(chance.randint(1, 2)):
        found = _node(chance, found)
    return found


def _node(chance: random.Random, given: Any, depth: int = 0) -> Any:
    inner = isinstance(given, (dict, list)) and len(given) > 0
    if not inner or chance.random() < 0.15:
        kind = chance.randrange(10)
        if kind == 0:
            deep: Any = given
            for _ in range(chance.choice((3, 50, 500))):
                deep = [deep]
            return deep
        if kind == 1 and isinstance(given, (int, float)) and not isinstance(given, bool):
            return -given
        if kind == 2 and isinstance(given, str):
            return given + chance.choice(TOKENS)
        return chance.choice(VALUES)
    keys = list(given) if isinstance(given, dict) else list(range(len(given)))
    key, kind = chance.choice(keys), chance.randrange(8)
    if kind == 0:
        del given[key]
    elif kind == 1 and isinstance(given, list):
        given.append(given[key])
    elif kind == 1:
        given[chance.choice(TOKENS)] = given[key]
    else:
        given[key] = _node(chance, given[key], depth + 1)
    return given


def json_file(chance: random.Random, path: Path, given: bytes) -> None:
    """A JSON file without its hash, changed in its values or in its bytes."""
    if chance.random() < 0.25:
        path.write_bytes(content(chance, given, given))
        return
    plain = json.loads(given)
    if isinstance(plain, dict):
        plain.pop("checksum", None)
    path.write_text(json.dumps(value(chance, plain)))


def safetensors_file(chance: random.Random, path: Path, given: bytes) -> None:
    """A .safetensors file without its hash, changed in its tensors, its metadata or its bytes."""
    if chance.random() < 0.25:
        path.write_bytes(content(chance, given, given))
        return
    path.write_bytes(given)
    tensors = load_file(path)
    header = json.loads(given[8 : 8 + int.from_bytes(given[:8], "little")])
    metadata = {k: v for k, v in header.get("__metadata__", {}).items() if k != "checksum"}
    if tensors and chance.random() < 0.6:
        name = chance.choice(sorted(tensors))
        change = chance.randrange(4)
        if change == 0:
            del tensors[name]
        elif change == 1:
            tensors[chance.choice(TOKENS)] = tensors[name].clone()
        else:
            tensors[name] = tensor(chance, tensors[name])
    if metadata and (chance.random() < 0.6 or not tensors):
        key = chance.choice(sorted(metadata))
        try:
            metadata[key] = json.dumps(value(chance, json.loads(metadata[key])))
        except ValueError:
            metadata[key] = chance.choice(TOKENS)
        if chance.random() < 0.1:
            del metadata[key]
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path, metadata=metadata)


def tensor(chance: random.Random, given: torch.Tensor) -> torch.Tensor:
    """A tensor of another dtype or shape, or with numbers that are odd."""
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool)
    kind = chance.randrange(7)
    if kind == 0:
        return given.to(chance.choice(kinds))
    if kind == 1:
        return given.reshape(-1)
    if kind == 2:
        return given[:0] if given.ndim else given[None]
    if kind == 3:
        return given[None]
    if kind == 4 and given.ndim:
        return torch.cat([given, given])
    if kind == 5:
        return given.sum()
    changed = given.clone().reshape(-1)
    if changed.numel() and changed.is_floating_point():
        odd = chance.choice((float("nan"), float("inf"), 3e38, 1e-45, -1.0, 0.0))
        changed[chance.randrange(changed.numel())] = odd
    elif changed.numel() and changed.dtype != torch.bool:
        changed[chance.randrange(changed.numel())] = chance.choice((-1, 0, 127))
    return changed.reshape(given.shape)


def array(chance: random.Random, rows: int) -> np.ndarray:
    """An array of any kind and shape that needs no pickle."""
    shape = chance.choice(
        ((rows,), (rows, 3), (rows, 4), (rows, 2, 2), (rows, 8, 8), (rows, 4, 4, 3), (0,), (), (rows, 0))
    )
    numbers = np.random.default_rng(chance.getrandbits(32)).integers(0, 5, shape)
    made = numbers.astype(chance.choice(KINDS)) if chance.random() < 0.95 else np.zeros(rows, "i4,f8")
    if made.dtype.kind == "f" and made.size and chance.random() < 0.3:
        made.reshape(-1)[0] = chance.choice((np.nan, np.inf, 6e4, -1.0))
    return made


def npz_file(chance: random.Random, path: Path, given: bytes) -> None:
    """An .npz file with other arrays under known and unknown names, or with changed bytes."""
    if chance.random() < 0.3:
        path.write_bytes(content(chance, given, given))
        return
    rows = chance.choice((0, 1, 2, 12, 30))
    names = (
        "X", "y", "x", "features", "labels", "train_X", "train_y", "test_X", "test_y", "weight", "logits",
        "class_names", "train_features", "ood_features", chance.choice(TOKENS).replace("/", "") or "a",
    )  # fmt: skip
    arrays = {name: array(chance, rows) for name in chance.sample(names, chance.randint(1, 5))}
    if chance.random() < 0.5:
        arrays |= {"X": np.ones((rows, 3), "f4"), "y": np.arange(rows) % 3}
        arrays[chance.choice(("X", "y"))] = array(chance, rows)
    np.savez(path, **arrays)  # type: ignore[arg-type]


def npy_file(chance: random.Random, path: Path, given: bytes) -> None:
    """A .npy file with another array or changed bytes."""
    if chance.random() < 0.4:
        path.write_bytes(content(chance, given, given))
    else:
        np.save(path, array(chance, chance.choice((0, 1, 3, 12))))


def picture(chance: random.Random, kinds: Sequence[str] = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")) -> bytes:
    """An image of any mode and format, often with changed bytes."""
    from PIL import Image

    mode = chance.choice(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16", "LAB"))
    size = chance.choice(((1, 1), (8, 8), (8, 9), (1, 40), (16, 16)))
    image = Image.new(mode, size, chance.choice((0, 1, 5)) if mode in ("1", "L", "P", "I", "F", "I;16") else None)
    file = io.BytesIO()
    try:
        image.save(file, chance.choice(kinds))
    except (OSError, ValueError, KeyError):  # this mode has no such format
        image.convert("RGB").save(file, "PNG")
    return file.getvalue() if chance.random() < 0.3 else content(chance, file.getvalue(), file.getvalue())


Maker = Callable[[random.Random, Path, bytes], None]


def bytes_file(chance: random.Random, path: Path, given: bytes) -> None:
    """Any file with changed bytes."""
    path.write_bytes(content(chance, given, given))
