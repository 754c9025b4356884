"""Tau-normalisation by hand, its limits, and the choice of tau by balanced accuracy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equiangular.posthoc.prior import TAUS, choose_tau, tau_normalized_weight

WEIGHT = torch.tensor([[3.0, 4.0], [0.0, 0.5], [-2.0, 0.0]], dtype=torch.float64)  # norms 5, 1/2 and 2


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 1.5])
def test_by_hand(tau):
    expected = [[3 / 5**tau, 4 / 5**tau], [0, 0.5 / 0.5**tau], [-2 / 2**tau, 0]]
    np.testing.assert_allclose(tau_normalized_weight(WEIGHT, tau).numpy(), expected, rtol=1e-12)


@given(tau=st.floats(0, 3))
def test_norms_are_raised_to_one_minus_tau_and_directions_stay(tau):
    changed = tau_normalized_weight(WEIGHT, tau)
    norms = WEIGHT.norm(dim=1)
    np.testing.assert_allclose(changed.norm(dim=1).numpy(), norms.numpy() ** (1 - tau), rtol=1e-10)
    cosines = (changed * WEIGHT).sum(1) / (changed.norm(dim=1) * norms)
    np.testing.assert_allclose(cosines.numpy(), 1, rtol=1e-12)


def test_a_zero_row_stays_zero_and_the_dtype_stays():
    weight = torch.tensor([[0.0, 0.0], [0.0, 2.0]], dtype=torch.bfloat16)
    changed = tau_normalized_weight(weight, 1.0)
    assert changed.dtype == torch.bfloat16
    assert changed.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def accuracy_balanced(features, labels, weight, tau):
    """Balanced accuracy by a loop over the classes."""
    rows = weight.numpy() / np.linalg.norm(weight.numpy(), axis=1, keepdims=True) ** tau
    predicted = (features.numpy() @ rows.T).argmax(1)
    present = np.unique(labels)
    return np.mean([(predicted[labels.numpy() == c] == c).mean() for c in present])


def long_tailed_problem(seed=0):
    """Class vectors whose norms grow with class size, as training on a long tail leaves them."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(5, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = [200, 90, 40, 15, 6]
    labels = np.repeat(np.arange(5), sizes)
    features = 3 * directions[labels] + rng.normal(size=(len(labels), 8))
    weight = directions * np.array([3.0, 2.2, 1.5, 0.9, 0.5])[:, None]
    return torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(weight)


def test_chosen_tau_has_the_best_balanced_accuracy_and_beats_the_trained_classifier():
    features, labels, weight = long_tailed_problem()
    scores = {tau: accuracy_balanced(features, labels, weight, tau) for tau in TAUS}
    tau = choose_tau(features, labels, weight)
    assert scores[tau] == pytest.approx(max(scores.values()))
    assert tau == max(t for t, s in scores.items() if s == pytest.approx(max(scores.values()), abs=1e-9))
    assert scores[tau] > scores[0.0] + 0.1


def test_a_class_absent_from_the_held_out_data_is_left_out():
    features, labels, weight = long_tailed_problem()
    kept = labels != 4
    scores = {t: accuracy_balanced(features[kept], labels[kept], weight, t) for t in TAUS}
    assert scores[choose_tau(features[kept], labels[kept], weight)] == pytest.approx(max(scores.values()))


def test_ties_go_to_the_largest_tau_whatever_the_order():
    features, labels = torch.eye(2), torch.arange(2)
    assert choose_tau(features, labels, torch.eye(2), taus=[0.25, 1.0, 0.5]) == 1.0


def test_the_frequent_class_stops_tau_where_it_would_lose_its_samples():
    """At x = (1, 0.9) and norms 4 and 1.5 class 0 wins while 4^(1 - tau) > 0.9 x 1.5^(1 - tau): up to tau = 1.1."""
    weight = torch.tensor([[4.0, 0.0], [0.0, 1.5]], dtype=torch.float64)
    features, labels = torch.tensor([[1.0, 0.9], [0.2, 1.0]], dtype=torch.float64), torch.tensor([0, 1])
    limit = 1 + math.log(1 / 0.9) / math.log(4 / 1.5)
    taus = [limit - 0.01, limit + 0.01, 2.0]
    assert choose_tau(features, labels, weight, taus=taus) == limit - 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tau_normalized_weight(WEIGHT, -0.5), r"tau must be a finite number of at least 0, got -0\.5"),
        (lambda: tau_normalized_weight(WEIGHT, math.nan), "tau must be a finite number"),
        (lambda: tau_normalized_weight(WEIGHT[0], 1.0), r"weight must have shape \(B, d\), got \(2,\)"),
        (lambda: tau_normalized_weight(WEIGHT * math.nan, 1.0), "weight has NaN"),
        (lambda: choose_tau(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), WEIGHT), "got 0 samples"),
        (lambda: choose_tau(torch.eye(2), torch.arange(2), WEIGHT, taus=[]), "0 candidates"),
        (lambda: choose_tau(torch.eye(3), torch.arange(3), WEIGHT), "features must have width 2"),
        (lambda: choose_tau(torch.eye(2), torch.tensor([0, 3]), WEIGHT), r"labels must lie in \[0, 2\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
