"""Fixed class vectors for more classes than an ETF has room for: :func:`equiangular.best_frame` under each loss.

For K <= d + 1 they are a simplex ETF, and these methods the same as those called ``etf``.
"""

from __future__ import annotations

from equiangular.training.methods import cross_entropy, dot_regression, logit_adjustment
from equiangular.training.methods.base import Method

_OPTIONS = {"norm": "batch", "basis": "best"}
_SOURCE = "Jiang et al. 2024"

METHODS = (
    Method("frame-ce", "best frame + CE", "etf", cross_entropy.criterion, _SOURCE, _OPTIONS),
    Method(
        "frame-la",
        "best frame + logit adjustment",
        "etf",
        logit_adjustment.criterion,
        f"{_SOURCE}; Menon et al. 2021",
        _OPTIONS,
        balances=True,
    ),
    Method("frame-dr", "best frame + DR", "etf", dot_regression.criterion, f"{_SOURCE}; Yang et al. 2022", _OPTIONS),
)
