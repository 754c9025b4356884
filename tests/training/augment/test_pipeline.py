from __future__ import annotations

import pytest
import torch

from equiangular.training.augment import Augmentation, take_draws

FULL = "crop:2,resizedcrop:0.5,flip,randaugment,autoaugment:svhn,cutout:5"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("", "none"),
        ("crop,flip", "crop,flip"),
        (" crop:4 , flip:0.5", "crop:4,flip"),
        ("crop:0:edge", "crop:0:edge"),
        ("randaugment:2:9.0,cutout:0", "randaugment,cutout"),
        ("randaugment:3:14.5", "randaugment:3:14.5"),
        ("resizedcrop:0.08,autoaugment:imagenet", "resizedcrop,autoaugment:imagenet"),
    ],
)
def test_text_form(text, canonical):
    augment = Augmentation.parse(text)
    assert str(augment) == canonical
    assert Augmentation.parse(canonical) == augment


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("crop,flipp", "unknown augmentation 'flipp' in 'crop,flipp'; did you mean 'flip'.*crop, resizedcrop, flip"),
        ("rand-augment", "did you mean 'randaugment'"),
        ("crop+flip", "did you mean .*separated by commas"),
        ("crop,none", "'none' stands alone, got 'crop,none'"),
        ("crop,flip,crop:2", "'crop' is named twice"),
        ("crop:1.5", "'crop': padding must be a whole number, got '1.5'"),
        ("flip:often", "'flip': probability must be a number, got 'often'"),
        ("flip:nan", r"must lie in \[0, 1\], got nan"),
        ("randaugment:2:9:1", "takes at most 2 parameter.*, got 3. Write randaugment:NUMBER:MAGNITUDE"),
        ("cutout:-4", "length of cutout must be an integer >= 0, got -4"),
    ],
)
def test_bad_texts(text, match):
    with pytest.raises(ValueError, match=match):
        Augmentation.parse(text)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_slice_gives_what_the_whole_batch_gives(images, channels):
    images = images[:, [0, 1, 2, 0][:channels]].repeat(4, 1, 1, 1)
    augment = Augmentation.parse(FULL)
    draws = augment.draw(20, tuple(images.shape[1:]), generator())
    before = images.clone()
    whole = augment.apply(images, draws)
    assert whole.dtype == torch.uint8
    assert whole.shape == images.shape
    assert torch.equal(images, before)
    parts = [augment.apply(images[a:b], take_draws(draws, slice(a, b))) for a, b in ((0, 7), (7, 8), (8, 20))]
    assert torch.equal(torch.cat(parts), whole)
    some = torch.tensor([19, 3, 3, 0])
    assert torch.equal(augment.apply(images[some], take_draws(draws, some)), whole[some])


def test_draws_depend_on_the_generator_alone(images):
    augment = Augmentation.parse(FULL)
    state = torch.get_rng_state()
    first, again, other = (augment.draw(50, (3, 20, 24), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert list(first) == ["crop", "resizedcrop", "flip", "randaugment", "autoaugment", "cutout"]
    assert all(len(drawn) == 50 and torch.equal(drawn, again[name]) for name, drawn in first.items())
    assert all(not torch.equal(drawn, other[name]) for name, drawn in first.items())


def test_steps_run_in_the_order_written(images):
    for text in ("cutout:6,crop:2", "crop:2,cutout:6"):
        augment = Augmentation.parse(text)
        draws = augment.draw(5, (3, 20, 24), generator())
        expected = images
        for name, step in augment.steps:
            expected = step.apply(expected, draws[name])
        assert torch.equal(augment.apply(images, draws), expected)


def test_none_does_nothing():
    table = torch.randn(4, 3, generator=generator())
    augment = Augmentation.parse("none")
    assert augment.draw(4, (3,), generator()) == {}
    assert augment.apply(table, {}) is table


def test_an_empty_slice(images):
    augment = Augmentation.parse(FULL)
    draws = augment.draw(5, (3, 20, 24), generator())
    assert augment.apply(images[:0], take_draws(draws, slice(2, 2))).shape == (0, 3, 20, 24)


def test_what_does_not_fit(images):
    augment = Augmentation.parse("crop,flip")
    with pytest.raises(ValueError, match=r"'crop,flip' is for images .* got inputs of shape \(16,\)"):
        augment.draw(5, (16,), generator())
    draws = augment.draw(5, (3, 20, 24), generator())
    with pytest.raises(ValueError, match=r"takes uint8 images .* got torch.float32"):
        augment.apply(images.float(), draws)
    with pytest.raises(ValueError, match="draws for 5 images and 2 images"):
        augment.apply(images[:2], draws)
