"""Reasons to leave a prior correction out; what they do to models is in tests/training/model/test_correction.py."""

import pytest
import torch

from equiangular.posthoc import calibrate_prior_correction, prior_corrected_logits
from equiangular.posthoc.footing import all_right, crossed_logits, does_harm, target_shares, too_little


def test_samples_and_classes_are_counted() -> None:
    y = torch.arange(8)
    assert too_little(y, 8) == ""
    assert "7 samples of 7 of the 8 classes" in too_little(y[:7], 8)
    assert too_little(y % 4, 8) == ""
    assert "8 samples of 3 of the 8 classes" in too_little(y % 3, 8)
    assert "8 samples of 1 of the 2 classes" in too_little(y * 0, 2)
    assert "0 samples of 0" in too_little(y[:0], 2)


def test_one_wrong_sample_is_enough() -> None:
    assert "all 5 held-out samples are classified right" in all_right(torch.ones(5, dtype=torch.bool))
    assert all_right(torch.tensor([True, False, True])) == ""


def test_harm_is_a_loss_beyond_chance() -> None:
    """A loss of a fifth passed, because more than half of the balanced accuracy had to go."""
    y = torch.tensor([0] * 50 + [1] * 50)
    good, most, bad = torch.ones(100) > 0, torch.arange(100) >= 20, torch.zeros(100) > 0
    assert "from 100.0 to 0.0 %" in does_harm(good, bad, y, 2)
    assert "from 100.0 to 80.0 %, more than chance would" in does_harm(good, most, y, 2)
    assert does_harm(bad, good, y, 2) == ""


def test_what_absent_classes_may_take() -> None:
    """Of four classes with one absent, three quarters have to be left; of two with none absent, all but chance."""
    y = torch.arange(300) % 3
    good = torch.ones(300) > 0
    for kept, classes, harm in ((231, 4, False), (222, 4, True), (222, 5, False), (231, 3, True), (297, 3, False)):
        assert bool(does_harm(good, torch.arange(300) < kept, y, classes)) == harm, (kept, classes)


@pytest.mark.parametrize(("worse", "better"), [(4, 0), (5, 0), (9, 2), (9, 3), (11, 4), (14, 4)])
def test_equal_classes_are_mcnemars_test(worse: int, better: int) -> None:
    """Without weights the statistic is (better - worse) / sqrt(better + worse), declined below -2."""
    y = torch.arange(100) % 2
    before, after = torch.arange(100) < worse, (torch.arange(100) >= worse) & (torch.arange(100) < worse + better)
    assert bool(does_harm(before, after, y, 2)) == ((better - worse) / (better + worse) ** 0.5 < -2)


def test_one_sample_of_a_rare_class_decides_nothing() -> None:
    """It is half of the balanced accuracy, and the toss of a coin."""
    y = torch.tensor([0] * 99 + [1])
    before = torch.ones(100) > 0
    assert does_harm(before, y == 0, y, 2) == ""


def test_a_chance_of_harm_is_rarely_declined() -> None:
    """Corrections that flip hits at random, as often to the good: at most a few in a hundred are declined."""
    generator = torch.Generator().manual_seed(0)
    y = torch.repeat_interleave(torch.arange(5), torch.tensor([80, 40, 20, 6, 2]))
    hits = [torch.rand(2, len(y), generator=generator) < 0.7 for _ in range(400)]
    assert sum(bool(does_harm(*pair, y, 5)) for pair in hits) < 0.05 * 400


def problem(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 15, 5]))
    z = torch.randn(60, 3, generator=generator, dtype=torch.float64) + 1.5 * torch.eye(3, dtype=torch.float64)[y]
    return z, y


def test_no_sample_has_a_part_in_its_own_correction() -> None:
    """A logit changed changes its own row by its own fold's scale, no row of its fold, and rows of all others."""
    z, y = problem()
    base = crossed_logits(z, y, [80, 30, 10])
    other = z.clone()
    other[7, 0] += 5
    changed = (crossed_logits(other, y, [80, 30, 10]) - base).abs().amax(1) > 1e-9
    fold = torch.arange(60) % 5  # labels come in order, so that samples are dealt in order
    assert changed[7]
    assert not changed[(fold == fold[7]) & (torch.arange(60) != 7)].any()
    assert changed[fold != fold[7]].all()


def test_a_fold_is_corrected_as_its_others_say() -> None:
    z, y = problem()
    fold, found = torch.arange(60) % 5, crossed_logits(z, y, [80, 30, 10])
    for index in range(5):
        scale, strength = calibrate_prior_correction(z[fold != index], y[fold != index], [80, 30, 10])
        expected = prior_corrected_logits(z[fold == index], [80, 30, 10], scale=scale, strength=strength)
        torch.testing.assert_close(found[fold == index], expected)


def test_a_fold_whose_others_have_one_class_stays() -> None:
    z, y = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 0, 0, 1])
    found = crossed_logits(z, y, [9, 1])
    assert torch.equal(found[4], z[4])
    assert not torch.equal(found[:4], z[:4])


def test_harm_is_weighed_by_the_target_prior() -> None:
    """All of a class lost for all of another: no harm where the other one is the frequent one, and harm where not."""
    y = torch.arange(100) % 2
    assert does_harm(y == 0, y == 1, y, 2, torch.tensor([1.0, 3.0])) == ""
    assert "under the target prior from 75.0 to 25.0 %" in does_harm(y == 0, y == 1, y, 2, torch.tensor([3.0, 1.0]))
    uneven = torch.repeat_interleave(torch.arange(3), torch.tensor([5, 2, 1]))
    shares = target_shares(uneven, torch.tensor([1, 2, 5]))
    torch.testing.assert_close(shares.double(), torch.tensor([0.025] * 5 + [0.125] * 2 + [0.625]).double())
