"""The layer-peeled model against SciPy, against several features a class, and against the theorems."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from equiangular import simplex_etf
from equiangular.frames import etf_distance
from equiangular.theory import common_optimum, compare_classifiers, minority_collapse, solve_layer_peeled
from equiangular.theory.layer_peeled import gradients, objective, project_frobenius, project_rows


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("loss", ["ce", "dr"])
def test_gradients_against_autograd(loss: str) -> None:
    h, w, share = randn(5, 7).requires_grad_(), randn(5, 7, seed=1).requires_grad_(), torch.rand(5, 1).double()
    expected = torch.autograd.grad(objective(h, w, share, loss, 1.3), (h, w))
    for ours, theirs in zip(gradients(h, w, share, loss, 1.3), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-13)


def test_projections() -> None:
    h = project_rows(randn(6, 4), 0.5)
    assert float(h.square().sum(1).max()) <= 0.5 + 1e-12
    assert torch.equal(project_rows(h, 0.5 + 1e-9), h)
    assert float(project_frobenius(randn(6, 4), 2.0).square().sum()) == pytest.approx(2.0)


@pytest.mark.parametrize("counts", [[5, 5, 5], [50, 5, 1]])
def test_the_learnable_optimum_against_scipy(counts: list[int]) -> None:
    """A constrained solver that knows nothing of projections finds the same value."""
    k, d, e_h, e_w = 3, 2, 5.0, 1.0
    share = np.array(counts, dtype=float) / sum(counts)

    def value(x: np.ndarray) -> float:
        h, w = x.reshape(2, k, d)
        logits = h @ w.T
        return float(share @ (logsumexp(logits, axis=1) - np.diag(logits)))

    constraints = [
        {"type": "ineq", "fun": lambda x: e_h - (x.reshape(2, k, d)[0] ** 2).sum(1)},
        {"type": "ineq", "fun": lambda x: k * e_w - (x.reshape(2, k, d)[1] ** 2).sum()},
    ]
    starts = [np.random.default_rng(s).standard_normal(2 * k * d) for s in range(8)]
    options = {"constraints": constraints, "method": "SLSQP", "options": {"maxiter": 500}}
    best = min(minimize(value, x, **options).fun for x in starts)
    ours = min(solve_layer_peeled(counts, d, e_h=e_h, e_w=e_w, seed=s).loss for s in range(4))
    assert ours == pytest.approx(best, rel=1e-5)


def test_one_feature_stands_for_all_samples_of_a_class() -> None:
    """With several free features a class and a fixed classifier, each goes to the class's one optimum."""
    frame, counts = simplex_etf(4, 5, seed=2, dtype=torch.float64), torch.tensor([6.0, 3.0, 2.0, 1.0])
    labels = torch.arange(4).repeat_interleave(counts.long())
    h = project_rows(randn(len(labels), 5), 5.0)
    for _ in range(5000):
        error = (h @ frame.T).softmax(1) - torch.nn.functional.one_hot(labels, 4)
        h = project_rows(h - 0.5 * error @ frame, 5.0)
    solved = solve_layer_peeled(counts, 5, weight=frame)
    assert torch.allclose(h, solved.features[labels], atol=1e-8)


@pytest.mark.parametrize("loss", ["ce", "dr"])
def test_replacing_a_class_by_its_mean_never_costs(loss: str) -> None:
    """So one feature a class suffices with a learnable classifier as well: this holds for every classifier."""
    share = torch.tensor([[0.6], [0.3], [0.1]], dtype=torch.float64)
    for seed in range(20):
        several, w = randn(7, 3, 4, seed=seed), 2 * randn(3, 4, seed=100 + seed)
        apart = sum(float(objective(h, w, share, loss, 1.3)) for h in several) / 7
        assert float(objective(several.mean(0), w, share, loss, 1.3)) < apart


@pytest.mark.parametrize("counts", [[1] * 10, [100] * 5 + [1] * 5])
def test_a_fixed_etf_induces_collapse_whatever_the_class_sizes(counts: list[int]) -> None:
    frame = simplex_etf(10, 16, dtype=torch.float64)
    solved = solve_layer_peeled(counts, 16, weight=frame)
    assert solved.residual < 1e-11
    assert torch.allclose(solved.features, math.sqrt(5) * frame, atol=1e-10)


def test_balanced_learning_ends_at_an_etf() -> None:
    solved = solve_layer_peeled([1] * 6, 8)
    assert float(etf_distance(solved.features)) < 1e-9
    assert float(etf_distance(solved.weight)) < 1e-9
    assert torch.allclose(solved.weight.norm(dim=1), torch.ones(6, dtype=torch.float64), atol=1e-9)


def test_minority_collapse_grows_with_imbalance_and_spares_the_fixed_head() -> None:
    rows = minority_collapse((1, 10, 100), max_steps=10_000)
    learned = [row["learnable_weight_minority_cosine"] for row in rows]
    assert learned[0] == pytest.approx(-1 / 9, abs=1e-6)
    assert learned == sorted(learned)
    assert learned[-1] > 0.999
    assert rows[-1]["learnable_weight_majority_cosine"] < -0.2
    for row in rows:
        assert row["fixed_etf_distance"] < 1e-9
        assert row["fixed_features_minority_cosine"] == pytest.approx(-1 / 9, abs=1e-9)


