"""What is refused is named as in the call: tensors of rows and numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import equiangular as eq
from equiangular import closed_form, frames, longtail, losses, measures, posthoc
from equiangular.frames.code_objectives import cosine_range
from equiangular.heads import match_vertices, recommended_head
from equiangular.measures import collapse
from tests.test_choices import COUNTS, LOGITS, D, K, W, X, Y, moments

CODE = frames.quadratic_code(100, 32)
assert CODE is not None
OF_LOGITS: list[Callable[[], Any]] = [
    lambda: losses.LogitAdjustedCrossEntropyLoss(COUNTS),
    lambda: losses.VectorScalingLoss(COUNTS),
    lambda: losses.LabelAwareSmoothingLoss(COUNTS),
    lambda: losses.ClassBalancedLoss(COUNTS),
    lambda: losses.FocalLoss(),
]

BAD = {"NaN": torch.full((K, K), torch.nan), "zero-norm row": torch.eye(K) - torch.eye(K)[:1].T @ torch.eye(K)[:1]}
# Tensors of rows, each with the name that it has in the call; where a row of zeros has no meaning it is refused, too.
ROWS: list[tuple[str, set[str], Callable[[Any], object]]] = [
    ("weight", {"NaN"}, frames.one_vs_rest_distance),
    ("weight", {"NaN", "zero-norm row"}, cosine_range),
    ("weight", {"NaN", "zero-norm row"}, frames.reachable_cosine),
    ("weight", {"NaN", "zero-norm row"}, lambda v: frames.warn_unreachable(W[:, :K], v)),
    ("features", {"NaN"}, lambda v: frames.warn_unreachable(v, W[:, :K])),
    ("means", {"NaN"}, lambda v: eq.class_mean_frame(v, D)),
    ("vectors", {"NaN"}, eq.nearest_simplex_etf),
    ("frame", {"NaN"}, lambda v: frames.nearest_orientation(v, W)),
    ("vectors", {"NaN"}, lambda v: frames.nearest_orientation(W, v)),
    ("class_vectors", {"NaN", "zero-norm row"}, lambda v: eq.NamedHead(K, K, class_vectors=v)),
    ("class_means", {"NaN", "zero-norm row"}, lambda v: recommended_head(K, K, class_means=v, projection="residual")),
    ("vectors", {"NaN"}, lambda v: match_vertices(v, W[:, :K])),
    ("vertices", {"NaN"}, lambda v: match_vertices(W[:, :K], v)),
    ("means", {"NaN"}, lambda v: eq.align_head(eq.ETFHead(K, K), v)),
    ("features", {"NaN"}, lambda v: eq.nearest_prototypes(v, W[:, :K])),
    ("prototypes", {"NaN", "zero-norm row"}, lambda v: eq.nearest_prototypes(LOGITS, v)),
    ("features", {"NaN"}, lambda v: eq.IncrementalETFHead(D, K, reserved=2).register_classes(v.repeat(1, 2), [K] * K)),
    ("features", {"NaN"}, lambda v: eq.dot_loss(v, Y[:K], W[:, :K])),
    ("features", {"NaN"}, lambda v: losses.CosineCrossEntropyLoss(scale=2.0)(v, Y[:K], W[:, :K])),
    ("cosines", {"NaN"}, lambda v: losses.ldam_loss(v, Y[:K], COUNTS, scale=2.0)),
    ("logits", {"NaN"}, lambda v: losses.soft_target_cross_entropy(v, Y[:K])),
    ("logits", {"NaN"}, lambda v: eq.logit_adjusted_cross_entropy(v, Y[:K], COUNTS)),
    *[("logits", {"NaN"}, lambda v, make=make: make()(v, Y[:K])) for make in OF_LOGITS],
    ("weight", {"NaN"}, lambda v: eq.ood_score(LOGITS, v)),
    ("features", {"NaN"}, lambda v: eq.ood_score(v, W[:, :K])),
    ("features", {"NaN"}, lambda v: measures.principal_subspace(v, 2)),
    ("features", {"NaN"}, lambda v: moments().update(v.repeat(1, 2), Y[:K])),
    ("features", {"NaN"}, lambda v: collapse.nearest_mean(v, W[:, :K])),
    ("features", {"NaN"}, lambda v: eq.NeuralCollapse(K, K).update(v, Y[:K])),
    ("logits", {"NaN"}, lambda v: posthoc.prior_corrected_logits(v, COUNTS)),
    ("logits", {"NaN"}, lambda v: eq.calibrate_scale(v, Y[:K], COUNTS)),
    ("logits", {"NaN"}, lambda v: eq.calibrate_prior_correction(v, Y[:K], COUNTS)),
    ("logits", {"NaN"}, lambda v: eq.bias_corrected_temperature(v, Y[:K], COUNTS)),
    ("logits", {"NaN"}, lambda v: eq.PriorCorrection(K)(v)),
    ("logits", {"NaN"}, lambda v: eq.PriorCorrection(K).fit(v, Y[:K], COUNTS)),
    ("weight", {"NaN"}, lambda v: posthoc.tau_normalized_weight(v, 0.5)),
    ("weight", {"NaN"}, lambda v: posthoc.choose_tau(LOGITS[:K], Y[:K], v)),
    ("features", {"NaN"}, lambda v: posthoc.choose_tau(v, Y[:K], W[:, :K])),
    ("log_posteriors", {"NaN"}, lambda v: eq.estimate_prior(v, COUNTS)),
]


@pytest.mark.parametrize(("name", "refused", "call"), ROWS)
@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_refused_by_name(kind: str, name: str, refused: set[str], call: Callable[[Any], object]) -> None:
    if kind in refused:
        with pytest.raises(ValueError, match=rf"^{name} has (a )?{kind}"):
            call(BAD[kind])


def form(**options: Any) -> object:
    return closed_form.ClosedForm(**{"in_features": D, "num_classes": K, **options})


# Numbers, each with the name that it has in the call; those of losses: tests/losses/test_options.py.
NUMBERS: list[tuple[str, Callable[[Any], object]]] = [
    ("dim", lambda v: frames.implicit_rows(Y, v)),
    ("seed", lambda v: frames.implicit_rows(Y, D, seed=v)),
    ("num_classes", lambda v: frames.quadratic_nearest(CODE, LOGITS[:2, :1].expand(2, 32), v)),
    ("k", lambda v: frames.quadratic_nearest(CODE, LOGITS[:2, :1].expand(2, 32), 100, k=v)),
    ("dim", lambda v: frames.frame_from_gram(W @ W.T, v)),
    ("steps", lambda v: frames.one_vs_rest_distance(W, steps=v)),
    ("tolerance", lambda v: frames.one_vs_rest_distance(W, tolerance=v)),
    ("dim", lambda v: frames.nonnegative_orthogonal_frame(K, v)),
    ("minimum", lambda v: frames.warn_unreachable(LOGITS, LOGITS, minimum=v)),
    ("dim", lambda v: frames.known_code(K, v)),
    *[(name, lambda v, name=name: eq.spread_frame(7, **{"dim": 3, name: v}, cache=False))
      for name in ("dim", "chunk_size", "steps", "restarts")],
    *[(name, lambda v, name=name: eq.spherical_code(7, **{"dim": 3, name: v}))
      for name in ("dim", "steps", "restarts", "chunk_size", "tolerance")],
    ("dim", lambda v: frames.rankin_bound(K, v)),
    ("dim", lambda v: frames.welch_bound(K, v)),
    ("dim", lambda v: frames.levenshtein_bound(K, v)),
    ("dim", lambda v: eq.simplex_etf(K, v)),
    ("seed", lambda v: eq.simplex_etf(K, D, seed=v)),
    ("columns", lambda v: frames.haar_orthonormal(D, v, seed=0)),
    ("rows", lambda v: frames.haar_orthonormal(v, K, seed=0)),
    ("dim", lambda v: frames.hadamard_frame(K, v)),
    ("dim", lambda v: frames.orthoplex(K, v)),
    ("dim", lambda v: eq.class_mean_frame(W, v)),
    ("atol", lambda v: eq.is_simplex_etf(W, atol=v)),
    ("num_classes", lambda v: frames.quadratic_code(v, 32)),
    ("dim", lambda v: frames.quadratic_code(100, v)),
    ("chunk_size", lambda v: eq.ImplicitHead(D, K, chunk_size=v)),
    ("in_features", lambda v: eq.ETFHead(v, K)),
    ("dim", lambda v: eq.ETFHead(D, K, projection="linear", dim=v)),
    ("scale", lambda v: eq.LinearHead(D, K, scale=v)),
    ("reserved", lambda v: eq.IncrementalETFHead(D, K, reserved=v)),
    ("count", lambda v: eq.IncrementalETFHead(D, K, reserved=2).add_classes(v)),
    *[(name, lambda v, name=name: eq.nearest_prototypes(X, W, **{name: v})) for name in ("k", "chunk_size")],
    *[(name, lambda v, name=name: eq.PrototypeIndex(W, **{name: v}))
      for name in ("candidates", "chunk_size", "probes")],
    ("rank", lambda v: measures.principal_subspace(X, v)),
    ("num_classes", lambda v: eq.NeuralCollapse(v, D)),
    ("dim", lambda v: eq.NeuralCollapse(K, v)),
    ("n_bins", lambda v: measures.expected_calibration_error(LOGITS[:, 0].sigmoid(), Y > 1, v)),
    ("num_classes", lambda v: collapse.ClassMoments.empty(v, D)),
    ("dim", lambda v: collapse.ClassMoments.empty(K, v)),
    ("expected_scale", lambda v: eq.calibrate_prior_correction(LOGITS, Y, COUNTS, expected_scale=v)),
    ("scale", lambda v: posthoc.prior_corrected_logits(LOGITS, COUNTS, scale=v)),
    ("strength", lambda v: posthoc.prior_corrected_logits(LOGITS, COUNTS, strength=v)),
    ("tau", lambda v: posthoc.tau_normalized_weight(W, v)),
    ("tolerance", lambda v: eq.estimate_prior(LOGITS.log_softmax(1), COUNTS, tolerance=v)),
    ("max_iterations", lambda v: eq.estimate_prior(LOGITS.log_softmax(1), COUNTS, max_iterations=v)),
    ("n_max", lambda v: eq.long_tail_counts(v, K, 10)),
    ("n_max", lambda v: eq.long_tail_indices([0, 1] * 20, 10, n_max=v)),
    ("seed", lambda v: eq.long_tail_indices([0, 1] * 20, 10, seed=v)),
    ("min_per_class", lambda v: longtail.holdout_indices([0, 1] * 20, 0.5, seed=0, min_per_class=v)),
    ("seed", lambda v: longtail.holdout_indices([0, 1] * 20, 0.5, seed=v)),
    *[(name, lambda v, name=name: form(**{name: v})) for name in ("num_classes", "in_features", "width", "seed")],
    ("num_classes", lambda v: closed_form.ClassStatistics.empty(v, D)),
    ("dim", lambda v: closed_form.ClassStatistics.empty(K, v)),
    ("num_classes", lambda v: closed_form.ClassStatistics.empty(K, D).grow(v)),
    ("in_features", lambda v: closed_form.RandomFeatures(v, 20)),
    ("width", lambda v: closed_form.RandomFeatures(D, v)),
    ("num_classes", lambda v: eq.ClosedFormHead(D, v)),
]  # fmt: skip


@pytest.mark.parametrize("value", [-1, 2.5j, "much"])
@pytest.mark.parametrize(("name", "call"), NUMBERS)
def test_a_bad_number_is_refused_by_name(name: str, call: Callable[[Any], object], value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be "):
        call(value)
