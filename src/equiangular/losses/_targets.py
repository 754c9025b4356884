"""The three kinds of target every loss takes, brought to one form.

A target is (B,) class indices, a (B, K) matrix of class probabilities, or a mixup triple ``(target_a, target_b, lam)``.
All three become shares of classes: sample i belongs to class ``labels[i, j]`` with share ``share[i, j]``. Hard targets
have m = 1 share a sample and mixup triples m = 2, so that nothing of size B x K is made for them; only a soft target,
which is B x K itself, has m = K. The label ``ignore_index`` leaves a share out, of sums and of means.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args

import torch
from torch import Tensor

from equiangular._autocast import without_autocast
from equiangular._rebuilt import RebuiltModule
from equiangular._validate import (
    check_choice,
    check_features,
    check_labels,
    check_positive,
    labels_in_range,
    values_are_readable,
)
from equiangular.heads.functional import IGNORE_INDEX, class_rows

Target = Union[Tensor, tuple[Tensor, Tensor, Union[float, Tensor]]]  # noqa: UP007 - evaluated at run time on 3.10

Made = TypeVar("Made")
Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


class ClassShares(NamedTuple):
    """Which classes a sample belongs to, and how much."""

    share: Tensor  # (B, m) floating point; a row sums to 1
    labels: Tensor | None  # (B, m) int64, or None for a soft target, whose column j is class j
    ignored: Tensor | None = (
        None  # (B, m) bool, shares of 0 whose label was ignore_index and is 0; None if there are none
    )

    def gather(self, per_class: Tensor) -> Tensor:
        """The entries of a (K,) vector that belong to the shares: (B, m), or (1, K) for a soft target."""
        return per_class[None] if self.labels is None else per_class[self.labels]

    def pick(self, per_sample: Tensor) -> Tensor:
        """The entries of a (B, K) matrix that belong to the shares: (B, m)."""
        return per_sample if self.labels is None else per_sample.gather(1, self.labels)

    def dots(self, features: Tensor, weight: Tensor) -> Tensor:
        """w_c . h for every share: (B, m) from features (B, d) and weight (K, d); O(B d m) time and memory."""
        if self.labels is None:
            with without_autocast(features):
                return features @ weight.to(features.dtype).T
        return (features[:, None, :] * class_rows(weight, self.labels)).sum(-1)

    def counted(self) -> Tensor:
        """How much of each sample is not ignored, (B,): 1, or the sum of the shares that are left."""
        if self.ignored is None:
            return self.share.new_ones(self.share.shape[0])
        return torch.where(self.ignored.any(1), self.share.sum(1), 1.0)

    def weigh(self, losses: Tensor, importance: Tensor | None = None) -> Tensor:
        """The samples' losses (B,) from those of their shares (B, m); what is ignored counts 0, infinite or not."""
        if self.ignored is not None:
            losses = losses.masked_fill(self.ignored, 0.0)
        return ((self.share if importance is None else importance) * losses).sum(1)

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        """Mean over what is not ignored, sum or nothing over the samples' losses (B,)."""
        if self.ignored is None or reduction != "mean":
            return reduce_losses(losses, reduction)
        return losses.sum() / self.counted().sum()

    def class_totals(self) -> tuple[Tensor, Tensor]:
        """Sum of the shares of each share's class, shaped like :meth:`gather`, and the number of classes present.

        Sorting brings equal labels together, so the work is O(B log B) whatever K, with shapes known beforehand.
        """
        if self.labels is None:
            totals = self.share.sum(0, keepdim=True)
            return totals, (totals > 0).sum()
        ordered, order = self.labels.flatten().sort()
        run = torch.zeros_like(ordered)
        run[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
        share = self.share.flatten()
        per_run = torch.zeros_like(share).index_add(0, run, share[order])
        totals = torch.empty_like(share).scatter(0, order, per_run[run])
        return totals.view_as(self.share), (per_run > 0).sum()


def reduce_losses(losses: Tensor, reduction: Reduction) -> Tensor:
    """Mean, sum or nothing over the samples' losses (B,), none of which is ignored."""
    check_choice(reduction, REDUCTIONS, "reduction")
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def parse_target(target: Any, num_classes: int, batch: int, ignore_index: int, *, like: Tensor) -> ClassShares:
    """Check a target and return it as :class:`ClassShares`."""
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise ValueError(f"ignore_index must be an integer, such as {IGNORE_INDEX}, got {ignore_index!r}.")
    if isinstance(target, (tuple, list)):
        return _parse_mixup(target, num_classes, batch, ignore_index, like)
    if isinstance(target, Tensor) and target.ndim == 2:
        return _parse_soft(target, num_classes, batch, like)
    if isinstance(target, Tensor) and target.ndim == 1:
        labels = check_labels(target, num_classes, name="target", batch=batch, ignore_index=ignore_index)[:, None]
        return _without_ignored(torch.ones_like(labels, dtype=like.dtype), labels, ignore_index)
    received = f"shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
    raise ValueError(
        "target must be class indices (B,), class probabilities (B, K) or a mixup triple (target_a, target_b, lam), "
        f"got {received}."
    )


def hard_labels(target: Any, num_classes: int, batch: int, ignore_index: int) -> Tensor | None:
    """The labels (B,) int64 of a hard target of which none is ignored, by one pass over them.

    None for any other target, a wrong one included, and where values cannot be read: :func:`parse_target` is for those.
    """
    if not isinstance(target, Tensor) or not values_are_readable(target) or type(ignore_index) is not int:
        return None
    if target.dtype != torch.int64 or target.shape != (batch,) or not batch or 0 <= ignore_index < num_classes:
        return None
    return target if labels_in_range(target, num_classes) else None


def kept_for_counts(make: Callable[..., Made]) -> Callable[..., Made]:
    """What ``make(class_counts, *options)`` gives, made once for as long as it is asked for the same.

    Counts are compared by their values, one pass over K numbers: a training asks with the same ones at every step. What
    comes back is shared between callers, who must not write to it.
    """
    last: tuple[Tensor, tuple[Any, ...], Made] | None = None

    @wraps(make)
    def get(class_counts: Any, *options: Any) -> Made:
        nonlocal last
        if not isinstance(class_counts, Tensor) or not values_are_readable(class_counts):
            return make(class_counts, *options)
        known = last
        same = known is not None and known[1] == options and known[0].dtype == class_counts.dtype
        if known is not None and same and torch.equal(known[0], class_counts):
            return known[2]
        made = make(class_counts, *options)
        last = class_counts.detach().clone(), options, made
        return made

    return get


def _without_ignored(share: Tensor, labels: Tensor, ignore_index: int) -> ClassShares:
    ignored = labels == ignore_index
    if values_are_readable(ignored) and not bool(ignored.any()):
        return ClassShares(share, labels)
    return ClassShares(share.masked_fill(ignored, 0.0), labels.masked_fill(ignored, 0), ignored)


def _parse_soft(target: Tensor, num_classes: int, batch: int, like: Tensor) -> ClassShares:
    if tuple(target.shape) != (batch, num_classes):
        raise ValueError(f"a soft target must have shape (B, K) = ({batch}, {num_classes}), got {tuple(target.shape)}.")
    if not target.is_floating_point():
        raise ValueError(
            f"a soft target must hold floating-point probabilities, got {target.dtype}. "
            "Pass class indices of shape (B,), or convert one-hot rows with .float()."
        )
    if values_are_readable(target) and batch:
        value = target.detach().float()
        if not bool((value >= 0).all()) or not bool(((value.sum(1) - 1).abs() < 1e-2).all()):
            sums = value.sum(1)
            raise ValueError(
                "every row of a soft target must be non-negative and sum to 1, got a smallest entry of "
                f"{float(value.min()):.4g} and sums from {float(sums.min()):.4g} to {float(sums.max()):.4g}. "
                "Pass probabilities, not logits."
            )
    return ClassShares(target.to(like.dtype), None)


def _parse_mixup(target: Any, num_classes: int, batch: int, ignore_index: int, like: Tensor) -> ClassShares:
    if len(target) != 3:
        raise ValueError(
            f"a mixup target must be (target_a, target_b, lam), got {len(target)} entries. "
            "Pass class indices as a tensor of shape (B,)."
        )
    options: dict[str, Any] = {"batch": batch, "ignore_index": ignore_index}
    a = check_labels(target[0], num_classes, name="target_a", **options)
    b = check_labels(target[1], num_classes, name="target_b", **options)
    if isinstance(target[2], (int, float)):  # written on the device: a copy from the host would make it wait
        if not 0 <= target[2] <= 1:
            raise ValueError(f"lam must lie in [0, 1], got {target[2]:.4g}.")
        lam = like.new_full((), target[2])
    else:
        lam = _as_tensor(target[2], "lam").to(like)
    if lam.ndim > 1 or (lam.ndim == 1 and lam.shape[0] != batch):
        raise ValueError(f"lam must be a number or have shape (B,) = ({batch},), got {tuple(lam.shape)}.")
    if values_are_readable(lam) and not bool(((lam >= 0) & (lam <= 1)).all()):
        raise ValueError(f"lam must lie in [0, 1], got values from {float(lam.min()):.4g} to {float(lam.max()):.4g}.")
    lam = lam.expand(batch)
    return _without_ignored(torch.stack([lam, 1 - lam], dim=1), torch.stack([a, b], dim=1), ignore_index)


def check_table(features: Any, weight: Any) -> tuple[Tensor, Tensor]:
    """Check features (B, d) against class vectors (K, d); return both in the dtype a loss is computed in.

    Half precision is raised to float32: a loss near its minimum is a small difference of numbers near 1. The values
    of ``weight`` are not looked at, which would take O(K d) time at every step.
    """
    if not isinstance(weight, Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        tensor = isinstance(weight, Tensor)
        received = f"{weight.dtype} of shape {tuple(weight.shape)}" if tensor else type(weight).__name__
        raise ValueError(f"weight must be a floating-point tensor of class vectors (K, d), got {received}.")
    check_features(features, dim=weight.shape[1])
    dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    return features.to(dtype), weight


def check_per_class(values: Any, num_classes: int | None, name: str, *, like: Tensor | None = None) -> Tensor:
    """Check a (K,) vector of finite non-negative numbers and return it on the device and in the dtype of ``like``.

    Without ``num_classes`` any K will do; without ``like`` device and dtype stay.
    """
    vector = _as_tensor(values, name).detach()
    vector = vector if like is None else vector.to(like)
    if vector.ndim != 1 or num_classes not in (None, vector.shape[0]):
        expected = "(K,)" if num_classes is None else f"(K,) = ({num_classes},)"
        raise ValueError(f"{name} must have shape {expected}, got {tuple(vector.shape)}.")
    if values_are_readable(vector) and not bool((torch.isfinite(vector) & (vector >= 0)).all()):
        low, high = float(vector.min()), float(vector.max())
        raise ValueError(f"{name} must be finite and at least 0, got values from {low:.4g} to {high:.4g}.")
    return vector


def check_scale(scale: Any) -> float | Tensor:
    """Check what cosines are multiplied by: a number above 0, or a 0-dim tensor, such as a learned one."""
    if not isinstance(scale, Tensor):
        return check_positive(scale, "scale")
    if scale.ndim or (values_are_readable(scale) and not bool(scale > 0)):
        received = f"shape {tuple(scale.shape)}" if scale.ndim else f"{float(scale):g}"
        raise ValueError(f"scale must be a number above 0 or a 0-dim tensor of one, got {received}.")
    return scale


def _as_tensor(values: Any, name: str) -> Tensor:
    try:
        return values if isinstance(values, Tensor) else torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must hold numbers, got {values!r}.") from error


class LossModule(RebuiltModule):
    """A loss as a module: ``shown`` names the options that ``repr`` shows."""

    shown: tuple[str, ...] = ("reduction",)

    def __init__(self, reduction: Reduction, ignore_index: int) -> None:
        super().__init__()
        self.reduction = check_choice(reduction, REDUCTIONS, "reduction")
        self.ignore_index = ignore_index
        self._made: dict[str, Tensor] = {}

    @property
    def reducing(self) -> dict[str, Any]:
        """What every loss function takes of these options."""
        return {"reduction": self.reduction, "ignore_index": self.ignore_index}

    def keep_per_class(self, name: str, make: Callable[[], Tensor]) -> None:
        """Keep the (K,) vector that ``make`` gives as a buffer that follows ``.to()`` and is not in the state_dict."""
        like = torch.empty(0)  # of the default dtype and device, the meta device among them
        with torch.device("cpu"):
            self._made[name] = vector = make()
        if vector.is_meta:
            raise ValueError(
                f"{type(self).__name__} is made from class counts or weights that have values, got them on "
                "device='meta'. Give numbers, or a tensor on the CPU."
            )
        self.num_classes = len(vector)
        self.register_buffer(name, vector.to(like), persistent=False)
        self._on_meta = like.is_meta

    def keep_class_weight(self, class_weight: Any | None) -> None:
        """Keep weights of classes that were given, or None, likewise."""
        self.register_buffer("class_weight", None, persistent=False)
        if class_weight is not None:
            self.keep_per_class("class_weight", lambda: check_per_class(class_weight, None, "class_weight"))

    def _made_tensors(self) -> dict[str, Tensor]:
        return self._made

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)
