"""The factors of the study, what a cell compares, and the cells."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from experiments.pretrained.sets import SETS, VARIANTS

MAPS = ("none", "residual", "linear", "BatchNorm")
TRAINED = ("CE", "CE, prior out", "LA")
PULLED = ("DR", "DR, balanced")
EXACT = ("ridge", "ridge, balanced")
# What has no factors: scikit-learn's classifiers, and the closed form that keeps its samples.
RIVALS = ("logistic regression", "logistic regression, prior out", "kernel logistic regression, prior out")
WIDE = "logistic regression, prior out, all dimensions"
NAMED_RIVAL = "logistic regression + names, prior out"
COMPUTED = ("kernel", "kernel + names")
KERNEL = 2500  # samples that it keeps at most: its time is cubic in them


class Arm(NamedTuple):
    """One classifier: its class vectors, whether these are learned on, the map before them, and the loss."""

    vectors: str
    learned: bool
    map: str
    loss: str

    def __str__(self) -> str:
        return f"{'learned' if self.learned else 'fixed'} {self.vectors} | {self.map} | {self.loss}"

    @property
    def trained(self) -> bool:
        """Whether anything is learned by gradient steps."""
        return self.loss not in EXACT and (self.learned or self.map != "none")


class Cell(NamedTuple):
    """A cut of a set, the most samples it may have, and which arms are run on it."""

    set: str
    cut: str
    most: int = 800
    plan: str = "one"

    @property
    def name(self) -> str:
        """What its record is called."""
        return f"{self.set} {self.cut}"

    @property
    def kind(self) -> str:
        """``"text"``, ``"image"``, ``"table"`` or ``"quantile"``."""
        return SETS[self.set][0]


def vectors_of(kind: str) -> tuple[str, ...]:
    """Where class vectors can start."""
    return ("random", "simplex", "means", "names") if kind == "text" else ("random", "simplex", "means")


def one_factor(kind: str) -> list[Arm]:
    """One factor at a time around fixed names (texts) or class means behind a residual map, logit-adjusted."""
    text = kind == "text"
    best = "names" if text else "means"
    starts = ("random", "means", "names") if text else ("random", "means")
    fixed = (*vectors_of(kind), *(() if text else ("exemplar",)))
    arms = [Arm(v, False, "none", "LA") for v in starts[1:]]
    arms += [Arm(v, True, "none", "LA") for v in starts]
    arms += [Arm(v, False, "residual", "LA") for v in fixed] + [Arm(v, True, "residual", "LA") for v in starts]
    arms += [Arm(best, False, m, "LA") for m in ("linear", "BatchNorm")] + [Arm("random", True, "linear", "LA")]
    arms += [Arm(best, False, "residual", loss) for loss in ("CE", "CE, prior out", "DR, balanced", EXACT[0])]
    arms += [Arm(v, False, m, EXACT[1]) for v in vectors_of(kind) for m in ("residual", "linear")]
    return arms


def factorial(kind: str) -> list[Arm]:
    """All levels of all factors. Vectors that are learned have no DR, which would have them follow the features."""
    learned = ("random", "means", "names") if kind == "text" else ("random", "means")
    arms = [Arm(v, False, "none", "LA") for v in vectors_of(kind)]
    arms += [Arm(v, True, m, loss) for v, m, loss in itertools.product(learned, MAPS, TRAINED)]
    moving = itertools.product(vectors_of(kind), MAPS[1:], (*TRAINED, *PULLED))
    arms += [Arm(v, False, m, loss) for v, m, loss in moving]
    return arms + [
        Arm(v, False, m, e) for v, m, e in itertools.product(vectors_of(kind), ("residual", "linear"), EXACT)
    ]


def variants() -> list[Arm]:
    """Names in other words."""
    arms = [Arm(v, False, map_, "LA") for v in VARIANTS[1:] for map_ in ("none", "residual")]
    return [*arms, Arm(VARIANTS[2], True, "residual", "LA")]


def arms_of(cell: Cell, level: bool) -> list[Arm]:
    """The arms of a cell by its plan: ``one``, ``full``, either ``+ words``; ``few``; ``decide`` for what is large.

    Where classes are of one size the losses that differ by the prior are one, and LA (balanced) stands for them.
    """
    best = "names" if cell.kind == "text" else "means"
    if cell.plan == "decide":
        arms = [Arm("random", True, "none", "LA"), Arm(best, False, "none", "LA")]
        arms += [Arm(best, learned, "residual", "LA") for learned in (False, True)]
    elif cell.plan.startswith("few"):
        arms = [Arm("random", True, "none", "LA"), Arm(best, True, "none", "LA")]
        arms += [Arm(v, learned, "residual", "LA") for v in dict.fromkeys((best, "means")) for learned in (False, True)]
        arms += [Arm("random", False, "residual", "LA"), Arm(best, False, "none", "LA")]
        arms += [Arm(best, False, "residual", loss) for loss in TRAINED[:2]]
        arms += [Arm(best, False, "residual", EXACT[1]), Arm("simplex", False, "linear", EXACT[1])]
    else:
        arms = one_factor(cell.kind) + (factorial(cell.kind) if cell.plan.startswith("full") else [])
    if cell.plan.endswith("words"):
        arms += variants()
    same = ("CE", "CE, prior out", PULLED[0], EXACT[0]) if level else ()
    return [arm for arm in dict.fromkeys(arms) if arm.loss not in same]


def others_of(cell: Cell, level: bool, samples: int) -> list[str]:
    """The classifiers without factors."""
    if cell.plan == "decide":
        names = [RIVALS[1], *([NAMED_RIVAL, WIDE] if cell.kind == "text" else [RIVALS[2]])]
        return names + list(COMPUTED[: 1 + (cell.kind == "text")] if samples <= KERNEL else ())
    names = [RIVALS[1], COMPUTED[0]] + ([] if level else [RIVALS[0]])
    most = 400 if cell.kind == "image" else KERNEL
    if cell.kind in ("text", "image"):
        names.append(WIDE)
    return [*names, NAMED_RIVAL, COMPUTED[1]] if cell.kind == "text" else [*names, *RIVALS[2:][: samples <= most]]


def missing(cell: Cell, record: dict[str, Any]) -> list[Arm | str]:
    """What a cell still lacks, in the order in which it is run; its name where the record says nothing of its size."""
    if "samples" not in record:
        return [cell.name]
    level = record["largest"] == record["smallest"]
    wanted = [*others_of(cell, level, record["samples"]), *arms_of(cell, level)]
    return [what for what in wanted if str(what) not in record["arms"]]


# In the order in which they are run; one sample a class takes its options from five, which come before.
CELLS = [
    Cell("banking77", "5 each", plan="one words"), Cell("banking77", "1 each", plan="one words"),
    Cell("penguins", "5 each"), Cell("CIFAR-10", "5 each"), Cell("letter", "50:1", 400),
    Cell("breast cancer", "5 each"), Cell("wine", "5 each"), Cell("digits", "5 each"),
    Cell("cars", "5 each", plan="one words"), Cell("wine quality", "50:1", 400), Cell("Fashion-MNIST", "5 each"),
    Cell("CIFAR-10", "50:1", 300), Cell("cars", "1 each"), Cell("penguins", "20:1", plan="few"),
    Cell("breast cancer", "50:1", 300, "few"), Cell("cars", "20:1", plan="few"),
    Cell("letter", "10 each", plan="few"), Cell("wine quality", "10 each", plan="few"),
    Cell("digits", "50:1", 400, "few"), Cell("wine quality, quantiles", "50:1", 400, "few"),
    Cell("Fashion-MNIST", "50:1", 300, "few"), Cell("letter, quantiles", "50:1", 400, "few"),
    Cell("letter", "50:1", 400, "full"), Cell("clinc150", "5 each", 800, "few"),
    Cell("clinc150", "1 each", 800, "few"), Cell("CIFAR-100", "5 each", plan="few"),
    Cell("plankton", "5 each", plan="few"), Cell("airports", "5 each", plan="one words"),
    Cell("airports", "1 each", plan="one words"), Cell("cars", "20:1", plan="full words"),
    Cell("CIFAR-10", "50:1", 300, "full"),
    Cell("banking77", "50:1", 1000, "decide"), Cell("airports", "natural", 600, "few words"),
    Cell("digits", "20 each"), Cell("CIFAR-10", "20 each"), Cell("Fashion-MNIST", "20 each"),
    Cell("letter", "500:1", 2400, "few"), Cell("banking77", "20 each", 1600, "decide"),
    Cell("CIFAR-100", "20:1", plan="few"), Cell("plankton", "20:1", plan="few"), Cell("clinc150", "20:1", 1000, "few"),
    Cell("banking77", "150:1", 2400, "decide"), Cell("clinc150", "20 each", 3000, "decide"),
    Cell("banking77", "all", 20_000, "decide"), Cell("clinc150", "all", 20_000, "decide"),
    Cell("plankton", "natural", 1500, "decide"),
    Cell("CIFAR-10, more", "500:1", 2000, "decide"), Cell("CIFAR-10, more", "1000:1", 2000, "decide"),
    Cell("CIFAR-10, more", "natural", 2500, "decide"),
]  # fmt: skip
