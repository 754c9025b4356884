"""Values of more than 8 bits keep at least half of the 256 steps, whatever their largest; no bit is lost before."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.image_files import png16, tiff16

from equiangular.data.depth import is_wide, span_of, to_bytes
from equiangular.data.encoded import ImageSource, read_images
from equiangular.data.images import decode_one, shown_size


@pytest.mark.parametrize("highest", [200, 255, 256, 600, 4000, 4096, 50_000, 65_535, 65_536, 66_500, 10**6, 2**31 - 1])
def test_whole_numbers_are_not_lost_between_depths(highest: int) -> None:
    low, high = span_of(0, highest, "int")
    assert low == 0
    assert highest <= high < max(2 * highest, 256)
    values = np.linspace(0, highest, 512).astype(np.int64)[None]
    bytes_ = to_bytes(values)
    assert len(np.unique(bytes_)) >= min(128, highest + 1)
    assert (np.diff(bytes_[0].astype(int)) >= 0).all()


def expected(values: np.ndarray, *, bits: int = 12) -> np.ndarray:
    """(H, W, 3): the upper 8 of ``bits``, white where opacity is 0."""
    grey = values.shape[2] < 3
    colours = np.broadcast_to(values[..., : 1 if grey else 3] >> (bits - 8), (*values.shape[:2], 3))
    return np.where(values[..., -1:] == 0, 255, colours) if values.shape[2] in (2, 4) else colours


def pixels(channels: int, highest: int = 4095) -> np.ndarray:
    """(5, 7, C) of 12 bits; the last of 2 and 4 channels is opacity, all or nothing."""
    rng = np.random.default_rng(channels)
    values = rng.integers(0, highest + 1, (5, 7, channels)).astype(np.uint16)
    values[0, 0, 0] = highest
    if channels in (2, 4):
        values[..., -1] = rng.choice([0, 65535], (5, 7))
        values[0, 0, -1] = 65535
    return values


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_all_bits_of_a_png_count(channels: int, orientation: int) -> None:
    """Pillow has no mode for 16-bit colours, and gives the upper bytes: of 12-bit values, 16 steps."""
    values = pixels(channels)
    exif = b"MM\0*\0\0\0\x08" + b"\0\x01" + bytes.fromhex(f"0112 0003 00000001 {orientation:04x} 0000 00000000")
    blob = png16(values, (b"eXIf", exif)) if orientation > 1 else png16(values)
    turned = np.rot90(expected(values), {1: 0, 3: 2, 6: -1}[orientation])
    np.testing.assert_array_equal(decode_one(blob, size=None), turned)
    with Image.open(io.BytesIO(blob)) as image:
        assert is_wide(image)
        assert shown_size(image) == turned.shape[1::-1]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_all_bits_of_a_tiff_count(channels: int, order: str, compressed: bool, orientation: int) -> None:
    values = pixels(channels)
    blob = tiff16(values, order, compressed=compressed, orientation=orientation)
    turned = np.rot90(expected(values), -1 if orientation == 6 else 0)
    np.testing.assert_array_equal(decode_one(blob, size=None), turned)
    with Image.open(io.BytesIO(blob)) as image:
        assert is_wide(image)
        assert shown_size(image) == turned.shape[1::-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_value_that_stands_for_nothing_is_white(channels: int) -> None:
    values = pixels(channels)
    clear = values[2, 3]
    blob = png16(values, (b"tRNS", clear.astype(">u2").tobytes()))
    gone = (values == clear).all(2)
    assert gone.any()
    np.testing.assert_array_equal(decode_one(blob, size=None), np.where(gone[..., None], 255, expected(values)))


def test_the_range_of_colours_is_that_of_the_set() -> None:
    """One of 12 bits among those of 8: all are read as of 12 bits, grey and colours alike."""
    dark, bright = pixels(3, 255), pixels(1)
    read = read_images([ImageSource([png16(dark), png16(bright)], "demo")], size=None, memory="memory")
    assert read.notes == ["images of more than 8 bits: values from 0 to 4095 become 0 to 255"]
    for found, values in zip(read.inputs[0], (dark, bright), strict=True):
        np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), expected(values))
    alone = read_images([ImageSource([png16(dark)], "demo")], size=None, memory="memory")
    np.testing.assert_array_equal(alone.inputs[0][0].permute(1, 2, 0).numpy(), dark)
