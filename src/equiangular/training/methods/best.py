"""The recipe that the studies recommend: the best fixed head with logit adjustment, see docs/answer.md."""

from __future__ import annotations

from equiangular.training.methods import logit_adjustment
from equiangular.training.methods.base import Method

METHODS = (
    Method(
        "best",
        "best fixed head + logit adjustment",
        "best",
        logit_adjustment.criterion,
        "this project, docs/answer.md; Yang et al. 2022; Menon et al. 2021",
        balances=True,
        similarity=1.0,
        similar_for=("text",),
    ),
)
