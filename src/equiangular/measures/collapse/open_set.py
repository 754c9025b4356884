"""NC5: whether features of unknown classes are orthogonal to the class means."""

from __future__ import annotations

from torch import Tensor

from equiangular.measures.collapse.means import directions


def ood_orthogonality(means: Tensor, ood_mean: Tensor) -> Tensor:
    """The mean over classes of |cos(mu_c, mu_ood)|: 0 at collapse.

    Args:
        means: mu (K, d), class means of the known classes, uncentred.
        ood_mean: mu_ood (d,), mean feature of out-of-distribution samples.

    Returns:
        0-dim tensor.

    Example:
        >>> import torch
        >>> float(ood_orthogonality(torch.eye(3)[:2], torch.tensor([0.0, 0.0, 2.0])))
        0.0

    Source: Ammar et al., "NECO", ICLR 2024, definition of NC5.
    """
    return (directions(means) @ directions(ood_mean[None].to(means))[0]).abs().mean()
