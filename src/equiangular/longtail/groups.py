"""Many, medium and few: classes grouped by their number of training samples."""

from __future__ import annotations

from typing import Any

import numpy as np

GROUP_NAMES = ("many", "medium", "few")


def class_groups(counts: Any, thresholds: tuple[int, int] = (20, 100)) -> dict[str, np.ndarray]:
    """Group class indices by training-set size.

    many: n_c > high; medium: low <= n_c <= high; few: n_c < low (Liu et al., CVPR 2019). Counts decide, not index
    ranges, so that the groups stay right for every imbalance factor and after a hold-out.

    Args:
        counts: (K,) training samples per class, array or tensor; 0 for a class that is absent.
        thresholds: (low, high) with 0 < low <= high.

    Returns:
        ``{"many", "medium", "few"}`` to ascending int64 class indices; a group may be empty.

    Raises:
        ValueError: negative or non-numeric counts, or thresholds out of order.

    Example:
        >>> class_groups([500, 100, 20, 3])
        {'many': array([0]), 'medium': array([1, 2]), 'few': array([3])}
    """
    if hasattr(counts, "detach"):
        counts = counts.detach().cpu()
    sizes = np.asarray(counts)
    if sizes.ndim != 1 or sizes.size == 0 or sizes.dtype.kind not in "iuf":
        raise ValueError(f"counts must be K numbers, one per class, got shape {sizes.shape} and dtype {sizes.dtype}.")
    if not (np.isfinite(sizes).all() and (sizes >= 0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0)))[0])
        raise ValueError(f"counts must be finite and not negative, got {sizes[bad]} for class {bad}.")
    try:
        low, high = thresholds
    except (TypeError, ValueError) as error:
        raise ValueError(f"thresholds must be a pair (low, high), got {thresholds!r}.") from error
    if not 0 < low <= high:
        raise ValueError(f"thresholds must satisfy 0 < low <= high, got {thresholds!r}; (20, 100) is the usual pair.")
    masks = (sizes > high, (sizes >= low) & (sizes <= high), sizes < low)
    return {name: np.flatnonzero(mask) for name, mask in zip(GROUP_NAMES, masks, strict=True)}
