"""Mixing for long tails: the partner comes from the whole training data, rare classes drawn more often.

It helped nowhere (dev/LOG.md, RECIPE.md). Importing this module makes ``balanced-mixup`` and ``unimix`` known to the
library's ``mix``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_positive
from equiangular.longtail.labels import ClassMembers
from equiangular.training.augment.mixing import KINDS, MixDraws


@dataclass(frozen=True)
class BalancedMixup:
    """(1 - l) x + l x_partner, the partner of a class drawn uniformly, l from Beta(alpha, 1), one for the batch.

    Source: Galdran, Carneiro and González Ballester, Balanced-MixUp for highly imbalanced medical image classification,
    MICCAI 2021.

    Attributes:
        alpha: above 0; the partners have a share of alpha / (1 + alpha) on average. The source uses 0.1 and 0.2.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        check_positive(self.alpha, "the alpha of balanced-mixup", hint="Usual: 0.1 to 0.2.")

    def draw_from(self, labels: Tensor, members: ClassMembers, random: np.random.Generator) -> MixDraws:
        """Draw partners for a batch with these labels, and the share."""
        num = len(labels)
        extra = torch.from_numpy(members.draw(random.random((num, 2)), power=0.0))
        return MixDraws(num + torch.arange(num), 1 - float(random.beta(self.alpha, 1)), extra=extra)


@dataclass(frozen=True)
class UniMix:
    """xi x + (1 - xi) x_partner, the partner's class c drawn in proportion to 1 / n_c, xi in favour of the rarer one.

    xi = (b + n_j / (n_i + n_j)) mod 1 with b from Beta(alpha, alpha), for a sample of class i and a partner of class j:
    for alpha below 1, where b is near 0 or near 1, a share near n_j / (n_i + n_j), so that the rarer one gets the
    larger share. For alpha = 1 every share is equally likely. One xi for every sample.

    Source: Xu, Chai and Yuan, Towards calibrated model for long-tailed visual recognition from prior perspective,
    NeurIPS 2021, section 3.1, with tau = -1.

    Attributes:
        alpha: above 0, below 1 to have an effect; the smaller, the closer to n_j / (n_i + n_j).
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self.alpha, "the alpha of unimix", hint="Usual: 0.2 to 0.5.")

    def draw_from(self, labels: Tensor, members: ClassMembers, random: np.random.Generator) -> MixDraws:
        """Draw partners for a batch with these labels, and their shares."""
        num = len(labels)
        extra = torch.from_numpy(members.draw(random.random((num, 2)), power=-1.0))
        own, other = members.count_of(labels), members.counts_at(extra)
        xi = (random.beta(self.alpha, self.alpha, num) + other / (own + other)) % 1.0
        return MixDraws(num + torch.arange(num), torch.from_numpy(xi).float(), extra=extra)


KINDS |= {"balanced-mixup": BalancedMixup, "unimix": UniMix}
