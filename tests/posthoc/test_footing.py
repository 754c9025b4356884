"""Reasons to leave a prior correction out; what they do to models is in tests/training/model/test_correction.py."""

import torch

from equiangular.posthoc.footing import all_right, does_harm, too_little


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


def test_harm_is_most_of_the_balanced_accuracy_beyond_doubt() -> None:
    y = torch.tensor([0] * 50 + [1] * 50)
    good, most, bad = torch.ones(100) > 0, torch.arange(100) >= 40, torch.zeros(100) > 0
    assert "from 100.0 to 0.0 %" in does_harm(good, bad, y)
    assert does_harm(good, most, y) == ""
    assert does_harm(bad, good, y) == ""
