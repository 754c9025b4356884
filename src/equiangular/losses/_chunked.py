"""Logsumexp of scaled cosines over blocks of classes, with one buffer for all blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equiangular.heads.normalize import unit_normalize


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