def test_ce_and_dr_share_their_optimum() -> None:
    results = common_optimum()
    for name, row in results.items():
        assert abs(row["excess"]) < 1e-8, name
        assert row["deviation"] < (1e-10 if name.startswith("ce") else 1e-2), name
        assert row["vertex_residual"] < 1e-14, name


@pytest.mark.parametrize("loss", ["ce", "dr"])
def test_the_vertices_satisfy_the_optimality_conditions(loss: str) -> None:
    """By autograd: the gradient at a vertex is minus a multiplier >= 0 times the vertex."""
    frame, share = simplex_etf(7, 9, dtype=torch.float64), torch.rand(7, 1, generator=torch.Generator().manual_seed(3))
    vertices = (math.sqrt(3.0) * frame).requires_grad_()
    (gradient,) = torch.autograd.grad(objective(vertices, frame, share.double(), loss, math.sqrt(3.0)), vertices)
    multiplier = -(gradient * frame).sum(1, keepdim=True)
    assert float((gradient + multiplier * frame).abs().max()) < 1e-15
    assert float(multiplier.min()) > (1e-4 if loss == "ce" else -1e-15)


@pytest.mark.parametrize(("e_h", "e_w"), [(5.0, 1.0), (0.01, 1.0), (0.01, 0.01)])
def test_dr_with_a_learnable_classifier_reaches_zero(e_h: float, e_w: float) -> None:
    """Also where the target sqrt(E_W E_H) is small and its gradient steep."""
    solved = solve_layer_peeled([9, 3, 1, 1], 6, loss="dr", e_h=e_h, e_w=e_w, max_steps=20_000)
    assert solved.loss < 1e-6 * math.sqrt(e_h * e_w)
    assert float(solved.features.square().sum(1).max()) <= e_h * (1 + 1e-12)
    assert float(solved.weight.square().sum()) <= 4 * e_w * (1 + 1e-12)


def test_dr_aims_at_the_given_classifiers_own_norm() -> None:
    """E_W is the mean squared norm: 2.5 here. The longer vector reaches sqrt(E_W E_H), the shorter one cannot."""
    weight = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    solved = solve_layer_peeled([5, 1], 2, loss="dr", weight=weight, e_h=1.0)
    assert (solved.features * weight).sum(1).tolist() == pytest.approx([1.0, math.sqrt(2.5)], rel=1e-9)


def test_the_history_descends_and_ends_at_the_solution() -> None:
    solved = solve_layer_peeled([20, 5, 1], 4, max_steps=3_000)
    steps, values, residuals = zip(*solved.history, strict=True)
    assert steps[0] == 1
    assert list(steps) == sorted(set(steps))
    assert (steps[-1], residuals[-1]) == (solved.steps, solved.residual)
    assert values[-1] == pytest.approx(solved.loss, rel=1e-14)
    assert all(later < earlier + 1e-14 for earlier, later in pairwise(values))
    assert residuals[-1] < 1e-6 * residuals[0]
    again = solve_layer_peeled([20, 5, 1], 4, max_steps=3_000)
    assert again.history == solved.history


def test_dr_with_a_learnable_classifier_is_degenerate() -> None:
    """Without a push, all classes may share one direction at no loss: DR needs the fixed frame."""
    one = torch.ones(3, 4, dtype=torch.float64)
    share = torch.full((3, 1), 1 / 3, dtype=torch.float64)
    assert float(objective(one / 2 * 5**0.5, one / 2, share, "dr", 5**0.5)) < 1e-28


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 0], 2), {}, "class 1 has 0"),
        (([1, 1], 0), {}, "dim must be"),
        (([1, 1], 2), {"loss": "mse"}, "loss must be one of"),
        (([1, 1], 2), {"e_h": -1}, "e_h must be"),
        (([1, 1], 2), {"weight": torch.ones(3, 2)}, r"weight must have shape \(K, d\) = \(2, 2\), got \(3, 2\)"),
        (([1, 1], 2), {"weight": torch.tensor([[1.0, 0], [0, 0]])}, r"weight has a zero-norm row \(row 1\)"),
        (([1, 1], 2), {"max_steps": 0}, "max_steps must be"),
    ],
)
def test_bad_input(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve_layer_peeled(*arguments, **options)


def test_classifiers_for_class_sizes_of_ones_own() -> None:
    rows = {(r["loss"], r["classifier"]): r for r in compare_classifiers([50, 20, 1, 1], 6, max_steps=5_000)}
    assert len(rows) == 4
    solved = solve_layer_peeled([50, 20, 1, 1], 6, max_steps=5_000)
    unit = torch.nn.functional.normalize(solved.weight)
    closest = (unit @ unit.T - 2 * torch.eye(4, dtype=torch.float64)).max()
    assert rows["ce", "learned"]["weight_cosine"] == pytest.approx(float(closest))
    assert rows["ce", "learned"]["objective"] == pytest.approx(solved.loss)
    assert rows["ce", "learned"]["objective"] < rows["ce", "fixed"]["objective"]  # it has more freedom, and uses it so
    assert rows["ce", "fixed"]["features_cosine"] == pytest.approx(-1 / 3)
    assert rows["dr", "fixed"]["weight_cosine"] == pytest.approx(-1 / 3)


def test_an_odd_number_of_classes_has_no_half() -> None:
    with pytest.raises(ValueError, match="even, got 5"):
        minority_collapse((1,), num_classes=5)
