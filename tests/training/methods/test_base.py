"""What a second stage is given, and what is refused."""

import math

import pytest
import torch

from equiangular.training.methods import StoredFeatures, TwoStageMethod

FEATURES, LABELS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 2, 0])


def test_good_input_is_kept():
    stored = StoredFeatures(FEATURES, LABELS, FEATURES[:2], LABELS[:2])
    assert stored.held_out is not None
    assert StoredFeatures(FEATURES, LABELS).held_out is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((FEATURES[0], LABELS), r"features must have shape \(B, d\)"),
        ((FEATURES * math.nan, LABELS), "features has NaN"),
        ((FEATURES, LABELS[:3]), "labels has 3 entries for 5 samples"),
        ((FEATURES, LABELS.float()), "labels must hold integers"),
        ((FEATURES, LABELS, FEATURES), "give both or neither"),
        ((FEATURES, LABELS, FEATURES[:, :2], LABELS), "held_out must have width 3"),
        ((FEATURES, LABELS, FEATURES, LABELS[:1]), "held_out_labels has 1 entries for 5 samples"),
    ],
)
def test_bad_input(values, message):
    with pytest.raises(ValueError, match=message):
        StoredFeatures(*values)


def test_a_two_stage_method_is_a_method_with_more():
    method = TwoStageMethod("a", "A", "linear", lambda *_: None, "nobody", trained_as="linear-ce")
    assert method.training_name == "linear-ce"
    assert method.second_stage is None
    assert dict(method.budget_changes) == {}
