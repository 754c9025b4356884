"""Effective numbers by their recursion, weights by hand, the loss by its limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from equiangular.losses.class_balanced import (
    ClassBalancedLoss,
    class_balanced_loss,
    class_balanced_weights,
    effective_number,
)

CIFAR10_LT_100 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.3, 0.0], [-3.0, 1.0, 4.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.9999])
def test_effective_number_follows_its_recursion(beta):
    """E_1 = 1 and E_n = 1 + beta E_{n-1}: the new sample, and what of the old ones it does not cover."""
    expected, value = [], 0.0
    for _ in range(300):
        value = 1 + beta * value
        expected.append(value)
    np.testing.assert_allclose(effective_number(range(1, 301), beta=beta).numpy(), expected, rtol=1e-12)


def test_effective_number_keeps_its_digits_near_one():
    beta = 1 - 1e-12
    assert float(effective_number([100], beta=beta)) == pytest.approx(100 - 4950e-12, rel=1e-11)


@given(
    counts=st.lists(st.integers(1, 100_000), min_size=2, max_size=20),
    beta=st.floats(0, 0.99999),
    average=st.sampled_from(["classes", "samples"]),
)
def test_weights_have_mean_one_and_fall_with_the_counts(counts, beta, average):
    weights = class_balanced_weights(counts, beta=beta, average=average).numpy()
    share = np.full(len(counts), 1 / len(counts)) if average == "classes" else np.array(counts) / sum(counts)
    assert (share * weights).sum() == pytest.approx(1, rel=1e-9)
    assert (np.diff(weights[np.argsort(counts)]) <= 1e-9 * weights.max()).all()


def test_the_limits_of_beta():
    assert class_balanced_weights(CIFAR10_LT_100, beta=0.0).tolist() == [1.0] * 10
    inverse = 1 / np.array(CIFAR10_LT_100)
    nearly = class_balanced_weights(CIFAR10_LT_100, beta=1 - 1e-9).numpy()
    np.testing.assert_allclose(nearly, 10 * inverse / inverse.sum(), rtol=1e-5)


def test_mean_sample_weight_of_cifar10_lt_is_what_the_docstring_says():
    weights, counts = class_balanced_weights(CIFAR10_LT_100), torch.tensor(CIFAR10_LT_100)
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1 / 6, abs=0.02)


def test_loss_by_hand():
    """Counts 2 and 1 at beta 1/2: E = 3/2 and 1, so w = (2/3, 1) / (5/6) = (4/5, 6/5)."""
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]], dtype=torch.float64)  # p = (1/4, 3/4)
    target = torch.tensor([0, 1])
    expected = 0.8 * math.log(4), 1.2 * math.log(4 / 3)
    losses = class_balanced_loss(logits, target, [2, 1], beta=0.5, reduction="none")
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-12)
    focal = class_balanced_loss(logits, target, [2, 1], beta=0.5, gamma=2.0, reduction="none")
    np.testing.assert_allclose(focal.numpy(), np.array(expected) * [9 / 16, 1 / 16], rtol=1e-12)
    assert float(class_balanced_loss(logits, target, [2, 1], beta=0.5)) == pytest.approx(sum(expected) / 2)


def test_beta_zero_is_cross_entropy_for_every_kind_of_target():
    targets = [LABELS, F.one_hot(LABELS, 3).double(), (LABELS, LABELS.flip(0), 0.4)]
    expected = [F.cross_entropy(LOGITS, LABELS)] * 2
    expected.append(0.4 * expected[0] + 0.6 * F.cross_entropy(LOGITS, LABELS.flip(0)))
    for target, value in zip(targets, expected, strict=True):
        torch.testing.assert_close(class_balanced_loss(LOGITS, target, [100, 10, 1], beta=0.0), value)


def test_mean_of_a_batch_is_the_mean_of_its_parts():
    whole = class_balanced_loss(LOGITS, LABELS, [100, 10, 1])
    parts = [class_balanced_loss(LOGITS[i : i + 1], LABELS[i : i + 1], [100, 10, 1]) for i in range(3)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_gradcheck():
    logits = LOGITS.clone().requires_grad_()
    for gamma in (0.0, 1.0):
        assert torch.autograd.gradcheck(lambda z, g=gamma: class_balanced_loss(z, LABELS, [9, 5, 2], gamma=g), logits)


def test_module_agrees_and_keeps_nothing_in_its_state():
    loss = ClassBalancedLoss([100, 10, 1], beta=0.99, gamma=0.5, reduction="sum").double()
    expected = class_balanced_loss(LOGITS, LABELS, [100, 10, 1], beta=0.99, gamma=0.5, reduction="sum")
    torch.testing.assert_close(loss(LOGITS, LABELS), expected, rtol=1e-6, atol=0)  # its weights were float32
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.0}, r"beta must be a number in \[0, 1\), got 1\.0"),
        ({"beta": -0.1}, "beta must be a number"),
        ({"beta": "high"}, "beta must be a number"),
        ({"class_counts": [3, 0]}, "class 1 has 0"),
        ({"average": "class"}, "did you mean 'classes'"),
    ],
)
def test_bad_weights(options, message):
    with pytest.raises(ValueError, match=message):
        class_balanced_weights(**{"class_counts": [3, 1], **options})


def test_bad_loss_input():
    with pytest.raises(ValueError, match="class_counts has 2 entries for 3 classes"):
        class_balanced_loss(LOGITS, LABELS, [3, 1])
    with pytest.raises(ValueError, match="gamma must be"):
        ClassBalancedLoss([3, 1], gamma=-1.0)
