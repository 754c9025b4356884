"""Smoothing factors by hand, the loss against smoothed one-hot labels, its minimum, gradients and bad input."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses.label_aware_smoothing import (
    LabelAwareSmoothingLoss,
    label_aware_smoothing_factors,
    label_aware_smoothing_loss,
)

COUNTS = [40, 100, 10]
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.3, 0.0], [-3.0, 1.0, 4.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2])


def test_factors_by_hand_in_any_order_of_classes():
    """A third of the way from 10 to 100 samples: sin(30 degrees) = 1/2 of the way from 0.1 to 0.4."""
    smoothing = label_aware_smoothing_factors(COUNTS, smooth_head=0.4, smooth_tail=0.1)
    np.testing.assert_allclose(smoothing.numpy(), [0.25, 0.4, 0.1], rtol=1e-12)


def test_factors_are_concave_and_grow_with_the_counts():
    smoothing = label_aware_smoothing_factors(range(1, 102, 10), smooth_head=0.5, smooth_tail=0.1).numpy()
    steps = np.diff(smoothing)
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()


def test_equal_counts_are_all_smoothed_like_the_head():
    assert label_aware_smoothing_factors([7, 7, 7], smooth_head=0.3).tolist() == pytest.approx([0.3] * 3)


def smoothed_rows(eps):
    rows = np.empty((3, 3))
    for k in range(3):
        rows[k] = eps[k] / 2
        rows[k, k] = 1 - eps[k]
    return rows


def test_loss_is_cross_entropy_against_smoothed_labels():
    rows = smoothed_rows([0.25, 0.4, 0.1])
    log_p = LOGITS.numpy() - np.log(np.exp(LOGITS.numpy()).sum(1, keepdims=True))
    options = {"smooth_head": 0.4, "smooth_tail": 0.1, "reduction": "none"}
    losses = label_aware_smoothing_loss(LOGITS, LABELS, COUNTS, **options)
    np.testing.assert_allclose(losses.numpy(), -(rows * log_p).sum(1), rtol=1e-12)
    other, lam = [1, 1, 0], 0.625
    mixed = lam * rows + (1 - lam) * rows[other]
    soft = lam * F.one_hot(LABELS, 3).double() + (1 - lam) * F.one_hot(torch.tensor(other), 3).double()
    for target in ((LABELS, torch.tensor(other), lam), soft):
        losses = label_aware_smoothing_loss(LOGITS, target, COUNTS, **options)
        np.testing.assert_allclose(losses.numpy(), -(mixed * log_p).sum(1), rtol=1e-12)


def test_without_smoothing_it_is_cross_entropy():
    loss = label_aware_smoothing_loss(LOGITS, LABELS, COUNTS, smooth_head=0.0)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS, LABELS))


def test_at_the_minimum_a_class_has_its_own_confidence():
    logits = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100, tolerance_change=0, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = label_aware_smoothing_loss(logits, LABELS, COUNTS, smooth_head=0.4, smooth_tail=0.1)
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(logits.detach().softmax(1).diagonal().numpy(), [0.75, 0.6, 0.9], atol=1e-6)


def test_gradcheck():
    logits = LOGITS.clone().requires_grad_()
    for target in (LABELS, (LABELS, LABELS.flip(0), 0.2)):
        assert torch.autograd.gradcheck(lambda z, t=target: label_aware_smoothing_loss(z, t, COUNTS), logits)


def test_module_agrees_and_keeps_nothing_in_its_state():
    loss = LabelAwareSmoothingLoss(COUNTS, smooth_head=0.4, smooth_tail=0.1, reduction="sum")
    options = {"smooth_head": 0.4, "smooth_tail": 0.1, "reduction": "sum"}
    logits = LOGITS.float()
    torch.testing.assert_close(loss(logits, LABELS), label_aware_smoothing_loss(logits, LABELS, COUNTS, **options))
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth_head": 1.0}, r"smooth_head must be a number in \[0, 1\), got 1\.0"),
        ({"smooth_tail": -0.1}, "smooth_tail must be a number"),
        ({"smooth_head": math.nan}, "smooth_head must be a number"),
        ({"smooth_head": 0.1, "smooth_tail": 0.3}, "smooth_tail must not exceed smooth_head"),
        ({"class_counts": [1, 0, 2]}, "class 1 has 0"),
        ({"class_counts": [1, 2]}, "class_counts has 2 entries for 3 classes"),
        ({"reduction": "avg"}, "reduction must be one of"),
        ({"target": torch.tensor([0.0, 1.0, 2.0])}, "target must hold integers"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        label_aware_smoothing_loss(**{"logits": LOGITS, "target": LABELS, "class_counts": COUNTS, **options})
