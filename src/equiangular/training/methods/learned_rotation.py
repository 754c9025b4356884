"""The ETF whose orientation is learned, with cross-entropy and with logit adjustment."""

from __future__ import annotations

from equiangular.training.methods import cross_entropy, logit_adjustment
from equiangular.training.methods.base import Method

_SOURCE = "Peifeng et al. 2023 (RBL)"
_OPTIONS = {"norm": "batch"}

METHODS = (
    Method("rotated-etf-ce", "rotated ETF + CE", "rotated-etf", cross_entropy.criterion, _SOURCE, _OPTIONS),
    Method(
        "rotated-etf-la",
        "rotated ETF + logit adjustment",
        "rotated-etf",
        logit_adjustment.criterion,
        f"{_SOURCE}; Menon et al. 2021",
        _OPTIONS,
        balances=True,
    ),
)
