"""Encoded images against the same images decoded at once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.data import Dataset, load_dataset
from equiangular.data.encoded import EncodedImages, streams
from equiangular.data.images import decode_images
from equiangular.data.split import select, stream_batches


def blob(array, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def blobs():
    random = np.random.default_rng(0)
    shapes = [(9, 9, 3), (7, 12, 3), (20, 5, 3), (9, 9), (3, 30), (16, 16, 3), (1, 1, 3)]
    return [blob(random.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="module")
def images(blobs):
    return EncodedImages(blobs, size=8, where="demo")


@pytest.fixture(scope="module")
def pixels(blobs):
    return torch.from_numpy(decode_images(blobs, size=8, where="demo"))


def test_it_is_like_the_decoded_tensor(images, pixels):
    assert (images.shape, images.dtype, images.ndim, len(images)) == (pixels.shape, pixels.dtype, 4, 7)
    for index in (
        torch.tensor([5, 0, 5]),
        torch.arange(7),
        [2, 1],
        np.array([3]),
        slice(1, 6, 2),
        -1,
        torch.tensor(4),
        torch.tensor([], dtype=torch.int64),
    ):
        assert torch.equal(images[index], pixels[index]), index
        assert images[index].is_contiguous()


def test_a_selection_stays_encoded(images, pixels, monkeypatch):
    chosen = torch.tensor([6, 2, 2, 0])
    with monkeypatch.context() as patch:
        patch.setattr("equiangular.data.encoded.decode_image", lambda *a, **k: pytest.fail("decoded"))
        part = select(select(images, chosen), torch.tensor([3, 1]))
    assert (len(part), part.shape) == (2, torch.Size([2, 3, 8, 8]))
    assert torch.equal(part[:], pixels[[0, 2]])
    assert len(images) == 7
    assert torch.equal(select(pixels, chosen), pixels[chosen])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_asked(images, pixels, workers):
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    batches = [order[:3], order[3:4], order[4:], torch.tensor([1, 1])]
    state = torch.get_rng_state()
    asked = []

    def ask():
        for batch in batches:
            asked.append(batch)
            yield batch

    found = list(stream_batches(images, ask(), workers))
    assert len(asked) == 4
    assert torch.equal(torch.get_rng_state(), state)
    for batch, result in zip(batches, found, strict=True):
        assert torch.equal(result, pixels[batch])
    for result, expected in zip(stream_batches(pixels, batches), found, strict=True):
        assert torch.equal(result, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corrupt_image_is_named(blobs, workers):
    images = EncodedImages([*blobs, blobs[0][:50]], size=8, where="demo.parquet")
    batches = stream_batches(images, [torch.tensor([1]), torch.tensor([0, 7])], workers)
    assert next(batches).shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"^demo\.parquet: row 8 is not an image that can be read"):
        next(batches)


def test_without_size_all_must_have_the_first_one_s(blobs):
    images = EncodedImages([blobs[0], blobs[3], blobs[1]], size=None, where="demo", names=["a", "b", "c"])
    assert images.shape == (3, 3, 9, 9)
    assert images[:2].shape == (2, 3, 9, 9)
    with pytest.raises(ValueError, match=r"demo: c has size 7 x 12, the ones before 9 x 9.*need size=32"):
        images[2]


def test_files_are_read_when_needed(tmp_path, blobs, pixels):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, data in zip(files, blobs, strict=False):
        file.write_bytes(data)
    images = EncodedImages(files, size=8, where="folder", names=["0", "1", "2"])
    assert torch.equal(images[:], pixels[:3])
    files[1].unlink()
    with pytest.raises(ValueError, match=r"0?1 cannot be read from '.*1\.png': No such file"):
        images[:]


def test_orientation_transparency_and_sixteen_bits():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise
    turned = decode_images([blob(array, exif=exif)], where="demo")
    np.testing.assert_array_equal(turned[0, 0], np.rot90(array, -1))
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 1] = (10, 20, 30, 255)
    np.testing.assert_array_equal(decode_images([blob(rgba)], where="demo")[0, :, 0].T, [[255, 255, 255], [10, 20, 30]])
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_images([blob(deep)], where="demo")[0, 0], [[0, 0, 1, 255]])


def test_auto_streams_what_is_large(blobs, monkeypatch):
    assert not streams("auto", 1000, blobs[0], 32)
    assert streams("auto", 100_000, blobs[0], 224)
    assert streams("auto", 4 * 2**30 // (3 * 9 * 9) + 1, blobs[0], None)
    assert not streams("memory", 10**9, blobs[0], 224)
    assert streams("stream", 1, b"junk", None)
    with pytest.raises(ValueError, match=r"memory must be one of .*'stream', got 'streams'; did you mean 'stream'"):
        streams("streams", 1, None, 8)


def test_data_sets_stream(tmp_path, blobs, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    for part, name in ((p, n) for p in ("train", "test") for n in ("ant", "bee")):
        (tmp_path / part / name).mkdir(parents=True)
        for i, data in enumerate(blobs):
            (tmp_path / part / name / f"{i}.png").write_bytes(data)
    memory, stream = (load_dataset(tmp_path, size=8, memory=m) for m in ("memory", "stream"))
    assert isinstance(stream, Dataset)
    assert isinstance(stream.train_x, EncodedImages)
    assert stream.input_shape == memory.input_shape == (3, 8, 8)
    for part in ("train", "test"):
        assert torch.equal(getattr(stream, f"{part}_x")[:], getattr(memory, f"{part}_x"))
        assert torch.equal(getattr(stream, f"{part}_y"), getattr(memory, f"{part}_y"))
    monkeypatch.setattr("equiangular.data.encoded.AUTO_LIMIT", 28 * 3 * 64 - 1)
    assert isinstance(load_dataset(tmp_path, size=8).test_x, EncodedImages)
    monkeypatch.setattr("equiangular.data.encoded.AUTO_LIMIT", 28 * 3 * 64)
    assert isinstance(load_dataset(tmp_path, size=8).test_x, torch.Tensor)


def test_a_file_without_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ValueError, match=r"cannot be read from '.*a\.png': Permission denied"):
        EncodedImages([tmp_path / "a.png"], size=8, where="folder")[0]


def test_no_images():
    with pytest.raises(ValueError, match="demo holds no images"):
        EncodedImages([], size=8, where="demo")


def test_a_size_beyond_the_limit_is_refused_before_anything_is_decoded(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (4 + i, 4), (i, 2, 3)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(ValueError, match=r"size=9999999 makes images of .* pixels, .* at most size=11585"):
        load_dataset(tmp_path, size=9_999_999)
