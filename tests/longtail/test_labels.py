from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiangular.longtail import class_groups


@pytest.mark.parametrize(
    ("count", "group"), [(0, "few"), (19, "few"), (20, "medium"), (100, "medium"), (101, "many"), (5000, "many")]
)
def test_thresholds_belong_to_medium(count, group):
    groups = class_groups([count])
    assert {name: len(index) for name, index in groups.items()} == {
        name: int(name == group) for name in ("many", "medium", "few")
    }


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(1, 150), st.integers(0, 150))
def test_groups_part_the_classes(counts, low, span):
    groups = class_groups(counts, (low, low + span))
    everything = np.concatenate(list(groups.values()))
    assert sorted(everything.tolist()) == list(range(len(counts)))
    assert all(counts[c] > low + span for c in groups["many"])
    assert all(low <= counts[c] <= low + span for c in groups["medium"])
    assert all(counts[c] < low for c in groups["few"])


def test_accepts_tensors():
    groups = class_groups(torch.tensor([500.0, 3.0]))
    assert (groups["many"].tolist(), groups["few"].tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("counts", "thresholds", "match"),
    [
        ([5, -1], (20, 100), "got -1 for class 1"),
        ([5.0, float("nan")], (20, 100), "got nan for class 1"),
        ([], (20, 100), "one per class"),
        ([[1, 2]], (20, 100), "one per class"),
        (["a"], (20, 100), "one per class"),
        ([5], (100, 20), r"0 < low <= high, got \(100, 20\)"),
        ([5], (0, 20), "0 < low <= high"),
        ([5], 20, "pair"),
        ([5], (1, 2, 3), "pair"),
    ],
)
def test_bad_input(counts, thresholds, match):
    with pytest.raises(ValueError, match=match):
        class_groups(counts, thresholds)
