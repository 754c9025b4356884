"""ARB loss against its definition, its relation to balanced softmax, and the balance it is named after."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses import batch_class_counts, logit_adjusted_cross_entropy
from equiangular.losses.label_aware_smoothing import ARBLoss, arb_loss

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.tensor([0, 0, 0, 0, 0, 1, 1, 3])  # class 2 is absent
COUNTS = [5, 2, 0, 1]
LOGITS = torch.randn(8, 4, generator=GENERATOR, dtype=torch.float64)


def by_hand(logits, label, counts):
    total = sum(counts[k] / counts[label] * math.exp(logits[k]) for k in range(len(counts)))
    return -math.log(math.exp(logits[label]) / total)


def test_hard_targets_with_the_counts_of_the_batch():
    expected = [by_hand(z, y, COUNTS) for z, y in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)]
    np.testing.assert_allclose(arb_loss(LOGITS, LABELS, reduction="none").numpy(), expected, rtol=1e-12)
    assert float(arb_loss(LOGITS, LABELS)) == pytest.approx(np.mean(expected), rel=1e-12)


def test_soft_and_mixup_targets_count_by_share():
    other, lam = LABELS.flip(0), 0.25
    counts = [lam * a + (1 - lam) * b for a, b in zip(COUNTS, COUNTS, strict=True)]
    expected = [
        lam * by_hand(z, a, counts) + (1 - lam) * by_hand(z, b, counts)
        for z, a, b in zip(LOGITS.tolist(), LABELS.tolist(), other.tolist(), strict=True)
    ]
    soft = lam * F.one_hot(LABELS, 4).double() + (1 - lam) * F.one_hot(other, 4).double()
    for target in ((LABELS, other, lam), soft):
        np.testing.assert_allclose(arb_loss(LOGITS, target, reduction="none").numpy(), expected, rtol=1e-12)


def test_with_counts_of_the_training_set_it_is_balanced_softmax():
    counts = [500, 120, 30, 5]
    expected = logit_adjusted_cross_entropy(LOGITS, LABELS, counts, tau=1.0)
    torch.testing.assert_close(arb_loss(LOGITS, LABELS, counts), expected)


def test_with_equal_counts_it_is_cross_entropy():
    torch.testing.assert_close(arb_loss(LOGITS, LABELS, [3, 3, 3, 3]), F.cross_entropy(LOGITS, LABELS))


def pushes(loss):
    """(K, K) matrix of what samples of class j do to the class vector of k, where all logits are equal."""
    logits = torch.zeros(8, 4, dtype=torch.float64, requires_grad=True)
    loss(logits).backward()
    return F.one_hot(LABELS, 4).double().T @ logits.grad


def test_pull_and_push_balance_and_are_mutual():
    force = pushes(lambda z: arb_loss(z, LABELS, reduction="sum"))
    np.testing.assert_allclose(force, force.T, atol=1e-12)  # j pushes k as hard as k pushes j
    np.testing.assert_allclose(force.sum(0), 0, atol=1e-12)  # pull = total push
    counts = np.array(COUNTS, dtype=float)
    expected = np.outer(counts, counts) / 8 - np.diag(counts)
    np.testing.assert_allclose(force, expected, atol=1e-12)
    unbalanced = pushes(lambda z: F.cross_entropy(z, LABELS, reduction="sum"))
    assert float(unbalanced[0, 3]) == pytest.approx(5 / 4)  # cross-entropy: five head samples push the tail class
    assert float(unbalanced[3, 0]) == pytest.approx(1 / 4)  # and one tail sample pushes back
    assert float(unbalanced.sum(0)[3]) == pytest.approx(1)


def test_an_absent_class_gets_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    arb_loss(logits, LABELS).backward()
    assert float(logits.grad[:, 2].abs().max()) == 0
    assert torch.isfinite(logits.grad).all()


def test_parts_with_the_counts_of_the_whole_average_to_the_whole():
    counts = batch_class_counts(LABELS, 4)
    parts = [arb_loss(LOGITS[i : i + 4], LABELS[i : i + 4], counts) for i in (0, 4)]
    torch.testing.assert_close(torch.stack(parts).mean(), arb_loss(LOGITS, LABELS))


def test_gradcheck():
    logits = LOGITS.clone().requires_grad_()
    soft = torch.softmax(LOGITS.flip(1), dim=1)
    for target in (LABELS, (LABELS, LABELS.flip(0), 0.2), soft):
        assert torch.autograd.gradcheck(lambda z, t=target: arb_loss(z, t), logits)


def test_large_logits_do_not_overflow():
    logits = torch.tensor([[500.0, 0.0], [0.0, 500.0]], requires_grad=True)
    loss = arb_loss(logits, torch.tensor([0, 0]), [3.0, 1.0])
    loss.backward()
    assert float(loss.detach()) == pytest.approx((500 - math.log(3)) / 2, rel=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_and_module():
    logits = LOGITS.bfloat16()
    loss = ARBLoss(reduction="sum")
    assert loss(logits, LABELS).dtype == torch.float32
    counts = [9, 5, 3, 1]
    torch.testing.assert_close(loss(logits, LABELS, counts), arb_loss(logits.float(), LABELS, counts, reduction="sum"))
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_counts": [5, 2, 1, 0]}, "class_counts is 0 for class 3, which sample 7 of this batch belongs to"),
        ({"class_counts": [5, 2, 1]}, r"class_counts must have shape \(K,\) = \(4,\)"),
        ({"class_counts": [5, 2, -1, 1]}, "class_counts must be finite and at least 0"),
        ({"target": torch.arange(8)}, r"target must lie in \[0, 3\]"),
        ({"logits": torch.full((8, 4), math.inf)}, "logits has NaN or infinite values"),
        ({"reduction": "total"}, "reduction must be one of"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        arb_loss(**{"logits": LOGITS, "target": LABELS, **options})


def test_counts_are_where_the_labels_are() -> None:
    assert batch_class_counts(LABELS.to("meta"), 4).is_meta
