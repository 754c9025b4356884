"""Checks of user input. Each raises ValueError saying what broke, what was received and what to do.

Shapes and dtypes are always checked. Values (label range, NaN) are checked where looking at them is free of side
effects: on CPU tensors in eager mode. On an accelerator that look would stall the device, and inside
``torch.compile`` or ``torch.export`` it would break the graph, so there it is left out. Labels are the exception: an
index out of range reads another class's row or none, so there the device itself is told to fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor as _is_wrapped
from torch.compiler import is_compiling
from torch.jit import is_tracing  # type: ignore[attr-defined]  # torch's stubs leave it out
from torch.nn import Parameter

from equiangular._checks import check_choice, check_int, check_non_negative, check_positive, did_you_mean

# What torch.jit.is_tracing asks, without its two calls: this is asked several times in a step.
_is_tracing: Callable[[], bool] = torch._C._is_tracing
# Inside torch.func a plain tensor, such as a parameter, meets functions that know no transforms.
_is_transformed: Callable[[], bool] = torch._C._are_functorch_transforms_active

Device = torch.device | str | None
Dtype = torch.dtype | None

__all__ = [
    "Device", "Dtype", "check_choice", "check_class_counts", "check_features", "check_int", "check_labels",
    "check_non_negative", "check_num_classes", "check_positive", "did_you_mean", "have_values", "values_are_readable",
]  # fmt: skip


def have_values(*tensors: Tensor) -> bool:
    """Whether these are plain tensors with values: no compilation, tracing, ``torch.func`` transform or meta device."""
    if is_compiling() or _is_tracing() or _is_transformed():
        return False
    for tensor in tensors:  # a loop, for this is asked several times in a step
        if (type(tensor) is not Tensor and type(tensor) is not Parameter) or tensor.is_meta or _is_wrapped(tensor):
            return False
    return True


def values_are_readable(*tensors: Tensor) -> bool:
    """Whether values may be inspected free of side effects: plain tensors with values, on the CPU."""
    for tensor in tensors:
        if tensor.device.type != "cpu":  # `is_cpu` breaks a graph of PyTorch 2.4
            return False
    return have_values(*tensors)


def check_num_classes(num_classes: Any) -> int:
    """Return the number of classes K as an int >= 2."""
    if isinstance(num_classes, Tensor) and is_tracing():  # sizes are tensors in a trace
        return num_classes  # type: ignore[return-value]
    return check_int(num_classes, "num_classes", minimum=2, hint="A classifier separates at least two classes.")


class NonFiniteError(ValueError):
    """A tensor has NaN or infinite values: bad input, or a training that diverged."""


def check_features(features: Any, *, dim: int | None = None, name: str = "features", allow_zero: bool = True) -> Tensor:
    """Check a (B, d) floating-point tensor: rank, width, finite values and, on request, no zero row."""
    if not isinstance(features, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor of shape (B, d), got {type(features).__name__}.")
    if features.ndim != 2:
        raise ValueError(
            f"{name} must have shape (B, d), got {tuple(features.shape)}. Pool or flatten it to one vector per sample."
        )
    if not features.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {features.dtype}. Convert it with .float().")
    if dim is not None and not is_tracing() and features.shape[1] != dim:  # sizes are tensors in a trace
        raise ValueError(f"{name} must have width {dim}, got shape {tuple(features.shape)}.")
    if values_are_readable(features):
        value = features.detach()
        # One cheap reduction tells almost always; a sum that overflows is looked at again, entry by entry.
        if not math.isfinite(value.sum().item()) and not torch.isfinite(value).all():
            row = int((~torch.isfinite(value)).any(dim=1).nonzero()[0])
            raise NonFiniteError(
                f"{name} has NaN or infinite values, first in row {row}. "
                "Look for a learning rate that is too high, or bad values in the input."
            )
        if not allow_zero and value.shape[0] and (zero := _zero_row(value)) is not None:
            raise ValueError(
                f"{name} has a zero-norm row (row {zero}), which has no direction. "
                "Remove the sample, or look for a dead layer before the head."
            )
    return features


def _zero_row(value: Tensor) -> int | None:
    """The first row of zeros: among those whose norm is 0, which is found at a tenth of the price, or underflows."""
    rows = (torch.linalg.vector_norm(value, dim=1) == 0).nonzero().flatten()
    rows = rows[~value[rows].any(dim=1)]
    return int(rows[0]) if len(rows) else None


def check_labels(
    labels: Any, num_classes: int, *, name: str = "labels", batch: int | None = None, ignore_index: int | None = None
) -> Tensor:
    """Check a (B,) integer tensor of class indices in [0, num_classes), or ``ignore_index``; return it as int64.

    Where values cannot be looked at, a bad label fails when the device comes to it.
    """
    if not isinstance(labels, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor of shape (B,), got {type(labels).__name__}.")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"{name} must hold integers (torch.int64 class indices), got {labels.dtype}. Use .long().")
    if labels.ndim != 1:
        raise ValueError(f"{name} must have shape (B,), got {tuple(labels.shape)}.")
    if batch is not None and labels.shape[0] != batch:
        raise ValueError(f"{name} has {labels.shape[0]} entries for {batch} samples; they must agree.")
    rule = f"{name} must lie in [0, {num_classes - 1}] for {num_classes} classes"
    if values_are_readable(labels):
        if not labels_in_range(labels, num_classes):
            judged = labels if ignore_index is None else labels.masked_fill(labels == ignore_index, 0)
            low, high = int(judged.min()), int(judged.max())
            if low < 0 or high >= num_classes:
                left_out = "" if ignore_index is None else f" A sample without a class has the label {ignore_index}."
                raise ValueError(
                    f"{rule}, got values from {low} to {high}. "
                    f"Relabel the classes 0..K-1, or raise num_classes.{left_out}"
                )
        wide: Tensor = labels.long()
        return wide
    judged = labels if ignore_index is None else labels.masked_fill(labels == ignore_index, 0)
    if (have_values(labels) and labels.device.type == "cuda") or torch.compiler.is_compiling():
        torch._assert_async(((judged >= 0) & (judged < num_classes)).all(), rule)
    else:  # a negative index would be counted from the end; K is refused wherever a row is looked up
        labels = torch.where(judged < 0, num_classes, labels)
    wide = labels.long()
    return wide


def labels_in_range(labels: Tensor, num_classes: int) -> bool:
    """Whether readable labels (B,) all lie in [0, K), by one pass over them."""
    if not labels.numel():
        return True
    low, high = torch.aminmax(labels)
    return low.item() >= 0 and high.item() < num_classes


def check_class_counts(counts: Any, num_classes: int | None = None, *, name: str = "class_counts") -> Tensor:
    """Check per-class sample counts (K,), all above zero, and return them as a float64 tensor on their device."""
    try:
        tensor = (counts if isinstance(counts, Tensor) else torch.as_tensor(counts)).detach().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be a sequence of K numbers, got {counts!r}.") from error
    if tensor.ndim != 1 or tensor.numel() == 0:
        raise ValueError(f"{name} must have shape (K,), got {tuple(tensor.shape)}.")
    if num_classes is not None and tensor.numel() != num_classes:
        raise ValueError(f"{name} has {tensor.numel()} entries for {num_classes} classes; they must agree.")
    if values_are_readable(tensor):
        bad = (~torch.isfinite(tensor) | (tensor <= 0)).nonzero().flatten()
        if bad.numel():
            raise ValueError(
                f"{name} must be finite and above 0: class {int(bad[0])} has {tensor[bad[0]].item():g} "
                f"({bad.numel()} such classes). An empty class has no prior: drop it and relabel, or smooth the counts."
            )
    return tensor
