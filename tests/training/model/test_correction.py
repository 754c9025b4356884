"""Calibrated class probabilities of stored models: the right prior for each method, against Bayes' rule by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from equiangular.posthoc import calibrate_scale
from equiangular.training import (
    METHODS,
    Classifier,
    ModelInfo,
    build_task,
    corrected_logits,
    fit_correction,
    get_method,
)
from equiangular.training.model.correction import own_prior

COUNTS = (900, 90, 10)


def info(method: str, **changes: object) -> ModelInfo:
    zeros, ones = (0.0,) * 4, (1.0,) * 4
    made = ModelInfo(method, "mlp", (4,), ("a", "b", "c"), COUNTS, zeros, ones, kind="table")
    return replace(made, **changes)


def problem(n: int = 3000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of the training prior and their exact log posteriors, three times too confident."""
    rng = np.random.default_rng(seed)
    prior = np.array(COUNTS) / sum(COUNTS)
    labels = rng.choice(3, n, p=prior)
    x = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    log_posterior = 1.5 * x + np.log(prior)
    return torch.from_numpy(3 * log_posterior), torch.from_numpy(labels)


def test_every_method_is_classified() -> None:
    """A method that is added has to be put on one side or the other."""
    plain = "linear-ce etf-ce cosine-ce rotated-etf-ce frame-ce linear-focal linear-las cosine-ldam"
    plain += " etf-dr etf-dr-batch frame-dr means-ce logistic logistic-names"
    balanced = "recommended linear-la cosine-la random-la etf-la rotated-etf-la frame-la linear-arb etf-arb"
    balanced += " linear-cb-ce linear-cb-focal linear-crt linear-crt-las linear-tau-norm linear-wb cosine-ldam-drw"
    balanced += " means-la named-la named-learned-la linear-vs recommended-vs"
    computed = ("class-means", "gaussian", "ridge", "random-features", "kernel")
    balanced += " logistic-balanced " + " ".join((*computed, *(f"{name}-names" for name in computed)))
    found = {name for name, method in METHODS.items() if method.balances}
    assert found == set(balanced.split())
    assert {name for name in METHODS if not METHODS[name].corrected} - found == set(plain.split())
    assert not any(method.balances and method.corrected for method in METHODS.values())


def test_a_class_balanced_sampler_takes_the_prior_out() -> None:
    z = torch.zeros(1, 3, dtype=torch.float64)
    root = np.sqrt(np.array(COUNTS, dtype=float))
    for balance, prior, expected in ((1.0, "train", COUNTS), (1.0, "uniform", np.ones(3)), (0.5, "uniform", 1 / root)):
        p = corrected_logits(z, info("etf-ce", balance=balance), prior).softmax(1)[0].numpy()
        np.testing.assert_allclose(p, np.array(expected) / np.sum(expected), rtol=1e-12)
    logits, labels = problem(500)
    fitted = fit_correction(logits, labels, COUNTS, get_method("etf-ce"), balance=1.0)
    assert fitted["scale"] == calibrate_scale(logits, labels, COUNTS, logit_prior=[1, 1, 1])


def test_temperature_against_a_search_and_predictions_stay() -> None:
    logits, labels = problem()
    fitted = fit_correction(logits, labels, COUNTS, get_method("etf-ce"))
    log_scale = minimize_scalar(
        lambda t: float(torch.nn.functional.cross_entropy(np.exp(t) * logits, labels)), bounds=(-5, 5), method="bounded"
    ).x
    assert fitted["scale"] == pytest.approx(np.exp(log_scale), rel=0.02)  # the weak prior on the scale is left out here
    assert fitted["scale"] == pytest.approx(1 / 3, rel=0.1)
    assert fitted["strength"] == 1
    after = corrected_logits(logits, info("etf-ce", correction=fitted))
    assert torch.equal(after.argmax(1), logits.argmax(1))


def test_a_corrected_method_keeps_a_scale_for_its_own_prior() -> None:
    logits, labels = problem()
    fitted = fit_correction(logits, labels, COUNTS, get_method("etf-ce-pc"))
    plain = fit_correction(logits, labels, COUNTS, get_method("etf-ce"))
    assert fitted["own_scale"] == plain["scale"] != fitted["scale"]
    model = info("etf-ce-pc", correction=fitted)
    torch.testing.assert_close(corrected_logits(logits, model, "train"), plain["scale"] * logits)
    proportional = [2.0 * c for c in COUNTS]
    torch.testing.assert_close(corrected_logits(logits, model, proportional), plain["scale"] * logits)
    shift = fitted["strength"] * torch.tensor(COUNTS).double().log()
    expected = (fitted["scale"] * logits - shift).softmax(1)
    torch.testing.assert_close(corrected_logits(logits, model).softmax(1), expected)


