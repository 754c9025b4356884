"""The studies by name: data, imbalance factors, budgets and which cells are run."""

from __future__ import annotations

from dataclasses import replace

from equiangular._checks import check_choice
from equiangular.training.config.budget import Budget
from experiments.studies.study import Study


def screening(*heads: str) -> tuple[str, ...]:
    """The cells of a screening design.

    The first fixed head with every loss and correction that matters and the other ones on free features, against
    learned heads on both kinds of features.

    Example:
        >>> len(screening("etf")), len(screening("etf", "etf-projected"))
        (14, 17)
    """
    first, *others = heads
    pairs = [(h, f) for h in ("learnable", first) for f in ("free", "normalised")] + [(h, "free") for h in others]
    crossed = [f"{h}/{f}/scaled-ce/{c}/none" for h, f in pairs for c in ("none", "la", "pc")]
    return (*crossed, *(f"{first}/normalised/dr/{c}/none" for c in ("none", "pc")))


_SMALL = Budget(epochs=40, batch_size=64, weight_decay=5e-3)
_TABLE = Budget(epochs=20, batch_size=128, weight_decay=5e-4)
_TEXT = Budget(epochs=8, batch_size=128, weight_decay=5e-4)
_IMAGE = Budget(epochs=8, batch_size=128, weight_decay=5e-4, augment="crop,flip")
_NO_MIXUP = (("mix", ("none",)),)
_CURVE = (("loss", ("scaled-ce", "dr")), ("correction", ("none", "la", "pc")), *_NO_MIXUP)
# Yang et al. 2022: mixup, step schedule, and both balances of DR; nothing but BatchNorm is tuned.
_PAPER = Budget(epochs=15, batch_size=128, weight_decay=2e-4, warmup_epochs=1, schedule="step", augment="crop,flip")
_OF_THE_PAPER = tuple(
    f"{cell}/{mix}"
    for mix in ("none", "mixup")
    for cell in ("learnable/free/ce/none", "etf/normalised/dr/none", "etf/normalised/dr/batch")
)
_ITS_RUNS = {
    "size": 16, "seeds": 3, "tuning_seeds": 1, "tuning_epochs": 3, "learning_rates": (0.1,), "only": _OF_THE_PAPER,
    "precision": "bf16-mixed",
}  # fmt: skip
# The recommended head of these backbones, 64 dimensions at width 1: see equiangular.heads.recommended.
_BARE, _MAPPED = (f"{head}/free/scaled-ce/la/none" for head in ("etf", "etf-mapped"))
# Beside the levels of a study: further fixed heads, and on small data vector scaling, on learned and fixed heads alike.
_GROUPED = tuple(f"etf-grouped/free/scaled-ce/{c}/none" for c in ("none", "la", "pc"))
_BEHIND = tuple(f"etf-mapped/{f}/scaled-ce/{c}/none" for f in ("free", "normalised") for c in ("none", "la", "pc"))
_SCALED = tuple(f"learnable/{f}/scaled-ce/vs/none" for f in ("free", "normalised"))
_FEW = (*_GROUPED, *_SCALED, *(f"{head}/free/scaled-ce/vs/none" for head in ("etf", "etf-grouped")))
_SIMILAR = tuple(
    f"{head}/{features}/scaled-ce/{c}/none"
    for head in ("means", "learnable-means")
    for features in ("free", "normalised")
    for c in ("none", "la", "pc")
)
_TEXT_RECIPE = "means/normalised/scaled-ce/la/none"
_FITS = screening("etf", "etf-projected")
_BEYOND = screening("etf-projected", "spread-frame")
# Screenings: less effort for the tuning, the same for every cell.
_TEXTS = {"tuning_seeds": 1, "tuning_epochs": 4, "short_grid": True, "only": _FITS, "also": (*_BEHIND, *_SIMILAR)}
_IMAGES = {
    "tuning_seeds": 1, "learning_rates": (0.1, 0.2), "short_grid": True, "precision": "bf16-mixed"
}  # fmt: skip
# The published setting at full length, for a GPU: reproduce cifar10-lt-200 --accelerator cuda -j 6
_LONG = Budget(epochs=200, batch_size=128, weight_decay=5e-4, warmup_epochs=5, augment="crop,flip")
_LONG_RUNS = {
    "backbone": "resnet32", "seeds": 3, "tuning_seeds": 1, "tuning_epochs": 40, "learning_rates": (0.1, 0.2),
    "precision": "bf16-mixed",
}  # fmt: skip

