"""Dot-regression against its equation, its gradient formula, its naive versions, and its promise about memory."""

import pytest
import torch

from equiangular.heads import ETFHead
from equiangular.losses import DotRegressionLoss, FocalLoss, batch_class_counts, dot_loss, dot_regression_loss

from .conftest import D, K, make_target
from .probe import Results
from .reference import balanced, dense, dot_regression

CLASS_WEIGHT = torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0], dtype=torch.float64)


def test_value(features, weight, target) -> None:
    per_sample = dot_regression(features, target, weight).sum(1)
    torch.testing.assert_close(dot_regression_loss(features, target, weight, reduction="none"), per_sample)
    torch.testing.assert_close(dot_regression_loss(features, target, weight, reduction="sum"), per_sample.sum())
    torch.testing.assert_close(dot_regression_loss(features, target, weight), per_sample.mean())


@pytest.mark.parametrize(("e_w", "e_h"), [(1.0, 4.0), (2.0, 3.0), (0.25, 1.0)])
def test_norms_are_explicit(features, weight, target, e_w: float, e_h: float) -> None:
    h, w = features * e_h**0.5, weight * e_w**0.5
    expected = dot_regression(h, target, w, e_w=e_w, e_h=e_h).sum(1).mean()
    torch.testing.assert_close(dot_regression_loss(h, target, w, e_w=e_w, e_h=e_h), expected)
    # With both norms kept, the loss is that of the unit vectors times sqrt(E_W E_H).
    torch.testing.assert_close(expected, (e_w * e_h) ** 0.5 * dot_regression_loss(features, target, weight))


def test_class_weights_make_a_weighted_mean(features, weight, target) -> None:
    terms, share = dot_regression(features, target, weight), dense(target, K)
    expected = (terms * CLASS_WEIGHT).sum() / (share * CLASS_WEIGHT).sum()
    torch.testing.assert_close(dot_regression_loss(features, target, weight, class_weight=CLASS_WEIGHT), expected)
    per_sample = dot_regression_loss(features, target, weight, class_weight=CLASS_WEIGHT, reduction="none")
    torch.testing.assert_close(per_sample, (terms * CLASS_WEIGHT).sum(1))


@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
def test_batch_balance_averages_within_classes_first(features, weight, target, class_weight) -> None:
    options = {"balance": "batch", "class_weight": class_weight}
    expected = balanced(dot_regression(features, target, weight), target, class_weight)
    torch.testing.assert_close(dot_regression_loss(features, target, weight, **options), expected)
    if class_weight is None:
        none, total = (dot_regression_loss(features, target, weight, reduction=r, **options) for r in ("none", "sum"))
        torch.testing.assert_close(none.mean(), expected)
        torch.testing.assert_close(total, none.sum())


def test_batch_balance_by_hand() -> None:
    # Class 0 has losses 0 and 0.5, class 1 has 0.5: (0.25 + 0.5) / 2 against a plain mean of 1 / 3.
    features, weight = torch.eye(2)[[0, 1, 0]], torch.eye(2)
    target = torch.tensor([0, 0, 1])
    assert float(dot_regression_loss(features, target, weight, balance="batch")) == pytest.approx(0.375)
    assert float(dot_regression_loss(features, target, weight)) == pytest.approx(1 / 3)


def test_batch_balance_is_scaled_targets_of_the_released_code(features, weight) -> None:
    # There the target of a sample is w_y sqrt(gamma / n_y) and so is its length, which multiplies the loss of a
    # sample by gamma / n_y when the features are compared on the same scale; gamma normalises the weights.
    target = make_target("hard")
    counts = torch.bincount(target, minlength=K).double()
    gamma = len(target) / int((counts > 0).sum())
    per_sample = dot_regression(features, target, weight).sum(1)
    expected = (gamma / counts[target] * per_sample).mean()
    torch.testing.assert_close(dot_regression_loss(features, target, weight, balance="batch"), expected)


