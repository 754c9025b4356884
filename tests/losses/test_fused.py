"""The short ways of a step give the bits of the formulas written out, and leave everything else to them."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.heads import ETFHead
from equiangular.heads.functional import _unit_rows, certain_unit_rows, unit_normalize
from equiangular.losses import dot_regression_loss, logit_adjusted_cross_entropy, soft_target_cross_entropy
from equiangular.losses.cross_entropy import log_prior

CASES = [(128, 64, torch.float32), (7, 3, torch.float32), (33, 100, torch.float64)]


def draw(rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows), dtype=dtype)


@pytest.mark.parametrize(("rows", "columns", "dtype"), CASES)
def test_normalised_rows_and_their_gradient(rows: int, columns: int, dtype: torch.dtype) -> None:
    x = draw(rows, columns, dtype).requires_grad_()
    upstream = draw(columns, rows, dtype).T
    fast, slow = certain_unit_rows(x), _unit_rows(x, 1e-12)
    assert fast is not None
    assert torch.equal(fast, slow)
    ours, theirs = (torch.autograd.grad(y, x, upstream)[0] for y in (fast, slow))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("value", [0.0, 1e-13, 2.0**40, float("nan"), float("inf")])
def test_rows_that_need_a_closer_look(value: float) -> None:
    x = torch.ones(3, 2)
    x[1] = value
    assert certain_unit_rows(x) is None
    assert torch.equal(unit_normalize(x), _unit_rows(x, 1e-12)) or value != value or value == float("inf")


def test_gradients_of_gradients() -> None:
    x = draw(4, 3, torch.float64).requires_grad_()
    weight, labels = ETFHead(3, 4, dtype=torch.float64).weight, torch.tensor([0, 3, 1, 1])
    assert torch.autograd.gradgradcheck(unit_normalize, x)
    for reduction in ("mean", "sum", "none"):
        loss = lambda h, how=reduction: dot_regression_loss(h, labels, weight, reduction=how)  # noqa: E731
        assert torch.autograd.gradcheck(loss, x)
        assert torch.autograd.gradgradcheck(loss, x)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("rows", "columns", "dtype"), CASES)
def test_dot_regression(rows: int, columns: int, dtype: torch.dtype, reduction: str) -> None:
    weight = unit_normalize(draw(5, columns, dtype))
    labels = torch.arange(rows) % 5
    h = draw(rows, columns, dtype).requires_grad_()
    upstream = draw(rows, 1, dtype)[:, 0] if reduction == "none" else torch.tensor(0.3, dtype=dtype)
    for e_h in (1.0, 2.0):
        norm = e_h**0.5
        written = ((h * weight[labels]).sum(-1) - norm) ** 2 / (2 * norm)
        written = written if reduction == "none" else getattr(written, reduction)()
        fused = dot_regression_loss(h, labels, weight, reduction=reduction, e_h=e_h)
        assert torch.equal(fused, written)
        ours, theirs = (torch.autograd.grad(y, h, upstream)[0] for y in (fused, written))
        # With norm 1 all factors but one are powers of two.
        assert torch.equal(ours, theirs) if e_h == 1 else torch.allclose(ours, theirs, rtol=4e-7, atol=0)


def test_dot_regression_says_what_is_not_finite_and_sums_what_overflows() -> None:
    weight, labels = torch.eye(2), torch.tensor([0, 1])
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="NaN or infinite values, first in row 1"):
            dot_regression_loss(torch.tensor([[1.0, 0.0], [bad, 0.0]]), labels, weight)
    assert dot_regression_loss(torch.full((2, 2), 1e30), labels, weight) == float("inf")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_of_hard_targets_is_that_of_pytorch(reduction: str) -> None:
    logits, labels = draw(128, 10, torch.float32).requires_grad_(), torch.arange(128) % 10
    adjusted = logits + log_prior(torch.arange(1, 11), 10, 1.0).float()
    for ours, theirs in (
        (
            soft_target_cross_entropy(logits, labels, reduction=reduction),
            F.cross_entropy(logits, labels, reduction=reduction),
        ),
        (
            logit_adjusted_cross_entropy(logits, labels, torch.arange(1, 11), reduction=reduction),
            F.cross_entropy(adjusted, labels, reduction=reduction),
        ),
    ):
        assert torch.equal(ours, theirs)
        ours, theirs = (torch.autograd.grad(y.sum(), logits, retain_graph=True)[0] for y in (ours, theirs))
        assert torch.equal(ours, theirs)


def test_a_hard_target_and_the_same_as_rows_have_the_same_gradient() -> None:
    logits, labels = draw(32, 10, torch.float32).requires_grad_(), torch.arange(32) % 10
    hard = soft_target_cross_entropy(logits, labels)
    soft = soft_target_cross_entropy(logits, F.one_hot(labels, 10).float())
    torch.testing.assert_close(hard, soft)
    grads = (torch.autograd.grad(y, logits)[0] for y in (hard, soft))
    torch.testing.assert_close(*grads)


def test_counts_are_compared_by_value() -> None:
    counts = torch.tensor([3.0, 1.0])
    first = log_prior(counts, 2, 1.0)
    assert log_prior(counts.clone(), 2, 1.0) is first
    assert log_prior(counts, 2, 0.5) is not first
    counts[0] = 1.0
    assert torch.equal(log_prior(counts, 2, 1.0).exp(), torch.tensor([0.5, 0.5], dtype=torch.float64))
    with pytest.raises(ValueError, match="class 1 has 0"):
        log_prior(torch.tensor([3.0, 0.0]), 2, 1.0)


def test_a_head_still_tells_bad_features() -> None:
    head = ETFHead(4, 3, zero_norm="error")
    x = torch.ones(2, 4)
    x[1] = 0
    with pytest.raises(ValueError, match="zero-norm row"):
        head(x)
    x[1, 2] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite values, first in row 1"):
        head(x)
