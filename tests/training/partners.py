"""A kind of mixing as an experiment may add one: partners from all training data, a share for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equiangular.longtail.labels import ClassMembers
from equiangular.training.augment import MixDraws
from equiangular.training.augment.mixing import KINDS


@dataclass(frozen=True)
class FromAll:
    """xi x + (1 - xi) x_partner, the partner of a class drawn uniformly, xi from Beta(alpha, alpha)."""

    alpha: float = 0.5

    def draw_from(self, labels: Tensor, members: ClassMembers, random: np.random.Generator) -> MixDraws:
        """Draw partners and shares."""
        num = len(labels)
        extra = torch.from_numpy(members.draw(random.random((num, 2)), power=0.0))
        xi = torch.from_numpy(random.beta(self.alpha, self.alpha, num)).float()
        return MixDraws(num + torch.arange(num), xi, extra=extra)


KINDS["from-all"] = FromAll
