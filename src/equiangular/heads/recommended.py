"""The fixed head that the studies recommend, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from equiangular._renamed import warn_renamed
from equiangular.frames import class_mean_frame
from equiangular.heads.etf import ETFHead

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import ETFHeadOptions

# Chosen on validation data, see docs/answer.md and experiments/RECIPE.md.
FREE: dict[str, Any] = {"normalize": False}
BARE: dict[str, Any] = {"norm": "batch"}
MAPPED: dict[str, Any] = {"norm": "batch-first", "projection": "linear"}
# A small scale keeps the logits of similar classes close; chosen on validation data of two sets of texts.
SIMILAR: dict[str, Any] = {"norm": "batch", "scale": 4.0}
DIMENSIONS_PER_CLASS = 4


def needs_projection(in_features: int, num_classes: int) -> bool:
    """Whether the recipe puts a learned linear map before the frame: with fewer than four dimensions for a class.

    Example:
        >>> needs_projection(64, 10), needs_projection(64, 26)
        (False, True)
    """
    return in_features < DIMENSIONS_PER_CLASS * num_classes


def recommended_head(
    in_features: int, num_classes: int, *, class_means: Tensor | None = None, **options: Unpack[ETFHeadOptions]
) -> ETFHead:
    """A simplex ETF on features that are not normalised: logits = BatchNorm(x) M^T, M fixed.

    With fewer than four dimensions for a class there is a learned linear map P between BatchNorm and M,
    logits = (P BatchNorm(x)) M^T, so that there is an ETF for any K and any width. M P is then a learned linear
    classifier in other coordinates, and SGD trains it as such, at a learning rate K / (K - 1) times as high.

    Where the inputs say which classes are alike, as TF-IDF or embeddings of texts do, give their ``class_means``: the
    fixed vectors then have the cosines of these, see :func:`equiangular.class_mean_frame`, and meet features of unit
    norm at logit scale 4. No map is needed, whatever K. For images and tables this is worse than the above.

    With :func:`equiangular.losses.logit_adjusted_cross_entropy` on its logits this is the recipe of docs/answer.md,
    which says where it is better than learned classifiers, level and worse. What it costs: BatchNorm's 2 d numbers;
    with the map (d + 1)(K - 1) more, about as many as the linear classifier, so that nothing is saved there.

    Args:
        in_features: d, width of the incoming features.
        num_classes: K >= 2.
        class_means: (K, p) mean input of every class of the training data, or None.
        options: see :class:`equiangular.heads.ETFHead`; they take precedence, such as ``projection=None``, or
            ``scale=0.5`` for a few hundred samples.

    Returns:
        The head. It takes (B, d) floating point and gives logits (B, K).

    Raises:
        ValueError: an argument out of its range, or class means that no frame can follow.

    Example:
        >>> import torch
        >>> from equiangular.losses import logit_adjusted_cross_entropy
        >>> head = recommended_head(64, 10)
        >>> logits = head(torch.randn(8, 64))
        >>> counts = [90, 50, 30, 20, 9, 9, 5, 4, 3, 1]
        >>> loss = logit_adjusted_cross_entropy(logits, torch.arange(8), counts)
        >>> logits.shape, head.head_parameters(), recommended_head(64, 100).dim
        (torch.Size([8, 10]), 128, 99)
        >>> recommended_head(64, 100, class_means=torch.randn(100, 300)).head_parameters()
        128

    Source: studies of this project, docs/answer.md. A learned map in front of the ETF: Li et al., "No fear of
    classifier biases: neural collapse inspired federated learning", ICCV 2023.
    """
    if class_means is not None:
        if len(class_means) != num_classes:
            raise ValueError(f"class_means has {len(class_means)} rows for {num_classes} classes; they must agree.")
        vectors = class_mean_frame(class_means, options.get("dim") or in_features, seed=options.get("seed", 0))
        return ETFHead(in_features, num_classes, **{**SIMILAR, "prototypes": vectors, **options})
    default = "linear" if needs_projection(in_features, num_classes) else None
    chosen = BARE if options.get("projection", default) is None else MAPPED
    return ETFHead(in_features, num_classes, **{**FREE, **chosen, **options})


def best_head(in_features: int, num_classes: int, **options: Any) -> ETFHead:
    """The name of :func:`recommended_head` in the last release."""
    warn_renamed("best_head", "recommended_head")
    return recommended_head(in_features, num_classes, **options)
