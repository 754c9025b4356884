"""The vector-scaling loss against its definition written out, its limits and its gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses import VectorScalingLoss, logit_adjusted_cross_entropy, vector_scaling_loss

COUNTS = [256, 16, 1]
LOGITS = np.array([[2.0, -1.0, 0.5], [0.3, 0.2, -4.0], [-1.0, 3.0, 2.0], [0.0, 0.0, 0.0]])
LABELS = np.array([0, 1, 2, 0])


def by_hand(logits, label, gamma, tau):
    z = [(n / 256) ** gamma * x + tau * math.log(n / 273) for n, x in zip(COUNTS, logits, strict=True)]
    return math.log(sum(math.exp(v) for v in z)) - z[label]


@pytest.mark.parametrize(("gamma", "tau"), [(0.25, 1.0), (0.125, 0.0), (0.0, 1.5), (1.0, 0.5)])
def test_hard_soft_and_mixup_targets(gamma, tau):
    options = {"gamma": gamma, "tau": tau, "reduction": "none"}
    logits, a, b, lam = torch.tensor(LOGITS), torch.tensor(LABELS), torch.tensor([2, 0, 2, 1]), 0.75
    expected = [[by_hand(z, y, gamma, tau) for z, y in zip(LOGITS, t, strict=True)] for t in (a.tolist(), b.tolist())]
    np.testing.assert_allclose(vector_scaling_loss(logits, a, COUNTS, **options), expected[0], rtol=1e-10)
    mixed = lam * np.array(expected[0]) + (1 - lam) * np.array(expected[1])
    soft = lam * F.one_hot(a, 3).double() + (1 - lam) * F.one_hot(b, 3).double()
    for target in ((a, b, lam), soft):
        np.testing.assert_allclose(vector_scaling_loss(logits, target, COUNTS, **options), mixed, rtol=1e-10)


def test_without_factors_it_is_logit_adjustment():
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    for options in ({"tau": 1.0}, {"tau": 0.5, "label_smoothing": 0.1}, {"reduction": "sum"}):
        ours = vector_scaling_loss(logits, labels, COUNTS, gamma=0.0, **options)
        torch.testing.assert_close(ours, logit_adjusted_cross_entropy(logits, labels, COUNTS, **options))


def test_equal_classes_are_cross_entropy():
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    loss = vector_scaling_loss(logits, labels, [7, 7, 7], gamma=0.3)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels))


def test_gradcheck():
    logits = torch.tensor(LOGITS, requires_grad=True)
    for target in (torch.tensor(LABELS), torch.full((4, 3), 1 / 3, dtype=torch.float64)):
        assert torch.autograd.gradcheck(lambda z, t=target: vector_scaling_loss(z, t, COUNTS, gamma=0.2), logits)


def test_module_agrees_follows_the_dtype_and_keeps_nothing_in_its_state():
    options = {"gamma": 0.25, "tau": 0.5, "label_smoothing": 0.1, "reduction": "none"}
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    module = VectorScalingLoss(COUNTS, **options)
    assert module.state_dict() == {}
    expected = vector_scaling_loss(logits, labels, COUNTS, **options)
    torch.testing.assert_close(module.double()(logits, labels), expected, rtol=1e-6, atol=1e-6)
    half = module.float()(logits.bfloat16(), labels)
    assert half.dtype == torch.float32
    assert "gamma=0.25" in repr(module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -0.1}, "gamma must be a finite number of at least 0"),
        ({"tau": float("nan")}, "tau must be a finite number of at least 0"),
        ({"class_counts": [3, 1]}, "3 classes|2"),
        ({"class_counts": [3, 1, 0]}, "class 2 has 0"),
        ({"target": torch.tensor([3])}, r"target must lie in \[0, 2\]"),
        ({"logits": torch.full((1, 3), float("nan"))}, "logits has NaN"),
        ({"reduction": "max"}, "reduction"),
        ({"label_smoothing": 2.0}, "smoothing"),
    ],
)
def test_bad_input(options, message):
    good = {"logits": torch.zeros(1, 3), "target": torch.tensor([0]), "class_counts": COUNTS}
    with pytest.raises(ValueError, match=message):
        vector_scaling_loss(**{**good, **options})
