"""Focal loss against NumPy in float64, its limits, gradients and bad input."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses.class_balanced import FocalLoss, focal_loss

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 1.0, 4.0], [1.5, 1.5, -2.0]])
LABELS = np.array([0, 1, 1, 2])


def by_hand(logits, label, gamma):
    """One sample's loss, from the definition of the softmax."""
    p = math.exp(logits[label]) / sum(math.exp(z) for z in logits)
    return -((1 - p) ** gamma) * math.log(p)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_hard_targets(gamma):
    expected = [by_hand(z, y, gamma) for z, y in zip(LOGITS, LABELS, strict=True)]
    losses = focal_loss(torch.tensor(LOGITS), torch.tensor(LABELS), gamma=gamma, reduction="none")
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("reduction", "combine"), [("mean", np.mean), ("sum", np.sum)])
def test_reductions_and_class_weight(reduction, combine):
    weight = np.array([0.2, 1.0, 3.0])
    expected = combine([weight[y] * by_hand(z, y, 2.0) for z, y in zip(LOGITS, LABELS, strict=True)])
    loss = focal_loss(torch.tensor(LOGITS), torch.tensor(LABELS), class_weight=weight, reduction=reduction)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_soft_and_mixup_targets_are_means_by_share():
    other, lam = np.array([1, 1, 0, 0]), 0.375
    weight = [0.5, 2.0, 1.0]
    expected = [
        lam * weight[a] * by_hand(z, a, 2.0) + (1 - lam) * weight[b] * by_hand(z, b, 2.0)
        for z, a, b in zip(LOGITS, LABELS, other, strict=True)
    ]
    logits, a, b = torch.tensor(LOGITS), torch.tensor(LABELS), torch.tensor(other)
    soft = lam * F.one_hot(a, 3).double() + (1 - lam) * F.one_hot(b, 3).double()
    options = {"class_weight": weight, "reduction": "none"}
    np.testing.assert_allclose(focal_loss(logits, (a, b, lam), **options).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(focal_loss(logits, soft, **options).numpy(), expected, rtol=1e-12)


def test_gamma_zero_is_cross_entropy():
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0.0), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradcheck(gamma):
    logits = torch.tensor(LOGITS, requires_grad=True)
    target = (torch.tensor(LABELS), torch.tensor([1, 2, 0, 0]), 0.7)
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, target, gamma=gamma, class_weight=[1.0, 2.0, 0.5]), logits)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_gradient_is_finite_where_the_probability_rounds_to_one(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0]), gamma=gamma)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[0].abs().max()) == 0.0
    assert float(logits.grad[1, 0]) == pytest.approx(-0.5)  # (1 - p)^gamma = 1: cross-entropy's pull over B = 2


def test_half_precision_is_computed_in_float32():
    logits = torch.tensor(LOGITS, dtype=torch.bfloat16)
    loss = focal_loss(logits, torch.tensor(LABELS))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, focal_loss(logits.float(), torch.tensor(LABELS)))


def test_module_agrees_and_keeps_nothing_in_its_state():
    loss = FocalLoss(gamma=1.5, class_weight=[1.0, 2.0, 3.0], reduction="sum")
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    expected = focal_loss(logits, labels, gamma=1.5, class_weight=[1.0, 2.0, 3.0], reduction="sum")
    assert torch.equal(loss(logits, labels), expected)
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1.0}, r"gamma must be a finite number of at least 0, got -1\.0"),
        ({"gamma": math.nan}, "gamma must be a finite number"),
        ({"gamma": True}, "gamma must be a finite number"),
        ({"class_weight": [1.0, 2.0]}, r"class_weight must have shape \(K,\) = \(3,\)"),
        ({"class_weight": [1.0, -2.0, 1.0]}, "class_weight must be finite and at least 0"),
        ({"reduction": "men"}, "did you mean 'mean'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        focal_loss(torch.tensor(LOGITS), torch.tensor(LABELS), **options)


def test_bad_tensors():
    with pytest.raises(ValueError, match="logits has NaN or infinite values, first in row 0"):
        focal_loss(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"target must lie in \[0, 2\]"):
        focal_loss(torch.tensor(LOGITS), torch.tensor([0, 1, 2, 3]))