@pytest.mark.parametrize("kind", ["hard", "mixup", "mixup-per-sample", "soft"])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("cut", [3, 4])
def test_parts_of_a_batch_give_the_gradient_of_the_whole(features, weight, kind, class_weight, cut) -> None:
    """Two ranks with the summed counts: the mean of their gradients, weighted by size, is that of the whole batch."""
    target = make_target(kind)

    def part(rows: slice) -> object:
        if not isinstance(target, tuple):
            return target[rows]
        return tuple(t[rows] if isinstance(t, torch.Tensor) else t for t in target)

    parts = [slice(0, cut), slice(cut, None)]
    counts = sum(batch_class_counts(part(rows), K) for rows in parts)
    whole = features.clone().requires_grad_()
    dot_regression_loss(whole, target, weight, balance="batch", class_weight=class_weight).backward()
    split = features.clone().requires_grad_()
    for rows in parts:
        loss = dot_regression_loss(
            split[rows], part(rows), weight, balance="batch", class_weight=class_weight, batch_counts=counts
        )
        (loss * len(split[rows]) / len(split)).backward()
    torch.testing.assert_close(split.grad, whole.grad, rtol=1e-5, atol=1e-7)  # the counts are float32


def test_without_the_global_counts_the_parts_differ(features, weight) -> None:
    target = make_target("hard")
    whole = dot_regression_loss(features, target, weight, balance="batch")
    halves = [dot_regression_loss(features[s], target[s], weight, balance="batch") for s in (slice(0, 4), slice(4, 7))]
    assert abs(float((4 * halves[0] + 3 * halves[1]) / 7 - whole)) > 1e-3


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["none", "batch"])
def test_gradcheck(features, weight, target, balance: str) -> None:
    def loss(h, w):
        return dot_regression_loss(h, target, w, balance=balance, class_weight=CLASS_WEIGHT)

    inputs = (features.clone().requires_grad_(), weight.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_the_gradient_is_a_pull_and_no_push(features, weight) -> None:
    target = make_target("hard")
    h = features.clone().requires_grad_()
    dot_regression_loss(h, target, weight, reduction="sum").backward()
    cosines = (features * weight[target]).sum(1, keepdim=True)
    torch.testing.assert_close(h.grad, -(1 - cosines) * weight[target])


def test_half_the_batch_against_the_naive_low_precision_loss(features, weight) -> None:
    target = make_target("hard")
    exact = dot_regression(features, target, weight).sum(1)
    for dtype in (torch.float16, torch.bfloat16):
        h, w = features.to(dtype), weight.to(dtype)
        naive = ((h @ w.T).gather(1, target[:, None])[:, 0] - 1) ** 2 / 2
        ours = dot_regression_loss(h, target, w, reduction="none")
        assert ours.dtype == torch.float32
        assert (ours - exact).abs().max() <= (naive.double() - exact).abs().max() + torch.finfo(dtype).eps
        h.requires_grad_()
        dot_regression_loss(h, target, w).backward()
        assert h.grad.dtype == dtype
        assert torch.isfinite(h.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_zero_feature_has_a_finite_gradient(dtype: torch.dtype) -> None:
    features = torch.zeros(2, 2, dtype=dtype, requires_grad=True)
    dot_regression_loss(features, torch.tensor([0, 1]), torch.eye(2, dtype=dtype)).backward()
    assert features.grad.tolist() == [[-0.5, 0.0], [0.0, -0.5]]


def test_from_the_head_a_zero_input_gets_no_gradient_at_all() -> None:
    head = ETFHead(D, K)
    x = torch.zeros(2, D, requires_grad=True)
    dot_regression_loss(head(x, pre_logits=True), torch.tensor([0, 1]), head.weight).backward()
    assert x.grad.eq(0).all()


def test_a_frozen_weight_gets_no_gradient(features, weight) -> None:
    dot_regression_loss(features.requires_grad_(), make_target("hard"), weight).backward()
    assert weight.grad is None


# --- memory ---------------------------------------------------------------------------------------------------------


def largest_tensor(loss, kind: str, num_classes: int) -> int:
    batch, dim = 32, 8
    g = torch.Generator().manual_seed(0)
    weight = torch.nn.functional.normalize(torch.randn(num_classes, dim, generator=g))
    features = torch.nn.functional.normalize(torch.randn(batch, dim, generator=g)).requires_grad_()
    a, b = torch.randint(num_classes, (2, batch), generator=g)
    with Results() as results:
        loss(features, a if kind == "hard" else (a, b, 0.4), weight).backward()
    return results.largest


@pytest.mark.parametrize("kind", ["hard", "mixup"])
@pytest.mark.parametrize("balance", ["none", "batch"])
def test_no_tensor_grows_with_the_number_of_classes(kind: str, balance: str) -> None:
    def loss(h, t, w):
        return dot_regression_loss(h, t, w, balance=balance)

    sizes = [largest_tensor(loss, kind, k) for k in (10, 1000, 100_000)]
    assert sizes[0] == sizes[1] == sizes[2] == 32 * 8 * (1 if kind == "hard" else 2)
    assert largest_tensor(dot_loss, kind, 1000) == sizes[0]


def test_the_probe_sees_logits_where_there_are_some() -> None:
    def loss(h, t, w):
        return torch.nn.functional.cross_entropy(h @ w.T, t)

    assert largest_tensor(loss, "hard", 1000) == 32 * 1000


# --- module, compilation, refusals ------------------------------------------------------------------------------------


def test_the_module_is_the_function(features, weight, target) -> None:
    module = DotRegressionLoss(reduction="sum", balance="batch", class_weight=CLASS_WEIGHT, e_w=1.0, e_h=2.0)
    expected = dot_regression_loss(
        features, target, weight, reduction="sum", balance="batch", class_weight=CLASS_WEIGHT, e_w=1.0, e_h=2.0
    )
    assert torch.equal(module(features, target, weight), expected)
    assert not list(module.parameters())
    assert not module.state_dict()


@pytest.mark.parametrize("balance", ["none", "batch"])
def test_compiles_without_a_graph_break(features, weight, balance: str) -> None:
    compiled = torch.compile(dot_regression_loss, fullgraph=True, backend="aot_eager")
    for kind in ("hard", "mixup-per-sample"):
        target = make_target(kind)
        expected = dot_regression_loss(features, target, weight, balance=balance)
        torch.testing.assert_close(compiled(features, target, weight, balance=balance), expected)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "avg"}, "reduction must be one of 'mean', 'sum', 'none', got 'avg'"),
        ({"balance": "class"}, "balance must be one of 'none', 'batch', got 'class'"),
        ({"e_w": 0}, "e_w must be a finite number above 0, got 0"),
        ({"e_h": -1.0}, "e_h must be a finite number above 0, got -1.0"),
        ({"class_weight": torch.ones(3)}, r"class_weight must have shape \(K,\) = \(5,\), got \(3,\)"),
        ({"class_weight": -torch.ones(K)}, "class_weight must be finite and at least 0, got values from -1 to -1"),
        ({"class_weight": "balanced"}, "class_weight must hold numbers, got 'balanced'"),
        ({"batch_counts": torch.ones(K)}, "batch_counts is used with balance='batch' only, got balance='none'"),
        ({"batch_counts": torch.zeros(K), "balance": "batch"}, "batch_counts is 0 for a class of this batch"),
    ],
)
def test_bad_options_are_refused(features, weight, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dot_regression_loss(features, make_target("hard"), weight, **options)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [([1.0, -2.0], "at least 0, got values from -2 to 1"), ([[1.0]], r"shape \(K,\), got \(1, 1\)"), ("x", "numbers")],
)
def test_the_module_refuses_bad_class_weights_when_it_is_made(class_weight, message: str) -> None:
    for loss in (DotRegressionLoss, FocalLoss):
        with pytest.raises(ValueError, match=f"class_weight must .*{message}"):
            loss(class_weight=class_weight)


def test_counts_of_a_batch(target) -> None:
    torch.testing.assert_close(batch_class_counts(target, K), dense(target, K).sum(0).float())


def test_counts_refuse_what_is_no_target() -> None:
    with pytest.raises(ValueError, match="target must be class indices"):
        batch_class_counts("labels", K)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 4\]"):
        batch_class_counts(torch.tensor([5]), K)
