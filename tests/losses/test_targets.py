"""What every loss says about a target it cannot use."""

import pytest
import torch

from equiangular.losses import (
    cosine_cross_entropy,
    dot_loss,
    dot_regression_loss,
    logit_adjusted_cross_entropy,
    nonl_loss,
    ntce_loss,
    soft_target_cross_entropy,
    vector_scaling_loss,
)

EYE = torch.eye(3)
LOSSES = {
    "dot-regression": lambda target: dot_regression_loss(EYE, target, EYE),
    "dot": lambda target: dot_loss(EYE, target, EYE),
    "cosine": lambda target: cosine_cross_entropy(EYE, target, EYE, scale=8.0),
    "ntce": lambda target: ntce_loss(EYE, target, EYE, scale=8.0),
    "nonl": lambda target: nonl_loss(EYE, target, EYE, scale=8.0),
    "cross-entropy": lambda target: soft_target_cross_entropy(EYE, target),
    "logit-adjusted": lambda target: logit_adjusted_cross_entropy(EYE, target, [3, 2, 1]),
    "vector-scaling": lambda target: vector_scaling_loss(EYE, target, [3, 2, 1]),
}
LABELS = torch.tensor([0, 1, 2])
BAD_TARGETS = {
    "label too high": (torch.tensor([0, 1, 3]), r"target must lie in \[0, 2\] for 3 classes, got values from 0 to 3"),
    "negative label": (torch.tensor([0, -1, 2]), r"got values from -1 to 2"),
    "float labels": (torch.tensor([0.0, 1.0, 2.0]), "target must hold integers .* got torch.float32"),
    "bool labels": (torch.tensor([True, False, True]), "got torch.bool"),
    "too few labels": (torch.tensor([0, 1]), "target has 2 entries for 3 samples"),
    "a list": ([0, 1], r"must be .*target_a, target_b, lam.*, got 2 entries.*indices as a tensor"),
    "lam that is no number": ((LABELS, LABELS, "half"), "lam must hold numbers, got 'half'"),
    "an array": (LABELS.numpy(), "got ndarray"),
    "three axes": (torch.zeros(3, 1, 1), r"got shape \(3, 1, 1\)"),
    "soft of the wrong width": (torch.full((3, 4), 0.25), r"\(B, K\) = \(3, 3\), got \(3, 4\)"),
    "integer one-hot": (torch.eye(3).long(), "floating-point probabilities, got torch.int64.*float"),
    "logits": (torch.tensor([[2.0, -1.0, 0.0]] * 3), "sum to 1, got a smallest entry of -1"),
    "rows that sum to 3": (torch.ones(3, 3), "sums from 3 to 3"),
    "NaN probabilities": (torch.full((3, 3), float("nan")), "sum to 1"),
    "lam above 1": ((LABELS, LABELS, 1.5), r"lam must lie in \[0, 1\], got 1.5"),
    "a lam above 1": (
        (LABELS, LABELS, torch.full((len(LABELS),), 1.5)),
        r"lam must lie in \[0, 1\], got values from 1.5",
    ),
    "lam of the wrong shape": ((LABELS, LABELS, torch.ones(2)), r"lam .* \(B,\) = \(3,\), got \(2,\)"),
    "mixup label too high": ((LABELS, LABELS + 1, 0.5), r"target_b must lie in \[0, 2\]"),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets_are_refused(loss: str, case: str) -> None:
    target, message = BAD_TARGETS[case]
    with pytest.raises(ValueError, match=message):
        LOSSES[loss](target)


FEATURE_LOSSES = {
    "dot-regression": dot_regression_loss,
    "dot": dot_loss,
    "cosine": lambda f, t, w: cosine_cross_entropy(f, t, w, scale=8.0),
    "ntce": lambda f, t, w: ntce_loss(f, t, w, scale=8.0),
    "nonl": lambda f, t, w: nonl_loss(f, t, w, scale=8.0),
}
BAD_INPUTS = {
    "NaN features": (torch.full((3, 3), float("nan")), EYE, "features has NaN or infinite values, first in row 0"),
    "width": (torch.ones(3, 4), EYE, r"features must have width 3, got shape \(3, 4\)"),
    "rank": (torch.ones(3, 3, 2), EYE, r"features must have shape \(B, d\), got \(3, 3, 2\)"),
    "integer features": (torch.ones(3, 3).long(), EYE, "must be floating point, got torch.int64"),
    "weight rank": (EYE, torch.ones(3), r"weight must be .*\(K, d\), got torch.float32 of shape \(3,\)"),
    "weight dtype": (EYE, torch.ones(3, 3).long(), "weight must be .* got torch.int64"),
    "weight type": (EYE, [[1.0]], "weight must be .* got list"),
}


@pytest.mark.parametrize("loss", FEATURE_LOSSES)
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_features_and_tables_are_refused(loss: str, case: str) -> None:
    features, weight, message = BAD_INPUTS[case]
    with pytest.raises(ValueError, match=message):
        FEATURE_LOSSES[loss](features, LABELS, weight)


@pytest.mark.parametrize("target", [LABELS, EYE, (LABELS, LABELS, 0.5)])
@pytest.mark.parametrize("loss", FEATURE_LOSSES)
def test_shapes_can_be_worked_out_without_data(loss: str, target: object) -> None:
    meta = torch.empty(3, 3, device="meta")
    if isinstance(target, tuple):
        target = (*(t.to("meta") for t in target[:2]), target[2])
    else:
        target = target.to("meta")
    assert FEATURE_LOSSES[loss](meta, target, meta).shape == ()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_batch_sums_to_zero(loss: str) -> None:
    none = torch.zeros(0, 3)
    empty = torch.zeros(0, dtype=torch.int64)
    values = {
        "dot-regression": lambda: dot_regression_loss(none, empty, EYE, reduction="sum", balance="batch"),
        "dot": lambda: dot_loss(none, empty, EYE, reduction="sum"),
        "cosine": lambda: cosine_cross_entropy(none, empty, EYE, scale=8.0, reduction="sum"),
        "ntce": lambda: ntce_loss(none, empty, EYE, scale=8.0, reduction="sum"),
        "nonl": lambda: nonl_loss(none, empty, EYE, scale=8.0, reduction="sum"),
        "cross-entropy": lambda: soft_target_cross_entropy(none, empty, reduction="sum"),
        "logit-adjusted": lambda: logit_adjusted_cross_entropy(none, empty, [3, 2, 1], reduction="sum"),
        "vector-scaling": lambda: vector_scaling_loss(none, empty, [3, 2, 1], reduction="sum"),
    }
    assert float(values[loss]()) == 0.0
