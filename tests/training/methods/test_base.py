"""What a second stage is given, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch

from equiangular.frames import simplex_etf
from equiangular.training.methods import StoredFeatures, TwoStageMethod, get_method

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


@pytest.mark.parametrize(("name", "width"), [("recommended", 80), ("etf-la", 32)])
def test_many_classes_have_a_basis_that_takes_no_minutes(monkeypatch, name, width):
    method = get_method(name)
    assert method.build_head(width, 20, seed=0).basis == "haar"
    monkeypatch.setattr("equiangular.training.methods.base.TURNED_CLASSES", 10)
    head = method.build_head(width, 20, seed=3)
    assert head.basis == "dct"
    torch.testing.assert_close(head.class_vectors(), simplex_etf(20, head.dim, basis="dct", seed=3))
    chosen = replace(method, head_options={**method.head_options, "basis": "minimal"})
    assert chosen.build_head(width, 20, seed=0).basis == "minimal"
    if name == "recommended":  # behind a map it decides for itself
        assert method.build_head(16, 20, seed=0).basis == "haar"
