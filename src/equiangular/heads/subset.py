"""Logits of some of the classes only: evaluation on a subset, with the labels as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equiangular._validate import check_labels


def restrict_logits(logits: Tensor, classes: Tensor | Sequence[int]) -> Tensor:
    """Logits with -inf for every class outside ``classes``.

    Their argmax is the best of these classes under its own label, and their softmax is the model's distribution given
    that the class is one of them: p_k / sum_{j in classes} p_j.

    Args:
        logits: (..., K) floating point.
        classes: (C,) class indices in [0, K), or a (K,) bool mask.

    Returns:
        (..., K) in the dtype of ``logits``.

    Raises:
        ValueError: no class, an index out of range, or a mask of another length.

    Example:
        >>> restrict_logits(torch.tensor([[3.0, 1.0, 2.0]]), [1, 2])
        tensor([[-inf, 1., 2.]])
    """
    k = logits.shape[-1]
    chosen = torch.as_tensor(classes, device=logits.device)
    if chosen.dtype == torch.bool:
        if tuple(chosen.shape) != (k,):
            raise ValueError(f"a mask of classes must have shape ({k},), got {tuple(chosen.shape)}.")
        chosen = chosen.nonzero().flatten()
    if not chosen.numel():
        raise ValueError(f"classes is empty; name at least one of the {k} classes.")
    outside = torch.ones(k, dtype=torch.bool, device=logits.device)
    outside[check_labels(chosen, k, name="classes")] = False
    return logits.masked_fill(outside, -torch.inf)
