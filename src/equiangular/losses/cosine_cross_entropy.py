"""Cross-entropy on scaled cosines, in chunks of classes when K is large: one buffer for all blocks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equiangular._autocast import without_autocast
from equiangular._validate import check_int, check_positive
from equiangular.heads.functional import IGNORE_INDEX, class_rows, unit_normalize
from equiangular.losses._targets import (
    ClassShares,
    LossModule,
    Reduction,
    Target,
    check_scale,
    check_table,
    parse_target,
)
from equiangular.losses.cross_entropy import check_smoothing


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


def cosine_cross_entropy(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    scale: float | Tensor,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORE_INDEX,
    chunk_size: int | None = None,
) -> Tensor:
    """Cross-entropy of the logits z_k = scale cos(h, w_k) + b_k.

    Features and class vectors are normalised here; a zero row has cosine 0 with everything and a zero gradient. The
    gradient with respect to unit h is scale (-(1 - p_c) w_c + sum_{k != c} p_k w_k), less its part along h.

    L = logsumexp_k z_k - sum_c t_c z_c. The second term needs the target rows only. With ``chunk_size`` the first is
    taken over blocks of classes whose logits are made again in the backward pass, so memory is O(B chunk_size) in
    place of O(B K); the result is the same up to rounding, and can be differentiated once. No gradient is made for a
    weight that does not require one.

    Args:
        features: (B, d) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        weight: (K, d) class vectors of any norm.
        scale: what the cosines are multiplied by, above 0; a number, or a 0-dim tensor that may be learned. See
            :func:`equiangular.heads.scale_for_probability`.
        bias: (K,) or None; the log prior here gives logit-adjusted training on cosines.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.
        chunk_size: classes per block; None takes all classes at once.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> features, weight, target = torch.eye(3), torch.eye(3), torch.arange(3)
        >>> whole = cosine_cross_entropy(features, target, weight, scale=8.0)
        >>> torch.testing.assert_close(whole, cosine_cross_entropy(features, target, weight, scale=8.0, chunk_size=2))

    Source: Wang et al., "NormFace: L2 hypersphere embedding for face verification", ACM Multimedia 2017; the gradient
    as in Yang et al., NeurIPS 2022, section 3.
    """
    eps = check_smoothing(label_smoothing)
    scale = check_scale(scale)
    features, weight = check_table(features, weight)
    num_classes = weight.shape[0]
    if bias is not None and (not isinstance(bias, Tensor) or tuple(bias.shape) != (num_classes,)):
        received = tuple(bias.shape) if isinstance(bias, Tensor) else type(bias).__name__
        raise ValueError(f"bias must have shape (K,) = ({num_classes},), got {received}.")
    size = num_classes if chunk_size is None else check_int(chunk_size, "chunk_size", minimum=1)
    shares = parse_target(target, num_classes, features.shape[0], ignore_index, like=features)
    with without_autocast(features):
        scaled = scale * unit_normalize(features)
        counted = 1.0 if shares.ignored is None else shares.counted()
        losses = counted * _log_sum_exp(scaled, weight, bias, size)
        losses = losses - (1 - eps) * _expected_logit(scaled, weight, bias, shares)
        if eps:
            losses = losses - eps * (counted * _mean_logit(scaled, weight, bias, size))
    return shares.reduce(losses, reduction)


def _log_sum_exp(scaled: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Tensor:
    """Logsumexp over the classes, (B,)."""
    if size < weight.shape[0]:
        result: Tensor = ChunkedLogSumExp.apply(scaled, weight, bias, size)  # type: ignore[no-untyped-call]  # torch's
        return result
    logits = scaled @ unit_normalize(weight.to(scaled.dtype)).T
    return (logits if bias is None else logits + bias).logsumexp(1)


def _expected_logit(scaled: Tensor, weight: Tensor, bias: Tensor | None, shares: ClassShares) -> Tensor:
    """sum_c t_c z_c, (B,), from the target rows alone; a soft target is contracted with the table first."""
    if shares.labels is None:
        rows = shares.share @ unit_normalize(weight.to(scaled.dtype))
        expected = (scaled * rows).sum(1)
        return expected if bias is None else expected + shares.share @ bias.to(scaled.dtype)
    logits = (scaled[:, None, :] * unit_normalize(class_rows(weight, shares.labels).to(scaled.dtype))).sum(-1)
    return (shares.share * (logits if bias is None else logits + class_rows(bias, shares.labels))).sum(1)


def _mean_logit(scaled: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Tensor:
    """The mean of a sample's logits over the classes, (B,), from the mean class vector."""
    blocks = [unit_normalize(block.to(scaled.dtype)).sum(0) for block in weight.split(size)]
    mean = scaled @ (torch.stack(blocks).sum(0) / weight.shape[0])
    return mean if bias is None else mean + bias.mean()


class CosineCrossEntropyLoss(LossModule):
    """Module form of :func:`cosine_cross_entropy`, which see; ``forward(features, target, weight, bias=None)``.

    Example:
        >>> loss = CosineCrossEntropyLoss(scale=8.0)
        >>> loss(torch.eye(3), torch.arange(3), torch.eye(3))
        tensor(0.0007)
    """

    shown = ("scale", "reduction", "chunk_size")

    def __init__(
        self,
        *,
        scale: float,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int = IGNORE_INDEX,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__(reduction, ignore_index)
        self.scale = check_positive(scale, "scale")
        self.label_smoothing = check_smoothing(label_smoothing)
        self.chunk_size = None if chunk_size is None else check_int(chunk_size, "chunk_size", minimum=1)

    def forward(self, features: Tensor, target: Target, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        options: dict[str, Any] = {"scale": self.scale, "label_smoothing": self.label_smoothing, "bias": bias}
        options |= {**self.reducing, "chunk_size": self.chunk_size}
        return cosine_cross_entropy(features, target, weight, **options)
