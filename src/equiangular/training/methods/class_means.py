"""Fixed class vectors that are as similar as the mean inputs of their classes, known before anything is trained."""

from __future__ import annotations

from typing import Any

from equiangular.training.methods import cross_entropy, logit_adjustment
from equiangular.training.methods.base import Method

# A small scale keeps the logits of similar classes close; chosen on validation data of two sets of texts.
_OPTIONS: dict[str, Any] = {"norm": "batch", "scale": 4.0}
_SOURCE = "this project, docs/answer.md"

METHODS = (
    Method("means-ce", "class means + CE", "etf", cross_entropy.criterion, _SOURCE, _OPTIONS, similarity=1.0),
    Method(
        "means-la",
        "class means + logit adjustment",
        "etf",
        logit_adjustment.criterion,
        f"{_SOURCE}; Menon et al. 2021",
        _OPTIONS,
        balances=True,
        similarity=1.0,
    ),
)
