"""The operations against Pillow's, image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from equiangular.training.augment.operations import NAMES, OPERATIONS, apply_operations

AFFINE, NEAREST = Image.Transform.AFFINE, Image.Resampling.NEAREST


def matrix(*entries):
    return lambda image: image.transform(image.size, AFFINE, entries, NEAREST)


def enhance(name, strength):
    return lambda image: getattr(ImageEnhance, name)(image).enhance(1 + 0.9 * strength)


# What Pillow does with one image at a strength. Images here are 24 wide and 20 high.
REFERENCE = {
    "shear_x": lambda s: matrix(1, 0.3 * s, 0, 0, 1, 0),
    "shear_y": lambda s: matrix(1, 0, 0, 0.3 * s, 1, 0),
    "translate_x": lambda s: matrix(1, 0, round(150 / 331 * 24 * s), 0, 1, 0),
    "translate_y": lambda s: matrix(1, 0, 0, 0, 1, round(150 / 331 * 20 * s)),
    "rotate": lambda s: lambda image: image.rotate(30 * s, NEAREST),
    "autocontrast": lambda s: ImageOps.autocontrast,
    "invert": lambda s: ImageOps.invert,
    "equalize": lambda s: ImageOps.equalize,
    "solarize": lambda s: lambda image: ImageOps.solarize(image, 256 - round(256 * s)),
    "posterize": lambda s: lambda image: ImageOps.posterize(image, 8 - round(4 * s)),
    "contrast": lambda s: enhance("Contrast", s),
    "color": lambda s: enhance("Color", s),
    "brightness": lambda s: enhance("Brightness", s),
    "sharpness": lambda s: enhance("Sharpness", s),
}
TWO_SIDED = ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"]
TWO_SIDED += ["contrast", "color", "brightness", "sharpness"]


def pillow(operation, images):
    """(B, C, H, W) uint8 through a function of Pillow images."""
    done = []
    for image in images:
        array = image.permute(1, 2, 0).numpy()
        result = np.asarray(operation(Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)))
        done.append(torch.from_numpy(result.copy()).view(*image.shape[1:], -1).permute(2, 0, 1))
    return torch.stack(done)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", REFERENCE)
def test_equals_pillow(name, channels, images):
    images = images[:, :channels].contiguous()
    for strength in [0.0, 0.25, 0.6, 1.0] + [-0.3, -0.6, -1.0] * (name in TWO_SIDED):
        found = OPERATIONS[name](images, torch.full((len(images),), strength, dtype=torch.float64))
        expected = pillow(REFERENCE[name](strength), images)
        if name == "autocontrast":  # Pillow multiplies by a rounded 255 / range and truncates
            assert ((found.int() - expected.int()).abs() <= 1).all()
            low, high = (f(images.double(), (2, 3), keepdim=True) for f in (torch.amin, torch.amax))
            exact = torch.where(high > low, ((images - low) * 255 / (high - low) + 1e-9).floor(), images.double())
            assert torch.equal(found.double(), exact)
        else:
            assert torch.equal(found, expected), strength


def test_each_image_has_its_own_strength(images):
    strengths = torch.tensor([-0.9, -0.2, 0.1, 0.5, 1.0], dtype=torch.float64)
    for name, operation in OPERATIONS.items():
        together = operation(images, strengths.abs() if name not in TWO_SIDED else strengths)
        for i in range(len(images)):
            own = strengths[i : i + 1] if name in TWO_SIDED else strengths[i : i + 1].abs()
            assert torch.equal(operation(images[i : i + 1], own)[0], together[i]), name


def test_strengths_beyond_the_range_are_clipped(images):
    far = torch.full((len(images),), 3.0, dtype=torch.float64)
    assert torch.equal(OPERATIONS["posterize"](images, far), images & 128)  # one bit is left
    assert torch.equal(OPERATIONS["solarize"](images, far), 255 - images)
    assert torch.equal(OPERATIONS["brightness"](images, -far), OPERATIONS["brightness"](images, far / -3))  # a tenth
    assert not OPERATIONS["translate_x"](images, far).any()
    expected = pillow(lambda image: image.rotate(90, NEAREST), images)
    assert torch.equal(OPERATIONS["rotate"](images, far)[:, :, :, 3:21], expected[:, :, :, 3:21])


def test_nothing_happens_at_strength_zero(images):
    for name in ["identity", *TWO_SIDED, "solarize", "posterize"]:
        assert torch.equal(OPERATIONS[name](images, torch.zeros(len(images), dtype=torch.float64)), images), name


def test_rotation_turns_the_way_it_says():
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[..., 4, 8] = 200  # to the right of the centre
    turned = OPERATIONS["rotate"](image, torch.tensor([1.0], dtype=torch.float64))
    row, column = (turned[0, 0] > 0).nonzero()[0].tolist()
    assert (row, column) == (4 - round(4 * math.sin(math.pi / 6)), 4 + round(4 * math.cos(math.pi / 6)))


def test_operations_in_a_row(images):
    drawn = torch.tensor([[NAMES.index("invert"), 0.0], [NAMES.index("rotate"), 0.5]], dtype=torch.float64)
    drawn = drawn.expand(len(images), 2, 2).clone()
    drawn[0, 0, 0] = NAMES.index("identity")
    drawn[1, 1, 1] = -0.5
    before = images.clone()
    found = apply_operations(images, drawn)
    assert torch.equal(images, before)
    for i, (image, sign) in enumerate(zip(images, [1, -1, 1, 1, 1], strict=True)):
        expected = pillow(lambda p, s=sign: p.rotate(15 * s, NEAREST), (image if i == 0 else 255 - image)[None])
        assert torch.equal(found[i], expected[0])


def test_tiny_images_are_left_alone_by_sharpness():
    image = torch.arange(4, dtype=torch.uint8).view(1, 1, 2, 2)
    assert torch.equal(OPERATIONS["sharpness"](image, torch.ones(1, dtype=torch.float64)), image)
