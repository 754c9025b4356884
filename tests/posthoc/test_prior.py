"""The correction against Bayes' rule on a problem whose posterior is known."""

import numpy as np
import pytest
import torch

from equiangular.posthoc import prior_corrected_logits

COUNTS = [500, 100, 40, 10, 1]
K = len(COUNTS)


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(20, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("target", [None, [1, 1, 1, 1, 1], [1, 2, 3, 4, 5]])
def test_a_posterior_under_one_prior_becomes_that_under_another(target) -> None:
    likelihood = logits().exp()
    pi = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    rho = torch.ones(K, dtype=torch.float64) if target is None else torch.tensor(target, dtype=torch.float64)
    trained = (likelihood * pi / (likelihood * pi).sum(1, keepdim=True)).log()
    corrected = prior_corrected_logits(trained, COUNTS, target_prior=target).softmax(1)
    expected = likelihood * rho / (likelihood * rho).sum(1, keepdim=True)
    torch.testing.assert_close(corrected, expected)


def test_scale_and_strength_enter_as_written() -> None:
    z = logits()
    pi, rho = (np.array(c) / np.sum(c) for c in (COUNTS, [1, 2, 3, 4, 5]))
    expected = 8 * z.numpy() - 0.5 * (np.log(pi) - np.log(rho))
    ours = prior_corrected_logits(z, COUNTS, target_prior=[1, 2, 3, 4, 5], scale=8, strength=0.5)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


def test_the_training_prior_as_target_changes_nothing() -> None:
    torch.testing.assert_close(prior_corrected_logits(logits(), COUNTS, target_prior=COUNTS), logits())
    torch.testing.assert_close(prior_corrected_logits(logits(), COUNTS, strength=0), logits())


def test_there_and_back() -> None:
    there = prior_corrected_logits(logits(), COUNTS, target_prior=[1, 2, 3, 4, 5], strength=0.7)
    back = prior_corrected_logits(there, [1, 2, 3, 4, 5], target_prior=COUNTS, strength=0.7)
    torch.testing.assert_close(back, logits())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_is_kept_and_rounded_once(dtype: torch.dtype) -> None:
    z = logits().to(dtype)
    ours = prior_corrected_logits(z, COUNTS, scale=8)
    assert ours.dtype == dtype
    exact = prior_corrected_logits(z.double(), COUNTS, scale=8)
    torch.testing.assert_close(ours.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_counts": [5, 4, 3, 2, 0]}, "class_counts must be .*above 0: class 4 has 0"),
        ({"class_counts": [5, 4]}, "class_counts has 2 entries for 5 classes"),
        ({"class_counts": None}, "class_counts must be a sequence of K numbers, got None"),
        ({"target_prior": [0.5, 0.5, 0, 0, 0]}, "target_prior must be .*above 0: class 2 has 0"),
        ({"scale": 0}, "scale must be a finite number above 0, got 0"),
        ({"scale": -1.0}, "scale must be"),
        ({"strength": -0.1}, "strength must be a finite number of at least 0, got -0.1"),
        ({"strength": float("nan")}, "strength must be"),
        ({"strength": "all"}, "strength must be .* got 'all'"),
        ({"logits": torch.full((1, K), float("nan"))}, "logits has NaN"),
        ({"logits": torch.zeros(K)}, r"logits must have shape"),
    ],
)
def test_bad_input_is_refused(options: dict, message: str) -> None:
    arguments = {"logits": logits(), "class_counts": COUNTS, **options}
    with pytest.raises(ValueError, match=message):
        prior_corrected_logits(arguments.pop("logits"), arguments.pop("class_counts"), **arguments)
