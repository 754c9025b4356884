"""What a disk does to a file."""

from pathlib import Path


def flip_last_bit(path: Path) -> Path:
    """Change one bit of the last number of a .safetensors file; its header stays what it was."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path
