"""Scale and strength are recovered where the truth is known, and stay sensible where the data say little."""

import math

import pytest
import torch
from scipy.optimize import minimize

from equiangular.posthoc import calibrate_prior_correction, calibrate_scale, prior_corrected_logits
from equiangular.posthoc.calibration import LOG_SCALE_STD, STRENGTH_STD

from .problem import COUNTS, SCALE, K, balanced_accuracy, draw

UNIFORM = torch.ones(K)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.5])
def test_recovers_the_known_posterior(strength: float) -> None:
    z, y = draw(COUNTS, 20_000, seed=0, strength=strength)
    fitted = calibrate_prior_correction(z, y, COUNTS)
    assert fitted.scale == pytest.approx(SCALE, rel=0.08)
    assert fitted.strength == pytest.approx(strength, abs=0.08)


@pytest.mark.parametrize("held_out", [100, 2000])
def test_balanced_accuracy_rises_to_bayes(held_out: int) -> None:
    z, y = draw(COUNTS, held_out, seed=1)
    test_z, test_y = draw(UNIFORM, 5000, seed=2)
    scale, strength = calibrate_prior_correction(z, y, COUNTS)
    before = balanced_accuracy(test_z, test_y)
    after = balanced_accuracy(prior_corrected_logits(test_z, COUNTS, scale=scale, strength=strength), test_y)
    bayes = balanced_accuracy(prior_corrected_logits(test_z, COUNTS, scale=SCALE), test_y)
    assert after > before + 0.05
    assert after > bayes - 0.015


def test_the_corrected_probabilities_are_calibrated() -> None:
    z, y = draw(COUNTS, 20_000, seed=0)
    test_z, test_y = draw(UNIFORM, 20_000, seed=2)
    scale, strength = calibrate_prior_correction(z, y, COUNTS)
    p = prior_corrected_logits(test_z, COUNTS, scale=scale, strength=strength).softmax(1)
    confidence, predicted = p.max(1)
    assert float(confidence.mean()) == pytest.approx(float((predicted == test_y).double().mean()), abs=0.015)


def test_another_target_prior() -> None:
    target = torch.arange(1, K + 1).float()
    z, y = draw(COUNTS, 20_000, seed=0)
    scale, strength = calibrate_prior_correction(z, y, COUNTS, target_prior=target)
    assert scale == pytest.approx(SCALE, rel=0.08)
    assert strength == pytest.approx(1.0, abs=0.08)


def objective(point, z, y, counts, start):
    """The documented objective, written again for SciPy."""
    log_scale, strength = point
    held = torch.bincount(y, minlength=z.shape[1])
    keep = [k for k in range(z.shape[1]) if held[k]]
    pi = counts.double() / counts.sum()
    logits = math.exp(log_scale) * z - strength * pi.log()
    omega = torch.tensor([1 / float(held[k]) for k in y])
    omega = omega.double() / omega.sum()
    position = torch.tensor([keep.index(int(k)) for k in y])
    likelihood = torch.nn.functional.cross_entropy(logits[:, keep], position, reduction="none")
    bracket = (strength - 1) ** 2 / (2 * STRENGTH_STD**2) + (log_scale - start) ** 2 / (2 * LOG_SCALE_STD**2)
    return float((omega * likelihood).sum() + bracket * (omega**2).sum())


def starting_point(z, y) -> float:
    """The log scale at which the median sample's top class has probability 0.95 against the mean of the others."""
    z = z[:, torch.bincount(y, minlength=z.shape[1]) > 0]
    m = z.shape[1]
    gap = float((z.max(1).values - z.mean(1)).median()) * m / (m - 1)
    scale = math.log((m - 1) * 0.95 / 0.05) / gap
    gaps = torch.tensor([scale * gap] + [0.0] * (m - 1))
    assert float(gaps.softmax(0)[0]) == pytest.approx(0.95, abs=1e-6)
    return math.log(scale)


@pytest.mark.parametrize(("number", "strength"), [(40, 1.0), (40, 0.0), (300, 1.5)])
def test_agrees_with_an_independent_minimiser(number: int, strength: float) -> None:
    z, y = draw(COUNTS, number, seed=3, strength=strength)
    assert number > 100 or len(y.unique()) < K  # the small draws have absent classes
    start = starting_point(z, y)
    options = {"xatol": 1e-7, "fatol": 1e-12}
    found = minimize(objective, [start, 1.0], (z, y, COUNTS, start), "Nelder-Mead", options=options)
    fitted = calibrate_prior_correction(z, y, COUNTS)
    assert fitted.scale == pytest.approx(math.exp(found.x[0]), rel=1e-4)
    assert fitted.strength == pytest.approx(found.x[1], abs=1e-4)


