"""The prior of unlabelled data: EM against a convex solver, standard errors against repeated draws, known priors."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tests.posthoc.problem import COUNTS, SCALE, K, draw

from equiangular.posthoc import bias_corrected_temperature, estimate_prior

TRUE = torch.tensor([1, 1, 2, 3, 5, 5, 8, 10, 15, 20], dtype=torch.float64)
TRUE = TRUE / TRUE.sum()


def by_solver(log_posteriors: torch.Tensor, train_prior: torch.Tensor) -> np.ndarray:
    """The same optimum by sequential quadratic programming over the simplex."""
    ratio = (log_posteriors.double().softmax(1) / (train_prior / train_prior.sum())).numpy()
    found = minimize(
        lambda q: -np.log(ratio @ q).mean(),
        np.full(ratio.shape[1], 1 / ratio.shape[1]),
        jac=lambda q: -(ratio / (ratio @ q)[:, None]).mean(0),
        bounds=[(0, 1)] * ratio.shape[1],
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return found.x


@pytest.mark.parametrize("number", [30, 2000])
def test_em_finds_the_optimum_of_a_convex_solver(number: int) -> None:
    logits, _ = draw(TRUE, number, seed=0)
    found = estimate_prior(SCALE * logits, COUNTS, tolerance=1e-9, max_iterations=100_000)
    assert found.converged
    torch.testing.assert_close(found.prior, torch.from_numpy(by_solver(SCALE * logits, COUNTS)), atol=2e-4, rtol=0)
    assert math.isclose(float(found.prior.sum()), 1, abs_tol=1e-12)


def test_the_tolerance_bounds_what_is_missing() -> None:
    logits, _ = draw(TRUE, 500, seed=1)
    best = estimate_prior(SCALE * logits, COUNTS, tolerance=1e-10, max_iterations=100_000)
    for tolerance in (1e-2, 1e-4):
        found = estimate_prior(SCALE * logits, COUNTS, tolerance=tolerance)
        assert found.iterations < best.iterations
        assert 0 <= (best.log_likelihood - found.log_likelihood) / 500 <= tolerance
    early = estimate_prior(SCALE * logits, COUNTS, max_iterations=2)
    assert (early.iterations, early.converged) == (2, False)


def test_the_log_likelihood_is_that_of_the_samples() -> None:
    logits, _ = draw(TRUE, 200, seed=2)
    found = estimate_prior(SCALE * logits, COUNTS)
    # By the problem's own formula log p(x | y=k) is the logits less the training prior, up to a constant of x.
    log_density = SCALE * logits - (COUNTS.double() / COUNTS.sum()).log()
    under = [(log_density + (prior / prior.sum()).log()).logsumexp(1).sum() for prior in (found.prior, COUNTS.double())]
    assert math.isclose(found.log_likelihood, float(under[0] - under[1]), rel_tol=1e-9)
    assert found.log_likelihood > 0


def test_standard_errors_are_those_of_repeated_draws() -> None:
    draws = [estimate_prior(SCALE * draw(TRUE, 1000, seed=seed)[0], COUNTS) for seed in range(40)]
    priors = torch.stack([d.prior for d in draws])
    claimed = torch.stack([d.standard_error for d in draws]).mean(0)
    ratio = priors.std(0) / claimed
    assert ((ratio > 0.6) & (ratio < 1.5)).all()  # 40 draws: a standard deviation is known to 11 %
    assert ((priors.mean(0) - TRUE).abs() < 4 * claimed / math.sqrt(40)).all()


def test_what_cannot_be_told_apart_is_infinitely_uncertain() -> None:
    p = torch.tensor([[0.4, 0.4, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    error = estimate_prior(p.log(), [1, 1, 1]).standard_error
    assert error[:2].isinf().all()
    assert error[2].isfinite()


def test_an_absent_class_gets_nothing_and_constants_change_nothing() -> None:
    logits, labels = draw(TRUE, 4000, seed=3)
    z = SCALE * logits[labels != 9]
    found = estimate_prior(z, COUNTS)
    assert found.prior[9] < 0.01
    shifted = estimate_prior(z + torch.randn(len(z), 1), COUNTS)
    torch.testing.assert_close(shifted.prior, found.prior)
    order = torch.randperm(K, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(estimate_prior(z[:, order], COUNTS[order]).prior, found.prior[order])


@pytest.mark.parametrize("factor", [1, 10, 100])
def test_em_is_closer_than_counting(factor: int) -> None:
    true = torch.logspace(0, math.log10(factor), K, dtype=torch.float64) if factor > 1 else torch.ones(K).double()
    true = true / true.sum()
    logits, _ = draw(true, 2000, seed=factor)
    counted = torch.bincount(logits.argmax(1), minlength=K) / 2000
    found = estimate_prior(SCALE * logits, COUNTS).prior
    assert (found - true).abs().sum() < 0.5 * (counted - true).abs().sum()


def test_bias_correction_recovers_scale_and_bias() -> None:
    prior = COUNTS.double() / COUNTS.sum()
    logits, labels = draw(prior, 20_000, seed=4)
    bent = logits + torch.linspace(-0.3, 0.3, K)
    scale, bias = bias_corrected_temperature(bent, labels, COUNTS)
    assert abs(scale / SCALE - 1) < 0.05
    expected = -SCALE * torch.linspace(-0.3, 0.3, K).double()
    assert (bias - expected)[:7].abs().max() < 0.3  # the last three classes have 10 to 200 samples
    assert abs(float(bias.mean())) < 1e-12
    shares = torch.bincount(labels, minlength=K) / len(labels)
    torch.testing.assert_close((scale * bent + bias).softmax(1).mean(0), shares.double(), atol=1e-3, rtol=0)


def test_bias_correction_is_the_optimum_of_another_solver() -> None:
    logits, labels = draw(COUNTS / COUNTS.sum(), 300, seed=5)
    z, y = logits.numpy(), labels.numpy()
    start = np.log(COUNTS.numpy() / COUNTS.sum().numpy()) + math.log(K)

    def objective(point: np.ndarray) -> float:
        s = np.exp(point[0]) * z + point[1:]
        likelihood = (np.log(np.exp(s - s.max(1, keepdims=True)).sum(1)) + s.max(1) - s[np.arange(300), y]).mean()
        return likelihood + ((point[0] / 0.5) ** 2 + ((point[1:] - start) ** 2).sum()) / 600

    expected = minimize(objective, np.r_[0.0, start], method="BFGS", options={"gtol": 1e-8}).x
    scale, bias = bias_corrected_temperature(logits, labels, COUNTS, logit_prior=torch.ones(K))
    assert math.isclose(scale, math.exp(expected[0]), rel_tol=1e-4)
    np.testing.assert_allclose(bias, expected[1:] - expected[1:].mean(), atol=1e-3)


def test_separable_and_missing_classes_stay_finite() -> None:
    z = 5 * torch.eye(3)[[0, 1, 0, 1]]
    scale, bias = bias_corrected_temperature(z, torch.tensor([0, 1, 0, 1]), [2, 2, 1])
    assert math.isfinite(scale)
    assert bias.isfinite().all()


def test_bad_input() -> None:
    z = torch.zeros(4, 3)
    with pytest.raises(ValueError, match="no samples"):
        estimate_prior(z[:0], [1, 1, 1])
    with pytest.raises(ValueError, match="train_prior has 2 entries for 3 classes"):
        estimate_prior(z, [1, 1])
    with pytest.raises(ValueError, match="tolerance must be a finite number above 0"):
        estimate_prior(z, [1, 1, 1], tolerance=0)
    with pytest.raises(ValueError, match="max_iterations must be"):
        estimate_prior(z, [1, 1, 1], max_iterations=0)
    with pytest.raises(ValueError, match="NaN"):
        estimate_prior(z * math.nan, [1, 1, 1])
    with pytest.raises(ValueError, match="needs held-out samples, got none"):
        bias_corrected_temperature(z[:0], torch.zeros(0, dtype=torch.int64), [1, 1, 1])


def test_the_expected_error_is_what_other_draws_are_off_by() -> None:
    """Total variation over 200 draws of a known prior, with posteriors that are right; and one sample says nothing."""
    rng = np.random.default_rng(0)
    prior, means = np.array([0.5, 0.3, 0.2]), 1.5 * np.eye(3)
    off, expected = [], []
    for _ in range(200):
        y = rng.choice(3, size=150, p=prior)
        x = means[y] + rng.normal(size=(150, 3))
        found = estimate_prior(torch.from_numpy(-((x[:, None] - means) ** 2).sum(2) / 2), [1, 1, 1])
        off.append(abs(found.prior.numpy() - prior).sum() / 2)
        expected.append(found.expected_error)
    assert np.mean(expected) == pytest.approx(np.mean(off), rel=0.1)
    assert not estimate_prior(torch.tensor([[0.0, 1.0, 2.0]]), [1, 1, 1]).expected_error < 1
