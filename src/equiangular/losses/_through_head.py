"""Dot-regression of what a head is given: normalisation and loss in one function, and only the rows of the batch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from equiangular._autocast import autocast_is_on
from equiangular._validate import values_are_readable
from equiangular.heads.base import Head
from equiangular.heads.functional import IGNORE_INDEX, unit_normalize
from equiangular.losses._targets import Reduction, reduce_losses


def features_and_rows(x: Tensor, target: Any, head: Head, *, rows_alone: bool) -> tuple[Tensor, Any, Tensor]:
    """What :func:`dot_regression_loss` takes without a head: features h, a target, and class vectors for it.

    With ``rows_alone`` the vectors are those of the samples of a hard target, (B, d), and its labels their numbers.
    """
    h: Tensor = head(x, pre_logits=True)
    if rows_alone and isinstance(target, Tensor) and target.ndim == 1 and h.ndim == 2 and len(target) == len(h):
        own = torch.arange(len(target), device=target.device)
        return h, torch.where(target == IGNORE_INDEX, target, own), head.targets(target)
    return h, target, head.class_vectors()


def fused_loss(x: Any, target: Any, head: Head, norm: float, reduction: Reduction) -> Tensor | None:
    """The loss in one function, where the head does nothing but normalise and its class vectors are fixed.

    None where that is not so, where values cannot be read, for labels that are no classes, and for features that are
    zero, not finite or huge.
    """
    vectors = head._buffers.get("weight")
    if vectors is None or not isinstance(x, Tensor) or not isinstance(target, Tensor):
        return None
    if not values_are_readable(x, vectors, target) or not head._only_normalises(x):
        return None
    if vectors.dtype != x.dtype or x.dtype not in (torch.float32, torch.float64) or forward_ad._current_level >= 0:
        return None
    if target.dtype != torch.int64 or target.shape != x.shape[:1] or not len(x) or autocast_is_on(x):
        return None
    try:
        rows = vectors.index_select(0, target)
    except IndexError:
        return None
    value = x.detach()
    square = torch.linalg.vecdot(value, value)
    low, high = torch.aminmax(square)
    limit = max(1e-12, torch.finfo(x.dtype).tiny)  # as in unit_normalize
    if not (low.item() > 2 * limit**2 and high.item() <= 2.0**64):
        return None
    loss: Tensor = _NormalisedDotRegression.apply(x, rows, square, norm, reduction)  # type: ignore[no-untyped-call]  # torch's
    return loss


class _NormalisedDotRegression(torch.autograd.Function):
    """(c - n)^2 / 2n with c = w_y . x / ||x||, whose gradient is (c - n) / (n ||x||) (w_y - c x / ||x||)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, square: Tensor, norm: float, reduction: Reduction) -> Tensor:
        inverse = square.rsqrt()
        cosine = torch.linalg.vecdot(x, rows).mul_(inverse)
        missing = cosine - norm
        share = 1.0 / len(x) if reduction == "mean" else 1.0
        ctx.options = norm, reduction, share / norm
        if ctx.needs_input_grad[0]:
            pull = missing * inverse
            along = cosine.mul_(inverse).mul_(pull)
            ctx.save_for_backward(x, rows, torch.addcmul(rows * pull[:, None], x, along[:, None], value=-1))
        none = reduction == "none"
        loss: Tensor = missing.square_() if none else torch.dot(missing, missing)
        return loss.mul_(0.5 * share / norm)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, rows, pull = ctx.saved_tensors
        norm, reduction, share = ctx.options
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            losses = ((unit_normalize(x) * rows).sum(-1) - norm) ** 2 / (2 * norm)
            (again,) = torch.autograd.grad(reduce_losses(losses, reduction), x, gradient, create_graph=True)
            return again, None, None, None, None
        gradient = gradient * share
        return pull * (gradient[:, None] if reduction == "none" else gradient), None, None, None, None
