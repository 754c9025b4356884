"""LDAM against its definition written out, its limits and gradients; the switch of deferred re-weighting."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses.class_balanced import class_balanced_weights
from equiangular.losses.ldam import LDAMLoss, deferred_class_weights, ldam_loss, ldam_margins

COUNTS = [10_000, 625, 16]  # fourth roots 10, 5 and 2: margins 0.1, 0.2 and 0.5
COSINES = np.array([[0.9, -0.2, 0.1], [0.3, 0.25, -0.9], [-0.5, -0.5, -0.5], [0.2, 0.1, 0.95]])
LABELS = np.array([0, 1, 2, 0])


def by_hand(cosines, label, margins, scale):
    own = scale * (cosines[label] - margins[label])
    return math.log1p(sum(math.exp(scale * c - own) for k, c in enumerate(cosines) if k != label))


def test_margins():
    np.testing.assert_allclose(ldam_margins(COUNTS).numpy(), [0.1, 0.2, 0.5], rtol=1e-12)
    assert float(ldam_margins([7, 7], max_margin=0.3).max()) == pytest.approx(0.3)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_hard_targets(scale):
    expected = [by_hand(c, y, [0.1, 0.2, 0.5], scale) for c, y in zip(COSINES, LABELS, strict=True)]
    losses = ldam_loss(torch.tensor(COSINES), torch.tensor(LABELS), COUNTS, scale=scale, reduction="none")
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-10)


def test_soft_and_mixup_targets_give_each_class_its_own_margin():
    other, lam, weight = np.array([2, 0, 2, 1]), 0.75, [0.5, 1.0, 4.0]
    margins = [0.1, 0.2, 0.5]
    expected = [
        lam * weight[a] * by_hand(c, a, margins, 30.0) + (1 - lam) * weight[b] * by_hand(c, b, margins, 30.0)
        for c, a, b in zip(COSINES, LABELS, other, strict=True)
    ]
    cosines, a, b = torch.tensor(COSINES), torch.tensor(LABELS), torch.tensor(other)
    soft = lam * F.one_hot(a, 3).double() + (1 - lam) * F.one_hot(b, 3).double()
    for target in ((a, b, lam), soft):
        losses = ldam_loss(cosines, target, COUNTS, class_weight=weight, reduction="none")
        np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-10)


def test_without_margin_it_is_scaled_cross_entropy():
    cosines, labels = torch.tensor(COSINES), torch.tensor(LABELS)
    loss = ldam_loss(cosines, labels, COUNTS, max_margin=0.0, scale=12.0)
    torch.testing.assert_close(loss, F.cross_entropy(12.0 * cosines, labels))


def test_gradcheck_with_a_learned_scale():
    cosines = torch.tensor(COSINES, requires_grad=True)
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    for target in (torch.tensor(LABELS), torch.full((4, 3), 1 / 3, dtype=torch.float64)):
        assert torch.autograd.gradcheck(lambda c, s, t=target: ldam_loss(c, t, COUNTS, scale=s), (cosines, scale))


def test_float32_keeps_the_loss_of_a_sample_that_is_right_by_far():
    """p_y rounds to 1 in float32 before the margin is taken off; the loss after it is still right."""
    cosines = torch.tensor([[1.0, 0.40, 0.45], [0.44, 0.46, 1.0]], dtype=torch.float64)
    labels = torch.tensor([2, 2])
    exact = ldam_loss(cosines, labels, COUNTS, reduction="none")
    single = ldam_loss(cosines.float(), labels, COUNTS, reduction="none")
    naive = F.cross_entropy(30 * (cosines.float() - torch.tensor([0.0, 0.0, 0.5])), labels, reduction="none")
    error, naive_error = (single - exact).abs() / exact, (naive - exact).abs() / exact
    assert bool((error <= naive_error + 1e-6).all())
    assert float(exact[1]) > 0.2


def test_ties_and_far_apart_cosines_have_finite_gradients():
    cosines = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]], requires_grad=True)
    ldam_loss(cosines, torch.tensor([0, 0]), COUNTS, scale=500.0).backward()
    assert torch.isfinite(cosines.grad).all()


def test_deferred_weights_switch_at_the_share_of_the_epochs():
    before = [deferred_class_weights(COUNTS, epoch, 200) for epoch in (0, 159)]
    after = [deferred_class_weights(COUNTS, epoch, 200) for epoch in (160, 199)]
    assert all(w.tolist() == [1.0, 1.0, 1.0] for w in before)
    expected = class_balanced_weights(COUNTS, beta=0.9999, average="samples")
    assert all(torch.equal(w, expected) for w in after)
    assert float(expected[2] / expected[0]) > 300
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    assert float((expected * counts).sum()) == pytest.approx(float(counts.sum()))


@pytest.mark.parametrize(
    ("epochs", "start", "first"), [(10, 0.8, 8), (1, 0.8, 1), (13, 0.8, 11), (100, 0.55, 55), (7, 0.5, 4), (5, 0.0, 0)]
)
def test_first_reweighted_epoch(epochs, start, first):
    reweighted = [
        e for e in range(epochs + 1) if float(deferred_class_weights(COUNTS, e, epochs, start=start)[0]) != 1.0
    ]
    assert reweighted[0] == first


def test_module_agrees_and_keeps_nothing_in_its_state():
    loss = LDAMLoss(COUNTS, max_margin=0.4, scale=10.0, reduction="sum")
    cosines, labels = torch.tensor(COSINES).float(), torch.tensor(LABELS)
    weight = [1.0, 2.0, 3.0]
    expected = ldam_loss(cosines, labels, COUNTS, max_margin=0.4, scale=10.0, class_weight=weight, reduction="sum")
    torch.testing.assert_close(loss(cosines, labels, weight), expected)
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cosines": torch.tensor([[30.0, 1.0, 0.0]])}, r"cosines must lie in \[-1, 1\], got an absolute value of 30"),
        ({"max_margin": -0.1}, "max_margin must be a finite number of at least 0"),
        ({"scale": 0.0}, "scale must be a finite number above 0"),
        ({"class_counts": [3, 1]}, r"cosines must have width 2"),
        ({"class_counts": [3, 1, 0]}, "class 2 has 0"),
        ({"class_weight": [1.0]}, "class_weight must have shape"),
        ({"target": torch.tensor([3])}, r"target must lie in \[0, 2\]"),
    ],
)
def test_bad_input(options, message):
    good = {"cosines": torch.tensor([[0.5, 0.1, 0.0]]), "target": torch.tensor([0]), "class_counts": COUNTS}
    with pytest.raises(ValueError, match=message):
        ldam_loss(**{**good, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": -1}, "epoch must be an integer >= 0"),
        ({"epochs": 0}, "epochs must be an integer >= 1"),
        ({"start": 80}, r"start must be a share of the epochs in \[0, 1\], got 80"),
    ],
)
def test_bad_schedule(options, message):
    with pytest.raises(ValueError, match=message):
        deferred_class_weights(**{"class_counts": COUNTS, "epoch": 0, "epochs": 10, **options})
