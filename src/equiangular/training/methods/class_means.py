"""Fixed class vectors that are as similar as the mean inputs of their classes, known before anything is trained."""

from __future__ import annotations

from equiangular.heads.best import SIMILAR
from equiangular.training.methods import cross_entropy, logit_adjustment
from equiangular.training.methods.base import Method

_SOURCE = "this project, docs/answer.md"

METHODS = (
    Method("means-ce", "class means + CE", "etf", cross_entropy.criterion, _SOURCE, SIMILAR, similarity=1.0),
    Method(
        "means-la",
        "class means + logit adjustment",
        "etf",
        logit_adjustment.criterion,
        f"{_SOURCE}; Menon et al. 2021",
        SIMILAR,
        balances=True,
        similarity=1.0,
    ),
)
