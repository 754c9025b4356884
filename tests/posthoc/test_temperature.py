"""The temperature against a search over the objective as written, and on logits whose right scale is known."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from equiangular.posthoc import calibrate_scale

COUNTS = np.array([900, 90, 10])


def problem(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact log posteriors under equal priors of samples that follow the training prior."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([rng.choice(3, n - 3, p=COUNTS / COUNTS.sum()), np.arange(3)])
    x = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    return torch.from_numpy(1.5 * x), torch.from_numpy(labels)


@pytest.mark.parametrize("n", [12, 400])
@pytest.mark.parametrize("prior", [None, [1, 1, 1], [2.0, 1.0, 5.0]])
def test_against_a_search(n: int, prior: list | None) -> None:
    z, y = problem(n)
    pi, beta = COUNTS / COUNTS.sum(), np.array(COUNTS if prior is None else prior, dtype=float)
    shift = np.log(pi) - np.log(beta / beta.sum())

    def objective(log_scale: float) -> float:
        log_p = log_softmax(np.exp(log_scale) * z.numpy() + shift, axis=1)
        return -log_p[np.arange(n), y.numpy()].mean() + log_scale**2 / (2 * 0.25 * n)

    expected = np.exp(minimize_scalar(objective, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10}).x)
    found = calibrate_scale(z, y, COUNTS, logit_prior=prior)
    assert found == pytest.approx(expected, rel=1e-4)  # the objective is flat there


@pytest.mark.parametrize("factor", [0.25, 1.0, 6.0])
def test_the_right_scale_is_found(factor: float) -> None:
    z, y = problem(20000)
    assert calibrate_scale(factor * z, y, COUNTS, logit_prior=[1, 1, 1]) == pytest.approx(1 / factor, rel=0.05)
    train = z + torch.from_numpy(np.log(COUNTS / COUNTS.sum()))
    assert calibrate_scale(factor * train, y, COUNTS) == pytest.approx(1 / factor, rel=0.05)


def test_classes_without_samples_are_left_out() -> None:
    z, y = problem(300)
    wide = torch.cat([z, torch.full((300, 1), 50.0, dtype=z.dtype)], 1)
    got = calibrate_scale(wide, y, [*COUNTS, 1], logit_prior=[1] * 4)
    assert got == pytest.approx(calibrate_scale(z, y, COUNTS, logit_prior=[1] * 3), rel=1e-6)


def test_one_sample_and_separable_data_stay_finite() -> None:
    for n in (1, 50):
        scale = calibrate_scale(torch.eye(3).repeat(n, 1)[:n], torch.arange(3).repeat(n)[:n], [1, 1, 1])
        assert 0.5 < scale < 50


def test_bad_input() -> None:
    z, y = problem(10)
    with pytest.raises(ValueError, match="needs held-out samples, got none"):
        calibrate_scale(z[:0], y[:0], COUNTS)
    with pytest.raises(ValueError, match="class 1 has 0"):
        calibrate_scale(z, y, [5, 0, 5])
    with pytest.raises(ValueError, match="logit_prior has 2 entries"):
        calibrate_scale(z, y, COUNTS, logit_prior=[1, 1])
    with pytest.raises(ValueError, match="labels"):
        calibrate_scale(z, y + 3, COUNTS)
