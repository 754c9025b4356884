"""Cross-entropy on scaled cosines, in chunks of classes when K is large: one buffer for all blocks."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from equiangular._autocast import without_autocast
from equiangular._validate import check_features, check_int, check_positive, have_values
from equiangular.heads.functional import IGNORE_INDEX, class_rows, unit_normalize
from equiangular.heads.implicit import ImplicitHead
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
from equiangular.losses.log_sum_exp import ChunkedLogSumExp, FrozenLogSumExp


def cosine_cross_entropy(
    features: Tensor,
    target: Target,
    weight: Tensor | ImplicitHead,
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
    taken over blocks of classes, so memory is O(B chunk_size) in place of O(B K); the result is the same up to
    rounding, and can be differentiated once. Where weight and bias are frozen the gradient is made in the same pass;
    else a block's logits are made again for it. No gradient is made for a weight that does not require one.

    Args:
        features: (B, d) floating point.
        target: (B,) integers, (B, K) probabilities or a mixup triple ``(target_a, target_b, lam)``.
        weight: (K, d) class vectors of any norm; or an :class:`equiangular.ImplicitHead`, whose class vectors are made
            block by block, in eager mode: then memory is independent of K d, too.
        scale: what the cosines are multiplied by, above 0; a number, or a 0-dim tensor that may be learned. See
            :func:`equiangular.heads.scale_for_probability`.
        bias: (K,) or None; the log prior here gives logit-adjusted training on cosines.
        label_smoothing: eps in [0, 1]: the target becomes (1 - eps) t + eps / K.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` (B,); the result is float32 for half-precision input.
        ignore_index: label of samples that count for nothing, neither in the sum nor in the mean.
        chunk_size: classes per block; None takes all classes at once, or the chunks of the head.

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
    features, table = _check(features, weight)
    num_classes = table.num_classes if isinstance(table, ImplicitHead) else table.shape[0]
    if bias is not None and (not isinstance(bias, Tensor) or tuple(bias.shape) != (num_classes,)):
        received = tuple(bias.shape) if isinstance(bias, Tensor) else type(bias).__name__
        raise ValueError(f"bias must have shape (K,) = ({num_classes},), got {received}.")
    whole = table.chunk_size if isinstance(table, ImplicitHead) else num_classes
    size = whole if chunk_size is None else check_int(chunk_size, "chunk_size", minimum=1)
    shares = parse_target(target, num_classes, features.shape[0], ignore_index, like=features)
    with without_autocast(features):
        scaled = scale * unit_normalize(features)
        counted = 1.0 if shares.ignored is None else shares.counted()
        losses = counted * _log_sum_exp(scaled, table, bias, size, num_classes)
        losses = losses - (1 - eps) * _expected_logit(scaled, table, bias, shares, size)
        if eps:
            losses = losses - eps * (counted * _mean_logit(scaled, table, bias, size, num_classes))
    return shares.reduce(losses, reduction)


def _check(features: Any, weight: Any) -> tuple[Tensor, Tensor | ImplicitHead]:
    """:func:`check_table`; a head in the place of the table stays one where its class vectors can be made in blocks."""
    if not isinstance(weight, ImplicitHead):
        return check_table(features, weight)
    if not weight.num_classes:
        raise ValueError("a head with num_classes=0 has no class vectors; give it classes with reset(num_classes).")
    check_features(features, dim=weight.dim)
    dtype = torch.promote_types(torch.promote_types(features.dtype, weight.scale.dtype), torch.float32)
    return features.to(dtype), weight if have_values(features) else weight.class_vectors()


def _log_sum_exp(
    scaled: Tensor, table: Tensor | ImplicitHead, bias: Tensor | None, size: int, num_classes: int
) -> Tensor:
    """Logsumexp over the classes, (B,)."""
    learned = (isinstance(table, Tensor) and table.requires_grad) or (bias is not None and bias.requires_grad)
    in_blocks = isinstance(table, ImplicitHead) or (size < num_classes and have_values(scaled, table))
    result: Tensor
    if in_blocks and not learned and forward_ad._current_level < 0:
        wanted = scaled.requires_grad and torch.is_grad_enabled()
        bias = None if bias is None else bias.to(scaled.dtype)
        result = FrozenLogSumExp.apply(scaled, table, bias, size, wanted)  # type: ignore[no-untyped-call]  # torch's
        return result
    weight = table.class_vectors() if isinstance(table, ImplicitHead) else table
    if size < num_classes:
        result = ChunkedLogSumExp.apply(scaled, weight, bias, size)  # type: ignore[no-untyped-call]  # torch's
        return result
    logits = scaled @ unit_normalize(weight.to(scaled.dtype)).T
    return (logits if bias is None else logits + bias).logsumexp(1)


def _expected_logit(
    scaled: Tensor, table: Tensor | ImplicitHead, bias: Tensor | None, shares: ClassShares, size: int
) -> Tensor:
    """sum_c t_c z_c, (B,), from the target rows alone; a soft target is contracted with the table first."""
    if shares.labels is None:
        if isinstance(table, Tensor):
            rows = shares.share @ unit_normalize(table.to(scaled.dtype))
        else:
            blocks = table.blocks(size, scaled.dtype)
            rows = torch.stack([block.weighted(shares.share[:, block.start : block.stop]) for block in blocks]).sum(0)
        expected = (scaled * rows).sum(1)
        return expected if bias is None else expected + shares.share @ bias.to(scaled.dtype)
    if isinstance(table, Tensor):
        own = unit_normalize(class_rows(table, shares.labels).to(scaled.dtype))
    else:
        own = table.rows(shares.labels).to(scaled.dtype)
    logits = (scaled[:, None, :] * own).sum(-1)
    return (shares.share * (logits if bias is None else logits + class_rows(bias, shares.labels))).sum(1)


def _mean_logit(
    scaled: Tensor, table: Tensor | ImplicitHead, bias: Tensor | None, size: int, num_classes: int
) -> Tensor:
    """The mean of a sample's logits over the classes, (B,), from the mean class vector."""
    if isinstance(table, Tensor):
        blocks = [unit_normalize(block.to(scaled.dtype)).sum(0) for block in table.split(size)]
    else:
        made = table.blocks(size, scaled.dtype)
        blocks = [block.weighted(scaled.new_ones(1, block.stop - block.start))[0] for block in made]
    mean = scaled @ (torch.stack(blocks).sum(0) / num_classes)
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

    def forward(
        self, features: Tensor, target: Target, weight: Tensor | ImplicitHead, bias: Tensor | None = None
    ) -> Tensor:
        """The loss of features (B, d) against class vectors (K, d)."""
        options: dict[str, Any] = {"scale": self.scale, "label_smoothing": self.label_smoothing, **self.reducing}
        return cosine_cross_entropy(features, target, weight, bias=bias, chunk_size=self.chunk_size, **options)
