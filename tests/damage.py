"""What a disk does to a file."""

from collections.abc import Iterator
from pathlib import Path


def flip_last_bit(path: Path) -> Path:
    """Change one bit of the last number of a .safetensors file; its header stays what it was."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path


def flip_each_bit(path: Path) -> Iterator[None]:
    """Write the file with one bit changed, for each bit of it in turn; it ends with the last one changed."""
    content = path.read_bytes()
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        yield
