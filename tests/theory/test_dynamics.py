"""Gradients in parts, convergence, and the collapse that the page plays."""

import json

import pytest
import torch

from equiangular import dot_regression_loss, simplex_etf
from equiangular.theory import (
    classifier_gradient,
    convergence_study,
    descend,
    dot_regression_classifier_gradient,
    dot_regression_feature_gradient,
    feature_gradient,
    gradient_parts,
    watch_collapse,
)
from equiangular.theory.dynamics import random_start
from equiangular.theory.run import IMBALANCED


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_pull_and_push_sum_to_the_gradient() -> None:
    h, w = randn(6, 4).requires_grad_(), randn(6, 4, seed=1).requires_grad_()
    counts = torch.tensor([50.0, 20, 10, 5, 2, 1])
    losses = torch.nn.functional.cross_entropy(h @ w.T, torch.arange(6), reduction="none")
    (on_w,) = torch.autograd.grad((losses * counts / counts.sum()).sum(), w, retain_graph=True)
    (on_h,) = torch.autograd.grad(losses.sum(), h)
    assert torch.allclose(sum(classifier_gradient(h.detach(), w.detach(), counts)), on_w, atol=1e-14)
    assert torch.allclose(sum(feature_gradient(h.detach(), w.detach())), on_h, atol=1e-14)


def test_rare_classes_are_pushed_more_than_pulled() -> None:
    h, w = torch.nn.functional.normalize(randn(2, 10, 16), dim=2)
    pull, push = classifier_gradient(h, w, [100.0] * 5 + [1.0] * 5)
    assert (push[5:].norm(dim=1) > 5 * pull[5:].norm(dim=1)).all()
    assert (push[:5].norm(dim=1) < pull[:5].norm(dim=1)).all()


def test_dr_has_a_pull_alone() -> None:
    w = simplex_etf(6, 8, dtype=torch.float64)
    h = random_start(6, 8).requires_grad_()
    (expected,) = torch.autograd.grad(dot_regression_loss(h, torch.arange(6), w, reduction="sum"), h)
    assert torch.allclose(dot_regression_feature_gradient(h.detach(), w), expected, atol=1e-14)
    h, learned, share = h.detach(), random_start(6, 8, seed=1).requires_grad_(), torch.rand(6).double()
    losses = ((h * learned).sum(1) - 1) ** 2 / 2
    (expected,) = torch.autograd.grad((losses * share / share.sum()).sum(), learned)
    assert torch.allclose(dot_regression_classifier_gradient(h, learned.detach(), share), expected, atol=1e-14)


def test_dr_pulls_alike_where_ce_lets_rare_classes_be_pushed_away() -> None:
    """Per sample DR's gradient on a classifier vector does not depend on the other classes."""
    rare, even = gradient_parts(ratio=100), gradient_parts(ratio=1)
    per_sample = [p / n for p, n in zip(rare["dr_classifier_pull"], rare["counts"], strict=True)]
    scale = sum(rare["counts"]) / len(per_sample)
    assert [p * scale for p in per_sample] == pytest.approx(even["dr_classifier_pull"])
    ratios = [push / pull for push, pull in zip(rare["classifier_push"], rare["classifier_pull"], strict=True)]
    assert max(ratios[:5]) < 1 < 10 < min(ratios[5:])


def gap(angles: torch.Tensor) -> torch.Tensor:
    return (2 * torch.sin(angles / 2).square()).mean(1)


def test_dr_is_sublinear_where_dot_and_ce_are_not() -> None:
    frame = simplex_etf(100, 128, dtype=torch.float64)
    start = random_start(100, 128)
    dr = gap(descend("dr", start, frame, steps=2000))
    assert float(dr[100]) == pytest.approx(1e-2, rel=0.05)
    assert float(dr[1000]) == pytest.approx(1e-3, rel=0.05)
    assert float(dr[2000]) == pytest.approx(5e-4, rel=0.05)
    for loss in ("dot", "ce"):
        assert float(gap(descend(loss, start, frame, steps=100))[-1]) < 1e-16


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_dr_leads_on_the_far_side_only(rate: float) -> None:
    """DR's pull 1 - cos exceeds the dot loss's, 1, where cos < 0: it leads from there, and has lost by cos = 0.9."""
    frame = simplex_etf(10, 16, dtype=torch.float64)
    start = torch.nn.functional.normalize(0.05 * random_start(10, 16) - frame, dim=1)
    dr, dot = (gap(descend(loss, start, frame, learning_rate=rate, steps=1000)) for loss in ("dr", "dot"))
    half_way = int((dr < 1).nonzero()[0])
    assert float(dr[half_way]) < 0.7 * float(dot[half_way])
    assert (dr[1 : half_way + 1] < dot[1 : half_way + 1]).all()
    late = int((dot < 0.1).nonzero()[0])
    assert (dot[late:] < dr[late:]).all()