# Where there are more classes than the backbone has dimensions (plankton, cifar100-lt), the fixed heads are an ETF
# behind a learned map and the spread frame. The backbone of the texts is wide enough for an ETF.
STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study("digits", "digits", (100,), _SMALL, also=_FEW, recipe=_BARE),
        Study("digits-curve", "digits", (10, 50, 100, 200), _SMALL, levels=_CURVE, also=_FEW, recipe=_BARE),
        Study(
            "digits-balanced", "digits", (1,), replace(_SMALL, epochs=10), levels=_CURVE, also=_GROUPED,
            recipe=_BARE,
        ),
        Study(
            "letter", "letter", (100,), replace(_TABLE, epochs=10),
            also=(*_BEHIND, *_SCALED, "etf-mapped/free/scaled-ce/vs/none"), recipe=_MAPPED,
        ),
        Study(
            "letter-balanced", "letter", (1,), replace(_TABLE, epochs=10), only=_FITS, also=_BEHIND,
            recipe=_MAPPED,
        ),
        Study("wine", "wine_quality_white", (1,), _TABLE, tuning_seeds=1, also=_FEW, recipe=_BARE),
        Study("clinc150", "clinc150_imbalanced", (1,), _TEXT, width=3, recipe=_TEXT_RECIPE, **_TEXTS),
        Study("banking77", "banking77", (1,), _TEXT, width=2, recipe=_TEXT_RECIPE, **_TEXTS),
        Study(
            "fashion", "fashion_mnist", (1,), replace(_IMAGE, epochs=2), size=14, seeds=3, only=_FITS, tuning_epochs=1,
            also=_GROUPED, recipe=_BARE, **_IMAGES,
        ),
        Study(
            "plankton", "plankton", (1,), replace(_IMAGE, epochs=4), size=16, seeds=3, only=_BEYOND, tuning_epochs=2,
            also=_BEHIND, recipe=_MAPPED, **_IMAGES,
        ),
        Study(
            "cifar10-lt", "cifar10_lt50", (100, 50, 200), _IMAGE, size=16, only=_FITS, tuned_at=100, tuning_epochs=4,
            also=_GROUPED, recipe=_BARE, **_IMAGES,
        ),
        Study(
            "cifar100-lt", "cifar100_lt50", (100, 50, 200), _IMAGE, size=16, only=_BEYOND, tuned_at=100,
            tuning_epochs=4, also=_BEHIND, recipe=_MAPPED, **_IMAGES,
        ),
        Study("cifar10-lt-200", "cifar10_lt50", (100,), _LONG, only=_FITS, also=_GROUPED, recipe=_BARE, **_LONG_RUNS),
        Study(
            "cifar100-lt-200", "cifar100_lt50", (100,), _LONG, only=_BEYOND, also=_BEHIND, recipe=_MAPPED, **_LONG_RUNS
        ),
        Study("paper-cifar10", "cifar10_lt50", (100,), _PAPER, **_ITS_RUNS),
        Study("paper-cifar100", "cifar100_lt50", (100,), _PAPER, width=2, **_ITS_RUNS),
    )
}  # fmt: skip


def get_study(name: str) -> Study:
    """The study called ``name``.

    Raises:
        ValueError: no such study; the closest name is suggested.

    Example:
        >>> get_study("digits").imbalances
        (100,)
    """
    return STUDIES[check_choice(name, STUDIES, "study")]
