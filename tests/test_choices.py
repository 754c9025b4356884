"""What is refused is named as in the call: an option of a few values, class counts and weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import equiangular as eq
from equiangular import closed_form, frames, losses, measures, posthoc
from equiangular.losses import class_balanced_weights
from equiangular.measures import collapse

B, D, K = 6, 8, 4
X, Y, W = torch.eye(B, D) + 0.1, torch.arange(B) % K, torch.eye(K, D)
LOGITS = X[:, :K]
COUNTS = [4, 3, 2, 1]


def moments() -> collapse.ClassMoments:
    return collapse.ClassMoments.empty(K, D).update(X, Y)


def came(vector: Any) -> object:
    return eq.IncrementalETFHead(D, K, reserved=2).register_classes(X[:2], [K, K + 1], vector=vector)


CHOICES: list[tuple[str, Callable[[Any], object]]] = [
    ("basis", lambda v: eq.simplex_etf(K, D, basis=v)),
    ("basis", lambda v: frames.orthoplex(K, D, basis=v)),
    ("basis", lambda v: eq.simplex_logits(X, K, basis=v)),
    ("basis", lambda v: eq.ETFHead(D, K, basis=v)),
    ("objective", lambda v: eq.spread_frame(7, 3, objective=v, cache=False)),
    ("objective", lambda v: eq.spherical_code(7, 3, objective=v)),
    ("construction", lambda v: frames.implicit_rows(Y, D, construction=v)),
    ("construction", lambda v: eq.ImplicitHead(D, K, construction=v)),
    ("norm", lambda v: eq.ETFHead(D, K, norm=v)),
    ("projection", lambda v: eq.ETFHead(D, K, projection=v)),
    ("zero_norm", lambda v: eq.ETFHead(D, K, zero_norm=v)),
    ("scale", lambda v: eq.ETFHead(D, K, scale=v)),
    ("vector", came),
    ("head", lambda v: eq.make_head(v, D, K)),
    ("move", lambda v: eq.align_head(eq.ETFHead(D, K), W, move=v)),
    ("reduction", lambda v: losses.DotLoss(reduction=v)),
    ("reduction", lambda v: eq.dot_loss(X, Y, W, reduction=v)),
    ("reduction", lambda v: eq.dot_regression_loss(X, Y, W, reduction=v)),
    ("reduction", lambda v: losses.soft_target_cross_entropy(LOGITS, Y, reduction=v)),
    ("balance", lambda v: losses.DotRegressionLoss(balance=v)),
    ("balance", lambda v: eq.dot_regression_loss(X, Y, W, balance=v)),
    ("average", lambda v: class_balanced_weights([4, 3, 2, 1], average=v)),
    ("method", lambda v: eq.ood_score(X, W, v)),
    ("global_mean", lambda v: eq.NeuralCollapse(K, D, global_mean=v)),
    ("precision", lambda v: eq.NeuralCollapse(K, D, precision=v)),
    ("global_mean", lambda v: collapse.centred_means(moments(), v)),
    ("kind", lambda v: eq.long_tail_counts(50, K, 10, kind=v)),
    ("kind", lambda v: eq.long_tail_indices([0, 1] * 20, 10, kind=v)),
    ("protocol", lambda v: eq.long_tail_indices([0, 1] * 20, 10, protocol=v)),
    ("order", lambda v: eq.long_tail_indices([0, 1] * 20, 10, order=v)),
    ("kind", lambda v: closed_form.ClosedForm(D, K, kind=v)),
    ("target_prior", lambda v: closed_form.ClosedForm(D, K).log_prior(v)),
]


@pytest.mark.parametrize(("name", "call"), CHOICES)
def test_another_value_is_refused_by_name(name: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be one of '.*, got 'nonsense'"):
        call("nonsense")


# Class counts and priors, each with the name that it has in the call.
COUNTED: list[tuple[str, Callable[[Any], object]]] = [
    ("class_counts", lambda v: losses.LDAMLoss(v)),
    ("class_counts", lambda v: losses.ClassBalancedLoss(v)),
    ("class_counts", lambda v: losses.LogitAdjustedCrossEntropyLoss(v)),
    ("class_counts", lambda v: losses.VectorScalingLoss(v)),
    ("class_counts", lambda v: losses.LabelAwareSmoothingLoss(v)),
    ("class_counts", lambda v: class_balanced_weights(v)),
    ("class_counts", lambda v: losses.ldam_margins(v)),
    ("class_counts", lambda v: eq.logit_adjusted_cross_entropy(LOGITS, Y, v)),
    ("class_counts", lambda v: posthoc.prior_corrected_logits(LOGITS, v)),
    ("target_prior", lambda v: posthoc.prior_corrected_logits(LOGITS, [4, 3, 2, 1], target_prior=v)),
    ("class_counts", lambda v: eq.calibrate_scale(LOGITS, Y, v)),
    ("logit_prior", lambda v: eq.calibrate_scale(LOGITS, Y, [4, 3, 2, 1], logit_prior=v)),
    ("class_counts", lambda v: eq.calibrate_prior_correction(LOGITS, Y, v)),
    ("target_prior", lambda v: eq.calibrate_prior_correction(LOGITS, Y, [4, 3, 2, 1], target_prior=v)),
    ("class_counts", lambda v: eq.bias_corrected_temperature(LOGITS, Y, v)),
    ("train_prior", lambda v: eq.estimate_prior(LOGITS.log_softmax(1), v)),
    ("class_counts", lambda v: eq.PriorCorrection(K).fit(LOGITS, Y, v)),
    ("target_prior", lambda v: eq.PriorCorrection(K).to_prior(v)),
    ("class_counts", lambda v: measures.ShotAccuracy(v)),
]
# Weights of classes, of which some may be 0.
WEIGHTS: list[tuple[str, Callable[[Any], object]]] = [
    ("batch_counts", lambda v: eq.dot_regression_loss(X, Y, W, balance="batch", batch_counts=v)),
    ("class_weight", lambda v: eq.dot_regression_loss(X, Y, W, class_weight=v)),
    ("class_weight", lambda v: losses.FocalLoss(class_weight=v)),
    ("class_weight", lambda v: losses.DotRegressionLoss(class_weight=v)),
    ("class_weight", lambda v: losses.ldam_loss(LOGITS / 2, Y, COUNTS, scale=2.0, class_weight=v)),
]


@pytest.mark.parametrize("values", [[3, -2, 0, 1], [3, float("nan"), 2, 1], ["many"] * 4])
@pytest.mark.parametrize(("name", "call"), WEIGHTS)
def test_bad_weights_are_refused_by_name(name: str, call: Callable[[Any], object], values: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} "):
        call(values)


@pytest.mark.parametrize("values", [[3, 2, 0, 1], [3, float("nan"), 2, 1], ["many"] * 4])
@pytest.mark.parametrize(("name", "call"), COUNTED)
def test_bad_counts_are_refused_by_name(name: str, call: Callable[[Any], object], values: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must "):
        call(values)