def test_priors_follow_bayes_rule() -> None:
    logits, _ = problem(50)
    posterior = torch.softmax(0.5 * logits, 1)
    model = info("etf-ce", correction={"scale": 0.5, "strength": 1.0})
    weights = torch.tensor([1.0, 2.0, 7.0], dtype=torch.float64)
    for prior, target in (("uniform", torch.ones(3)), ("train", torch.tensor(COUNTS)), (weights.tolist(), weights)):
        expected = posterior / torch.tensor(COUNTS) * target
        expected = expected / expected.sum(1, keepdim=True)
        torch.testing.assert_close(corrected_logits(logits, model, prior).softmax(1), expected)


def test_a_rebalanced_method_gets_the_training_prior_on_request() -> None:
    z = torch.zeros(1, 3, dtype=torch.float64)
    model = info("etf-la")
    assert corrected_logits(z, model).softmax(1)[0].tolist() == pytest.approx([1 / 3] * 3)
    assert corrected_logits(z, model, "train").softmax(1)[0].tolist() == pytest.approx([0.9, 0.09, 0.01])


def test_the_prior_of_a_model_in_a_word() -> None:
    words = {name: own_prior(info(name)) for name in ("etf-ce", "etf-ce-pc", "etf-la", "linear-crt")}
    assert words == {"etf-ce": "train", "etf-ce-pc": "uniform", "etf-la": "uniform", "linear-crt": "uniform"}
    assert own_prior(info("etf-ce", balance=1.0)) == "uniform"
    assert own_prior(info("etf-ce", balance=0.5)) == "sampler"


def test_strength_scales_the_exchange() -> None:
    z = torch.zeros(1, 3, dtype=torch.float64)
    model = info("etf-ce-pc", correction={"scale": 1.0, "strength": 0.5})
    expected = np.array(COUNTS, dtype=float) ** -0.5
    assert corrected_logits(z, model).softmax(1)[0].tolist() == pytest.approx((expected / expected.sum()).tolist())


@pytest.mark.parametrize("method", ["etf-ce-pc", "etf-ce", "etf-la"])
@pytest.mark.parametrize("prior", [None, "train", "uniform", [3.0, 1.0, 1.0]])
def test_the_classifier_agrees_with_the_function(method: str, prior: object) -> None:
    task = build_task(get_method(method), "mlp", (4,), 3, seed=0).eval()
    model = info(method, correction={"scale": 0.4, "strength": 0.8}, mean=(1.0, 2.0, 3.0, 4.0), std=(2.0,) * 4)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = task((x - torch.tensor(model.mean)) / 2)["logits"]
        logits, probabilities = Classifier(task, model, prior=prior)(x)
    torch.testing.assert_close(logits, corrected_logits(raw, model, prior))
    torch.testing.assert_close(probabilities, logits.softmax(1))


def test_bytes_are_scaled() -> None:
    task = build_task(get_method("etf-la"), "digits", (1, 8, 8), 3, seed=0)
    model = ModelInfo("etf-la", "digits", (1, 8, 8), ("a", "b", "c"), COUNTS, (0.5,), (0.25,))
    x = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classifier = Classifier(task, model)
    torch.testing.assert_close(classifier(x).logits, classifier(x.float() / 255).logits)


def test_too_little_validation_data() -> None:
    assert fit_correction(torch.zeros(3, 3), torch.zeros(3, dtype=torch.int64), COUNTS, get_method("etf-la")) is None
    kept = fit_correction(torch.eye(3), torch.zeros(3, dtype=torch.int64), COUNTS, get_method("etf-ce-pc"))
    assert "3 samples of 1 of the 3 classes" in kept["declined"]  # and not a correction that nothing calibrated


def test_a_correction_that_ruins_the_held_out_part_is_left_out() -> None:
    """Equal counts in the classes present, one sample in the absent one: the whole shift goes there."""
    labels = torch.arange(3).repeat_interleave(4)
    logits = torch.nn.functional.one_hot(labels, 4).double()
    logits[::4] = logits[::4].roll(1, dims=1)  # a wrong one in each class, so that the scale fitted is finite
    found = fit_correction(logits, labels, [30, 30, 30, 1], get_method("etf-ce-pc"))
    assert found is not None
    assert "lowers balanced accuracy from " in found["declined"]
    kept = fit_correction(logits, labels, [30, 30, 30, 25], get_method("etf-ce-pc"))
    assert kept is not None
    assert "declined" not in kept


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("unifrom", "did you mean 'uniform'"),
        ([1.0, 2.0], "2 entries for 3 classes"),
        ([1.0, 0.0, 1.0], "class 1 has 0"),
    ],
)
def test_bad_priors(prior: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrected_logits(torch.zeros(1, 3), info("etf-la"), prior)
