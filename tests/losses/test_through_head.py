"""Dot-regression of what a head is given: the loss of its features, and in one function where that is all it does."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.heads import CosineHead, ETFHead, Head, ImplicitHead, LinearHead, RotatedETFHead
from equiangular.losses import DotRegressionLoss, dot_regression_loss
from equiangular.losses._through_head import fused_loss

B, D, K = 7, 6, 5
LABELS = torch.tensor([0, 4, 2, 2, 1, 3, 0])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written(x: torch.Tensor, weight: torch.Tensor, norm: float, reduction: str) -> torch.Tensor:
    losses = ((F.normalize(x) * weight[LABELS]).sum(1) - norm) ** 2 / (2 * norm)
    return losses if reduction == "none" else getattr(losses, reduction)()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("e_h", [1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_function_is_the_formula(reduction: str, e_h: float, dtype: torch.dtype) -> None:
    head = ETFHead(D, K, dtype=dtype).eval()
    loss = DotRegressionLoss(reduction=reduction, e_h=e_h)
    x, y = ((3 * draw(B, D)).to(dtype).requires_grad_() for _ in range(2))
    exact = written(x.double(), head.weight.double(), e_h**0.5, reduction)
    assert fused_loss(y, LABELS, head, e_h**0.5, reduction) is not None
    for ours in (loss(y, LABELS, head), dot_regression_loss(y, LABELS, head, reduction=reduction, e_h=e_h)):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=1e-7)
        upstream = draw(B, seed=1) if reduction == "none" else torch.tensor(0.3, dtype=torch.float64)
        expected = torch.autograd.grad(exact, x, upstream, retain_graph=True)[0]
        got = torch.autograd.grad(ours, y, upstream.to(dtype))[0]
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6 if dtype == torch.float32 else 1e-12)
    with torch.no_grad():
        torch.testing.assert_close(loss(y, LABELS, head).double(), exact.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_derivatives(reduction: str) -> None:
    head, x = ETFHead(D, K, dtype=torch.float64).eval(), draw(B, D).requires_grad_()
    loss = lambda v: dot_regression_loss(v, LABELS, head, reduction=reduction)  # noqa: E731
    assert torch.autograd.gradcheck(loss, x, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(loss, x)


HEADS: dict[str, Head] = {
    "normalises": ETFHead(D, K),
    "batch norm": ETFHead(D, K, norm="batch"),
    "mapped": ETFHead(D, K, projection="linear"),
    "dropout": ETFHead(D, K, drop_rate=0.5),
    "not normalised": LinearHead(D, K),
    "learned": CosineHead(D, K),
    "rotated": RotatedETFHead(D, K),
    "implicit": ImplicitHead(D, K),
    "unstored": ETFHead(520, 520, basis="canonical"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", ["hard", "ignored", "soft", "mixup", "balanced", "weighted"])
def test_every_head_and_target(name: str, kind: str) -> None:
    head = HEADS[name].eval()
    target = {"soft": draw(B, head.num_classes).float().softmax(1), "mixup": (LABELS, LABELS.flip(0), 0.3)}.get(
        kind, LABELS
    )
    if kind == "ignored":
        target = LABELS.masked_fill(LABELS == 2, -100)
    options = {"balanced": {"balance": "batch"}, "weighted": {"class_weight": torch.arange(1.0, 1 + head.num_classes)}}
    given = options.get(kind, {})
    x, y = (draw(B, head.in_features).float().requires_grad_() for _ in range(2))
    ours = dot_regression_loss(x, target, head, **given)
    theirs = dot_regression_loss(head(y, pre_logits=True), target, head.class_vectors(), **given)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_what_is_wrong_is_told_as_ever() -> None:
    head, loss = ETFHead(D, K), DotRegressionLoss()
    x = draw(B, D).float()
    with pytest.raises(ValueError, match="this head takes features of shape"):
        loss(x[:, 1:], LABELS, head)
    with pytest.raises(ValueError, match=r"must lie in \[0, 4\]"):
        loss(x, LABELS + 1, head)
    x[3, 1] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite values, first in row 3"):
        loss(x, LABELS, head)
    with pytest.warns(UserWarning, match="no negative entry"):
        loss(draw(40, D).abs().float(), LABELS.repeat(6)[:40], ETFHead(D, K).train())
    x[3] = 0
    zero = x.clone().requires_grad_()
    loss(zero, LABELS, head).backward()
    assert zero.grad[3].eq(0).all()
    assert zero.grad.isfinite().all()
    with pytest.raises(ValueError, match="zero-norm row"):
        loss(zero, LABELS, ETFHead(D, K, zero_norm="error"))
    huge = torch.full((B, D), 1e30).requires_grad_()
    loss(huge, LABELS, head).backward()
    assert huge.grad.isfinite().all()


def test_whoever_listens_to_the_features_hears_them() -> None:
    head, heard = ETFHead(D, K).eval(), []
    head.feature_tap.register_forward_hook(lambda module, given, h: heard.append(h))
    DotRegressionLoss()(draw(B, D).float(), LABELS, head)
    assert heard[0].shape == (B, D)