def test_steps_of_the_dot_loss_and_of_dr_in_closed_form() -> None:
    """Near the vertex a dot step divides the angle by 1 + rate; DR obeys 1 - cos ~ 1/(2 rate step)."""
    frame = simplex_etf(10, 16, dtype=torch.float64)
    start = torch.nn.functional.normalize(frame + 1e-3 * random_start(10, 16), dim=1)
    for rate in (0.1, 0.5, 1.0):
        dot = descend("dot", start, frame, learning_rate=rate, steps=4)
        assert torch.allclose(dot[1:] / dot[:-1], torch.tensor(1 / (1 + rate), dtype=torch.float64), rtol=1e-5)
        dr = gap(descend("dr", random_start(10, 16), frame, learning_rate=rate, steps=4000))
        assert float(dr[4000]) == pytest.approx(1 / (2 * rate * 4000), rel=0.02)


def test_the_first_step_against_autograd() -> None:
    frame, start = simplex_etf(5, 6, dtype=torch.float64), random_start(5, 6)
    for loss, scale in (("dr", 1.0), ("dot", 1.0), ("ce", 8.0)):
        h = start.clone().requires_grad_()
        if loss == "ce":
            value = torch.nn.functional.cross_entropy(scale * h @ frame.T, torch.arange(5), reduction="sum")
        else:
            cos = (h * frame).sum(1)
            value = ((cos - 1) ** 2 / 2).sum() if loss == "dr" else (1 - cos).sum()
        (gradient,) = torch.autograd.grad(value, h)
        moved = torch.nn.functional.normalize(start - 0.1 * gradient, dim=1)
        expected = torch.acos((moved * frame).sum(1))
        assert torch.allclose(descend(loss, start, frame, learning_rate=0.1, steps=1, scale=scale)[1], expected)


def test_the_study_reports_what_it_measured() -> None:
    study = convergence_study(num_classes=10, dim=12, steps=300)
    curves = {(c["start"], c["loss"], c["scale"], c["learning_rate"]): c for c in study["curves"]}
    assert len(curves) == 2 * 5 * 3
    assert curves["random", "dr", 1.0, 0.5]["tail_exponent"] == pytest.approx(-1, abs=0.05)
    assert curves["random", "dr", 1.0, 0.5]["steps_to"]["1e-06"] is None
    assert curves["random", "dot", 1.0, 0.5]["steps_to"]["1e-06"] < 40
    leads = {(row["start"], row["learning_rate"]): row["until_step"] for row in study["dr_ahead_of_dot"]}
    assert len(leads) == 6
    assert all(until > 0 for (start, _), until in leads.items() if start == "opposite")
    json.dumps(study)


def test_watching_four_classes() -> None:
    learned, fixed = (watch_collapse(IMBALANCED, learnable=flag, steps=6000, per_class=3) for flag in (True, False))
    assert learned["tail_cosine"][0] < 0.9 < learned["tail_cosine"][-1]
    assert set(fixed["tail_cosine"]) == {-0.3333}
    frame = simplex_etf(4, 3, dtype=torch.float64)
    last = torch.tensor(fixed["features"][-1], dtype=torch.float64)
    assert (last - frame[fixed["labels"]]).abs().max() < 2e-3
    assert len(learned["steps"]) == len(learned["features"]) == len(learned["weight"])


@pytest.mark.parametrize(
    ("options", "message"), [({"learning_rate": 0}, "learning_rate"), ({"scale": -1}, "scale must be")]
)
def test_bad_input(options: dict, message: str) -> None:
    frame = simplex_etf(3, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        descend("ce", frame, frame, **options)
    with pytest.raises(ValueError, match="loss must be one of"):
        descend("mse", frame, frame)
