"""Logsumexp of scaled cosines over the classes, in chunks: one buffer for all blocks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equiangular._validate import values_are_readable
from equiangular.frames.blocks import Block, Rows
from equiangular.heads.functional import unit_normalize
from equiangular.heads.implicit import ImplicitHead

_SAFE = 40.0  # exp(+-40) and sums of 10^20 of them are within float32


class ChunkedLogSumExp(torch.autograd.Function):
    """log sum_k exp(<s, w_k / ||w_k||> + b_k), (B,), from s (B, d), weight (K, d) and bias (K,) or None.

    A block's logits are made in the forward pass to update a running maximum and sum, and again in the backward pass
    for the gradients: p_k = exp(z_k - result) times the incoming gradient. All blocks share one buffer of B x size:
    blocks allocated and freed one by one, with results kept in between, would leave holes that the CPU's allocator
    does not fill, and resident memory would grow to B x K all the same.
    """

    @staticmethod
    def forward(ctx: Any, scaled: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Tensor:
        """Two in-place passes over each block: running maximum, then running sum."""
        top = scaled.new_full((scaled.shape[0],), -torch.inf)
        total = torch.zeros_like(top)
        for _, logits, _ in _blocks(scaled, weight, bias, size):
            higher = torch.maximum(top, logits.amax(1))
            total.mul_((top - higher).exp_()).add_(logits.sub_(higher[:, None]).exp_().sum(1))
            top = higher
        result = total.log_().add_(top)
        ctx.save_for_backward(scaled, weight, bias, result)
        ctx.size = size
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Gradients of those inputs that need one; none is allocated for a frozen weight."""
        scaled, weight, bias, result = ctx.saved_tensors
        of_scaled, of_weight, of_bias = ctx.needs_input_grad[:3]
        grad_scaled = torch.zeros_like(scaled) if of_scaled else None
        grad_weight = torch.empty_like(weight) if of_weight else None
        grad_bias = torch.empty_like(bias) if of_bias else None
        for rows, logits, vectors in _blocks(scaled, weight, bias, ctx.size):
            p = logits.sub_(result[:, None]).exp_().mul_(grad[:, None])
            if grad_scaled is not None:
                grad_scaled.addmm_(p, vectors)
            if grad_weight is not None:
                grad_weight[rows] = _through_normalisation(weight[rows], p.T @ scaled)
            if grad_bias is not None:
                grad_bias[rows] = p.sum(0)
        return grad_scaled, grad_weight, grad_bias, None


def _blocks(scaled: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The rows of a block, its logits (in the shared buffer, free to be overwritten) and its unit class vectors."""
    batch, num_classes = scaled.shape[0], weight.shape[0]
    buffer = scaled.new_empty(batch * min(size, num_classes))
    for start in range(0, num_classes, size):
        rows = slice(start, min(start + size, num_classes))
        vectors = unit_normalize(weight[rows].to(scaled.dtype))
        if torch.compiler.is_compiling():  # the compiler plans its own memory, and some get out= into views wrong
            logits = scaled @ vectors.T
        else:
            logits = buffer[: batch * vectors.shape[0]].view(batch, vectors.shape[0])
            torch.mm(scaled, vectors.T, out=logits)
        yield rows, logits if bias is None else logits.add_(bias[rows]), vectors


def _through_normalisation(weight: Tensor, grad: Tensor) -> Tensor:
    """The gradient with respect to vectors, given that with respect to the unit vectors made of them."""
    with torch.enable_grad():
        leaf = weight.detach().requires_grad_()
        return torch.autograd.grad(unit_normalize(leaf.to(grad.dtype)), leaf, grad)[0]


class FrozenLogSumExp(torch.autograd.Function):
    """:class:`ChunkedLogSumExp` where only s needs a gradient, sum_k p_k w_k: made in the forward pass, block by block.

    So a block's logits are made once. Logits between -40 and 40, which the norms of s (B, d) and the bias tell, need no
    running maximum.
    """

    @staticmethod
    def forward(
        ctx: Any, scaled: Tensor, table: Tensor | ImplicitHead, bias: Tensor | None, size: int, wanted: bool
    ) -> Tensor:
        """The running sum of exp(z) and, if ``wanted``, of exp(z) w."""
        bounded = _are_bounded(scaled, bias)
        top = scaled.new_full((len(scaled),), 0.0 if bounded else -torch.inf)
        total, pull = torch.zeros_like(top), torch.zeros_like(scaled)
        buffer = scaled.new_empty(0)
        for block in _frozen_blocks(table, size, scaled.dtype):
            count = len(scaled) * (block.stop - block.start)
            if len(buffer) < count:
                buffer = scaled.new_empty(count)
            logits = buffer[:count].view(len(scaled), -1)
            block.products(scaled, logits)
            if bias is not None:
                logits.add_(bias[block.start : block.stop])
            if not bounded:
                higher = torch.maximum(top, logits.amax(1))
                shrunk = (top - higher).exp_()
                total.mul_(shrunk)
                pull.mul_(shrunk[:, None])
                logits.sub_(higher[:, None])
                top = higher
            total.add_(logits.exp_().sum(1))
            if wanted:
                pull.add_(block.weighted(logits))
        ctx.save_for_backward(pull.div_(total[:, None]))
        return total.log_().add_(top)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        """What the forward pass has made, times the incoming gradient."""
        (pull,) = ctx.saved_tensors
        return pull * grad[:, None], None, None, None, None


def _are_bounded(scaled: Tensor, bias: Tensor | None) -> bool:
    """Whether all logits of unit class vectors are known to lie between -40 and 40."""
    if not scaled.numel() or not values_are_readable(scaled, *([] if bias is None else [bias])):
        return False
    most = torch.linalg.vector_norm(scaled, dim=1).max().item()
    return bool(most + (0.0 if bias is None else bias.abs().max().item()) <= _SAFE)


def _frozen_blocks(table: Tensor | ImplicitHead, size: int, dtype: torch.dtype) -> Iterator[Block]:
    """The unit class vectors, about ``size`` at a time."""
    if isinstance(table, ImplicitHead):
        yield from table.blocks(size, dtype)
        return
    for start in range(0, len(table), size):
        rows = table[start : start + size].to(dtype)
        yield Rows(start, rows if _have_norm_1(rows) else unit_normalize(rows))


def _have_norm_1(rows: Tensor) -> bool:
    """Whether normalising would change nothing but roundings, which is told by one look."""
    if not values_are_readable(rows):
        return False
    low, high = torch.aminmax(torch.linalg.vector_norm(rows, dim=1))
    tolerance = 8 * torch.finfo(rows.dtype).eps
    return 1 - tolerance <= low.item() and high.item() <= 1 + tolerance
