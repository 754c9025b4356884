"""Samples of a data set as a page can show them: small pictures, or the values of a row."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable

import torch
from torch import Tensor

from equiangular.data.base import Dataset

SIZE = 48  # pixels on the longer side of a picture
BUDGET = 700_000  # characters of all previews together
_COLUMNS = 8


def previews(dataset: Dataset, indices: Iterable[int]) -> dict[str, str]:
    """Test samples by their index, as ``data:image/png`` of at most 48 pixels a side, or as the values of a row.

    Samples are left out when 700,000 characters are full, so the first ones matter most. Texts that are features by
    now, and vectors, have nothing to show.

    Args:
        dataset: images or a table.
        indices: positions in the test part.

    Example:
        >>> x, y = torch.tensor([[1.0, 2.0], [3.0, 4.5]]), torch.tensor([0, 1])
        >>> data = Dataset("demo", x, y, x, y, ("a", "b"), "table", "made up", columns=("width", "height"))
        >>> previews(data, [1])
        {'1': 'width 3, height 4.5'}
    """
    found: dict[str, str] = {}
    left = BUDGET
    for index in dict.fromkeys(indices):
        if dataset.kind == "image":
            shown = f"data:image/png;base64,{base64.b64encode(png(shrunk(dataset.test_x[index]))).decode()}"
        elif dataset.kind == "table" and dataset.columns:
            values = torch.as_tensor(dataset.test_x[index]).tolist()
            named = list(zip(dataset.columns, values, strict=False))[:_COLUMNS]
            shown = ", ".join(f"{name} {value:.4g}" for name, value in named)
        else:
            return {}
        if (left := left - len(shown)) < 0:
            break
        found[str(index)] = shown
    return found


def shrunk(image: Tensor) -> Tensor:
    """An image (C, H, W) uint8 of at most :data:`SIZE` pixels a side, by the mean over areas."""
    height, width = image.shape[1:]
    if max(height, width) <= SIZE:
        return image
    scale = SIZE / max(height, width)
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    small = torch.nn.functional.interpolate(image[None].float(), size, mode="area")[0]
    return small.round().clamp(0, 255).to(torch.uint8)


def png(image: Tensor) -> bytes:
    """An image (C, H, W) uint8 as a PNG file, grey for one channel and colour for three.

    Eight bits a channel, no filter, deflated: ISO/IEC 15948, sections 5 and 10.
    """
    channels, height, width = image.shape
    if channels not in (1, 3):  # of two or of more than three channels the first, as grey
        image, channels = image[:1], 1
    rows = image.permute(1, 2, 0).reshape(height, -1).contiguous().cpu().numpy()
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