@pytest.mark.parametrize("fit", [calibrate_scale, calibrate_prior_correction])
def test_held_out_data_that_are_worked_on_in_parts_give_the_same(fit, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = draw(COUNTS, 300, seed=3)
    whole = fit(z, y, COUNTS)
    monkeypatch.setattr("equiangular.posthoc.calibration.PART", 2 * K * 64)  # 64 rows at once, and 44 at last
    assert fit(z, y, COUNTS) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(("strength", "bound"), [(-3.0, 0.0), (8.0, 4.0)])
def test_the_strength_stays_within_its_bounds(strength: float, bound: float) -> None:
    z, y = draw(COUNTS, 3000, seed=4, strength=strength)
    fitted = calibrate_prior_correction(z, y, COUNTS)
    assert fitted.strength == bound
    assert 0 < fitted.scale < 100


def test_absent_classes_do_not_pull_the_strength_down() -> None:
    z, y = draw(COUNTS, 20_000, seed=0)
    kept = y < 5
    fitted = calibrate_prior_correction(z[kept], y[kept], COUNTS)
    assert fitted.strength == pytest.approx(1.0, abs=0.1)
    assert fitted.scale == pytest.approx(SCALE, rel=0.1)


def test_a_tiny_hold_out_stays_near_bayes_rule() -> None:
    for seed in range(5):
        z, y = draw(COUNTS, 12, seed=seed)
        scale, strength = calibrate_prior_correction(z, y, COUNTS)
        assert strength == pytest.approx(1.0, abs=0.8)
        assert SCALE / 4 < scale < SCALE * 4


def test_separable_data_leave_the_scale_finite() -> None:
    scale, strength = calibrate_prior_correction(torch.eye(K).repeat(3, 1), torch.arange(K).repeat(3), COUNTS)
    assert 1 < scale < 50
    assert 0 <= strength <= 2


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_the_unit_of_the_logits_does_not_matter(factor: float) -> None:
    z, y = draw(COUNTS, 200, seed=5)
    a, b = calibrate_prior_correction(z, y, COUNTS), calibrate_prior_correction(factor * z, y, COUNTS)
    assert b.scale * factor == pytest.approx(a.scale, rel=1e-4)
    assert b.strength == pytest.approx(a.strength, abs=1e-4)


def test_equal_logits_and_half_precision_are_survived() -> None:
    flat = calibrate_prior_correction(torch.zeros(4, K), torch.arange(4), COUNTS)
    assert math.isfinite(flat.scale)
    z, y = draw(COUNTS, 200, seed=5)
    half, full = calibrate_prior_correction(z.half(), y, COUNTS), calibrate_prior_correction(z, y, COUNTS)
    assert half.scale == pytest.approx(full.scale, rel=0.01)


def test_works_without_gradients_being_enabled_and_leaves_none_behind() -> None:
    z, y = draw(COUNTS, 100, seed=5)
    z.requires_grad_()
    with torch.no_grad():
        inside = calibrate_prior_correction(z, y, COUNTS)
    assert inside == calibrate_prior_correction(z, y, COUNTS)
    assert z.grad is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "1 of 10 classes; at least 2 are needed.*strength of 1"),
        ({"labels": torch.tensor([0, 1, 10])}, r"labels must lie in \[0, 9\]"),
        ({"labels": torch.tensor([0, 1])}, "labels has 2 entries for 3 samples"),
        ({"labels": torch.tensor([0.0, 1.0, 2.0])}, "labels must hold integers"),
        ({"class_counts": [0] + [1] * (K - 1)}, "class 0 has 0"),
        ({"target_prior": [1.0, 2.0]}, "target_prior has 2 entries for 10 classes"),
        ({"logits": torch.full((3, K), float("inf"))}, "logits has NaN or infinite"),
    ],
)
def test_bad_input_is_refused(change: dict, message: str) -> None:
    arguments = {"logits": torch.zeros(3, K), "labels": torch.arange(3), "class_counts": COUNTS, **change}
    with pytest.raises(ValueError, match=message):
        calibrate_prior_correction(**arguments)


def test_an_empty_hold_out_is_refused() -> None:
    with pytest.raises(ValueError, match="0 of 10 classes; at least 2"):
        calibrate_prior_correction(torch.zeros(0, K), torch.zeros(0, dtype=torch.int64), COUNTS)


def test_an_expected_scale_holds_where_data_are_few() -> None:
    """The fit to ten samples leans on it by half, that to thousands does not."""
    prior = COUNTS.double() / COUNTS.sum()
    few, many = draw(prior, 10, seed=3), draw(prior, 20_000, seed=3)
    for held, lowest, highest in ((few, 1.5, 4.0), (many, 1.0, 1.1)):
        low, high = (
            calibrate_prior_correction(*held, COUNTS, expected_scale=expected).scale
            for expected in (0.5 * SCALE, 2 * SCALE)
        )
        assert lowest <= high / low <= highest
    with pytest.raises(ValueError, match="expected_scale must be a finite number above 0"):
        calibrate_prior_correction(*few, COUNTS, expected_scale=0)
