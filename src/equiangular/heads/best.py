"""The fixed head that the studies recommend, in one line."""

from __future__ import annotations

from typing import Any

from equiangular.heads.etf import ETFHead

# Chosen on validation data of several data sets, see docs/answer.md.
BEST_OPTIONS: dict[str, Any] = {"norm": "batch", "normalize": False, "projection": "linear"}


def best_head(in_features: int, num_classes: int, **options: Any) -> ETFHead:
    """A simplex ETF behind a learned linear map: logits = BatchNorm(P x) M^T, M fixed, for any K and any width.

    With :func:`equiangular.losses.logit_adjusted_cross_entropy` on its logits it is the recipe that came out level with
    learned classifiers where a bare ETF did not. What it costs: P and its offsets are (d + 1)(K - 1) learned
    numbers where a linear classifier has (d + 1) K. The bare ``ETFHead(d, K, norm="batch", normalize=False)`` has none.

    Args:
        in_features: d, width of the incoming features.
        num_classes: K >= 2.
        options: see :class:`equiangular.heads.Head`; they take precedence, such as ``scale=0.5`` for a few hundred
            samples.

    Returns:
        The head. It takes (B, d) floating point and gives logits (B, K).

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> import torch
        >>> from equiangular.losses import logit_adjusted_cross_entropy
        >>> head = best_head(64, 10)
        >>> logits = head(torch.randn(8, 64))
        >>> counts = [90, 50, 30, 20, 9, 9, 5, 4, 3, 1]
        >>> loss = logit_adjusted_cross_entropy(logits, torch.arange(8), counts)
        >>> logits.shape, head.head_parameters()  # 65 x 9 of the map, 18 of BatchNorm
        (torch.Size([8, 10]), 603)

    Source: studies of this project, docs/answer.md. A learned map in front of the ETF: Li et al., "No fear of
    classifier biases: neural collapse inspired federated learning", ICCV 2023.
    """
    return ETFHead(in_features, num_classes, **{**BEST_OPTIONS, **options})
