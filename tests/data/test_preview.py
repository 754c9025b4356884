"""Samples as a page shows them: PNG files that Pillow reads, rows as text, and the budget."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.data import Dataset
from equiangular.data import preview as module
from equiangular.data.preview import png, previews, shrunk


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_is_what_pillow_reads(channels: int) -> None:
    image = torch.randint(0, 256, (channels, 5, 7), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    read = np.asarray(Image.open(io.BytesIO(png(image))))
    wanted = image.permute(1, 2, 0).numpy() if channels == 3 else image[0].numpy()
    np.testing.assert_array_equal(read, wanted)


def test_large_pictures_are_means_over_areas() -> None:
    image = torch.randint(0, 256, (3, 96, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    small = shrunk(image)
    assert small.shape == (3, 48, 24)
    means = image.double().reshape(3, 48, 2, 24, 2).mean((2, 4))
    np.testing.assert_allclose(small.double(), means, atol=0.51)
    assert shrunk(small) is small


def images(number: int) -> Dataset:
    x = torch.randint(0, 256, (number, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    y = torch.arange(number) % 2
    return Dataset("made", x, y, x, y, ("a", "b"), "image", "here")


def test_each_index_once_and_no_more_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    data = images(9)
    found = previews(data, [4, 2, 4])
    assert list(found) == ["4", "2"]
    content = base64.b64decode(found["2"].removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), data.test_x[2, 0].numpy())
    monkeypatch.setattr(module, "BUDGET", len(found["4"]) + len(found["2"]))
    assert list(previews(data, [4, 2, 1, 0])) == ["4", "2"]


def test_vectors_have_nothing_to_show() -> None:
    x, y = torch.eye(2), torch.arange(2)
    assert previews(Dataset("made", x, y, x, y, ("a", "b"), "vectors", "here"), [0]) == {}
