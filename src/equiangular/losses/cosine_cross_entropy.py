"""Cross-entropy on scaled cosines, in chunks of classes when K is large."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equiangular._autocast import without_autocast
from equiangular._validate import check_choice, check_int, check_positive
from equiangular.heads.normalize import unit_normalize
from equiangular.losses._chunked import ChunkedLogSumExp
from equiangular.losses._targets import (
    REDUCTIONS,
    ClassShares,
    Reduction,
    Target,
    check_scale,
    check_table,
    parse_target,
    reduce_losses,
)
from equiangular.losses.cross_entropy import check_smoothing


def cosine_cross_entropy(
    features: Tensor,
    target: Target,
    weight: Tensor,
    *,
    scale: float | Tensor,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
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
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        chunk_size: classes per block; None takes all classes at once.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32 for half-precision input.

    Raises:
        ValueError: wrong shapes or dtypes, labels out of range, NaN features, unknown options.

    Example:
        >>> features, weight, target = torch.eye(3), torch.eye(3), torch.arange(3)
        >>> whole = cosine_cross_entropy(features, target, weight, scale=8.0)
        >>> torch.testing.assert_close(whole, cosine_cross_entropy(features, target, weight, scale=8.0, chunk_size=2))

    Source: Wang et al., "NormFace: L2 hypersphere embedding for face verification", ACM Multimedia 2017; the gradient
    as in Yang et al., NeurIPS 2022, section 3.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    eps = check_smoothing(label_smoothing)
    scale = check_scale(scale)
    features, weight = check_table(features, weight)
    num_classes = weight.shape[0]
    if bias is not None and (not isinstance(bias, Tensor) or tuple(bias.shape) != (num_classes,)):
        received = tuple(bias.shape) if isinstance(bias, Tensor) else type(bias).__name__
        raise ValueError(f"bias must have shape (K,) = ({num_classes},), got {received}.")
    size = num_classes if chunk_size is None else check_int(chunk_size, "chunk_size", minimum=1)
    shares = parse_target(target, num_classes, features.shape[0], like=features)
    with without_autocast(features):
        scaled = scale * unit_normalize(features)
        losses = _log_sum_exp(scaled, weight, bias, size) - (1 - eps) * _expected_logit(scaled, weight, bias, shares)
        if eps:
            losses = losses - eps * _mean_logit(scaled, weight, bias, size)
    return reduce_losses(losses, reduction)


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
    logits = (scaled[:, None, :] * unit_normalize(weight[shares.labels].to(scaled.dtype))).sum(-1)
    return (shares.share * (logits if bias is None else logits + bias[shares.labels])).sum(1)


def _mean_logit(scaled: Tensor, weight: Tensor, bias: Tensor | None, size: int) -> Tensor:
    """The mean of a sample's logits over the classes, (B,), from the mean class vector."""
    blocks = [unit_normalize(block.to(scaled.dtype)).sum(0) for block in weight.split(size)]
    mean = scaled @ (torch.stack(blocks).sum(0) / weight.shape[0])
    return mean if bias is None else mean + bias.mean()


class CosineCrossEntropyLoss(nn.Module):
    """Module form of :func:`cosine_cross_entropy`; ``forward(features, target, weight, bias=None)``.

    Args:
        scale: what the cosines are multiplied by, above 0.
        label_smoothing: eps in [0, 1].
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        chunk_size: classes per block; None takes all classes at once.

    Raises:
        ValueError: an option out of its range.

    Example:
        >>> loss = CosineCrossEntropyLoss(scale=8.0)
        >>> loss(torch.eye(3), torch.arange(3), torch.eye(3))
        tensor(0.0007)
    """

    def __init__(
        self,
        *,
        scale: float,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.scale = check_positive(scale, "scale")
        self.label_smoothing = check_smoothing(label_smoothing)
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        self.chunk_size = None if chunk_size is None else check_int(chunk_size, "chunk_size", minimum=1)

    def forward(self, features: Tensor, target: Target, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        return cosine_cross_entropy(
            features,
            target,
            weight,
            scale=self.scale,
            bias=bias,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
            chunk_size=self.chunk_size,
        )

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"scale={self.scale}, reduction={self.reduction!r}, chunk_size={self.chunk_size}"
