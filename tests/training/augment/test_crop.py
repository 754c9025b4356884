"""Crops, mirror images and cutout against plain loops and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from equiangular.training.augment.operations import gather_pixels
from equiangular.training.augment.steps import Crop, Cutout, Flip, ResizedCrop


@pytest.mark.parametrize(("outside", "mode"), [("zero", "constant"), ("edge", "replicate")])
def test_crop_is_a_slice_of_the_padded_image(images, outside, mode):
    crop = Crop(3, outside)
    offsets = torch.tensor([[-3, -3], [3, 3], [0, 0], [1, -2], [-3, 2]])
    padded = F.pad(images.float(), (3, 3, 3, 3), mode=mode).to(torch.uint8)
    found = crop.apply(images, offsets)
    for image, (top, left), result in zip(padded, offsets.tolist(), found, strict=True):
        assert torch.equal(result, image[:, 3 + top : 23 + top, 3 + left : 27 + left])


def test_crop_draws_every_offset():
    drawn = Crop(2).draw(2000, (3, 8, 8), torch.Generator().manual_seed(0))
    counts = np.bincount(((drawn[:, 0] + 2) * 5 + drawn[:, 1] + 2).numpy(), minlength=25)
    assert counts.sum() == 2000
    assert counts.min() > 40  # 80 expected, 9 is the deviation
    assert Crop().draw(500, (3, 32, 32), torch.Generator()).abs().max() == 4
    assert Crop().draw(50, (3, 5, 5), torch.Generator()).abs().max() == 1


def test_gather_takes_one_pixel_for_each():
    images = torch.arange(24).view(1, 2, 3, 4)
    rows, columns = torch.tensor([[[2, 0], [3, 1]]]), torch.tensor([[[3, -1], [0, 2]]])
    assert gather_pixels(images, rows, columns).tolist() == [[[[11, 0], [0, 6]], [[23, 0], [0, 18]]]]
    assert gather_pixels(images, rows, columns, outside="edge").tolist() == [[[[11, 0], [8, 6]], [[23, 12], [20, 18]]]]


def test_flip(images):
    which = torch.tensor([True, False, True, False, True])
    found = Flip().apply(images, which)
    for image, result, flipped in zip(images.numpy(), found.numpy(), which.tolist(), strict=True):
        np.testing.assert_array_equal(result, np.flip(image, 2) if flipped else image)
    share = Flip(0.2).draw(4000, (3, 8, 8), torch.Generator().manual_seed(0)).float().mean()
    assert 0.17 < share < 0.23


def test_cutout_hides_a_square(images):
    centres = [(0, 0), (19, 23), (10, 12), (3, 20), (18, 1)]
    found = Cutout(6).apply(images, torch.tensor(centres))
    for image, (row, column), result in zip(images.clone(), centres, found, strict=True):
        for y in range(max(0, row - 3), min(20, row + 3)):
            for x in range(max(0, column - 3), min(24, column + 3)):
                image[:, y, x] = 128
        assert torch.equal(result, image)
    hidden = Cutout().apply(torch.zeros(1, 1, 32, 32, dtype=torch.uint8), torch.tensor([[16, 16]]))
    assert int((hidden == 128).sum()) == 16 * 16  # half the height by default: the publication's 16 of 32
    assert (Cutout().draw(500, (3, 4, 6), torch.Generator()).amax(0) == torch.tensor([3, 5])).all()


def test_resized_crop_equals_pillow(images):
    parts = torch.tensor([[0, 0, 20, 24], [2, 3, 10, 12], [5, 1, 15, 7], [0, 4, 3, 20], [19, 23, 1, 1]])
    found = ResizedCrop().apply(images, parts)
    for image, (top, left, h, w), result in zip(images, parts.tolist(), found, strict=True):
        part = Image.fromarray(image.permute(1, 2, 0).numpy()).crop((left, top, left + w, top + h))
        resized = part.resize((24, 20), Image.Resampling.BILINEAR)
        assert (torch.from_numpy(np.asarray(resized).astype(int)) - result.permute(1, 2, 0).int()).abs().max() <= 1
    assert torch.equal(found[0], images[0])


def test_resized_crop_draws_shares_and_ratios():
    top, left, h, w = ResizedCrop(0.25).draw(4000, (3, 64, 64), torch.Generator().manual_seed(0)).T
    assert (top >= 0).all() & (left >= 0).all() & (top + h <= 64).all() & (left + w <= 64).all()
    area, ratio = (h * w).double() / 64**2, w.double() / h.double()
    assert 0.24 < area.min() < 0.27 < 0.9 < area.max()
    assert 0.72 < ratio.min() < 0.78 < 1.28 < ratio.max() < 1.4
    # A part of a quarter of the area or more fits whatever its ratio in [3/4, 4/3] up to 3/4 of it, so uniform there.
    assert abs(float(((area > 0.3) & (area < 0.5)).sum() / ((area > 0.5) & (area < 0.7)).sum()) - 1) < 0.1


def test_resized_crop_falls_back_to_the_centre():
    drawn = ResizedCrop(1.0).draw(200, (1, 10, 40), torch.Generator().manual_seed(0))  # nothing of that area fits
    assert (drawn == torch.tensor([0, 13, 10, 13])).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Crop(-1), "padding of crop must be an integer >= 0, got -1"),
        (lambda: Crop(4, "edges"), "must be one of 'zero', 'edge', got 'edges'; did you mean 'edge'"),
        (lambda: ResizedCrop(0.0), r"must lie in \(0, 1\], got 0.0"),
        (lambda: Flip(1.5), r"must lie in \[0, 1\], got 1.5"),
        (lambda: Cutout(-2), "length of cutout must be an integer >= 0"),
    ],
)
def test_parameters_out_of_range(make, match):
    with pytest.raises(ValueError, match=match):
        make()
