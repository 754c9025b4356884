"""The cells of the factorial: head x features x loss x correction x mixup, each a training method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import Any

from torch import Tensor

from equiangular._checks import check_choice
from equiangular.heads import Head
from equiangular.losses import dot_loss, dot_regression_loss
from equiangular.training.methods import Context, Method, criteria
from experiments.in_batch_balance import balanced_in_batch

# Level of the factor -> kind of head, its options, label. "learnable" is a linear head with bias on free features and a
# learned cosine head on normalised ones.
HEADS: dict[str, tuple[str, dict[str, Any], str]] = {
    "learnable": ("linear", {}, "learnable"),
    "random": ("random", {}, "frozen random"),
    "etf": ("etf", {}, "ETF (Haar)"),
    "etf-canonical": ("etf", {"basis": "canonical"}, "ETF (canonical)"),
    "etf-grouped": ("etf", {"basis": "grouped"}, "ETF (grouped)"),
    "etf-rotated": ("rotated-etf", {}, "ETF, rotation learned"),
    "etf-projected": ("etf", {"projection": "linear"}, "ETF behind a learned projection"),
    "etf-mapped": ("etf", {"projection": "linear", "norm": "batch-first"}, "ETF behind BatchNorm and a learned map"),
    "means": ("etf", {}, "class means"),
    "learnable-means": ("linear", {}, "learnable, from the class means on"),
    "spread-frame": ("etf", {"basis": "spread"}, "spread frame"),
}
# Heads whose vectors are the class means of the inputs, or start there.
FROM_MEANS = ("means", "learnable-means")
FEATURES = {"free": "free features", "normalised": "normalised features"}
LOSSES = {"ce": "CE", "scaled-ce": "scaled CE", "dr": "DR", "dot": "dot loss"}
CORRECTIONS = {
    "none": "none",
    "batch": "in-batch balance",
    "la": "logit adjustment",
    "vs": "vector scaling",
    "pc": "prior correction after",
}
MIXES = {"none": "no mixup", "mixup": "mixup"}
FACTORS = {"head": HEADS, "features": FEATURES, "loss": LOSSES, "correction": CORRECTIONS, "mix": MIXES}


@dataclass(frozen=True)
class Cell:
    """One combination of the factors.

    Attributes:
        head: a key of :data:`HEADS`.
        features: ``"free"``, or ``"normalised"`` to unit norm, so that logits are scaled cosines.
        loss: a key of :data:`LOSSES`: ``"ce"`` at logit scale 1, ``"scaled-ce"`` at a tuned scale, ``"dr"``, ``"dot"``.
        correction: a key of :data:`CORRECTIONS`.
        mix: ``"none"`` or ``"mixup"`` (alpha = 1).

    Raises:
        ValueError: an unknown level, or a combination that is not defined (see :func:`defined`).

    Example:
        >>> Cell("etf", "normalised", "dr", "pc", "none").name
        'etf/normalised/dr/pc/none'
    """

    head: str
    features: str
    loss: str
    correction: str
    mix: str

    def __post_init__(self) -> None:
        for factor, levels in FACTORS.items():
            check_choice(getattr(self, factor), levels, factor)
        if not defined(self.features, self.loss, self.correction):
            raise ValueError(
                f"{self.features} features x {self.loss} x {self.correction} is not defined: logit adjustment and "
                "vector scaling need cross-entropy, dot-regression and the dot loss need features and class vectors of "
                "unit norm."
            )

    @classmethod
    def parse(cls, name: str) -> Cell:
        """The cell of a name, its levels separated by slashes.

        Example:
            >>> Cell.parse("learnable/free/ce/none/none").label
            'learnable linear + CE'
        """
        levels = name.split("/")
        if len(levels) != len(FACTORS):
            raise ValueError(f"a cell has the form {'/'.join(FACTORS)}, got {name!r}.")
        return cls(*levels)

    @property
    def name(self) -> str:
        """The levels, separated by slashes."""
        return "/".join(getattr(self, factor) for factor in FACTORS)

    @property
    def label(self) -> str:
        """For tables and figures."""
        if self.learnable:
            kind = "linear" if self.features == "free" else "cosine"
            head = HEADS[self.head][2].replace("learnable", f"learnable {kind}")
        else:
            head = HEADS[self.head][2] + (", free features" if self.features == "free" else "")
        parts = [head, LOSSES[self.loss]]
        parts += [CORRECTIONS[self.correction]] if self.correction != "none" else []
        return " + ".join(parts + (["mixup"] if self.mix == "mixup" else []))

    @property
    def kind(self) -> str:
        """What the built head is: ``"fixed"``, ``"mapped"`` or ``"learned"``, see ``Head.kind``."""
        return _kind(self)

    @property
    def fixed(self) -> bool:
        """Whether the class vectors are fixed, with a learned map before them or not; a learned rotation is no map."""
        return HEADS[self.head][0] in ("etf", "random")

    @property
    def learnable(self) -> bool:
        """Whether every class vector is learned freely: linear on free features, cosine on normalised ones."""
        return HEADS[self.head][0] == "linear"

    @property
    def training(self) -> Cell:
        """The cell whose trained network this one uses: correction after training needs no training of its own."""
        return replace(self, correction="none") if self.correction == "pc" else self

    @property
    def tunes_scale(self) -> bool:
        """Whether the logit scale is a setting of the training."""
        return self.loss == "scaled-ce"

    @property
    def tunes_norm(self) -> bool:
        """Whether BatchNorm before the classifier is a setting of the training: where features need none.

        The usual linear classifier has none, and features after a ReLU meet every vector of the grouped ETF.
        """
        return self.head in ("learnable", "etf-grouped") and self.features == "free"

    def method(self, scale: float | None = None, norm: str = "batch") -> Method:
        """The training method of this cell.

        Args:
            scale: logit scale for scaled cross-entropy.
            norm: ``"batch"``, BatchNorm before the classifier as in Yang et al. (2022), or ``"none"``.
        """
        kind, options, _ = HEADS[self.head]
        options = {"norm": norm, **options}
        if self.learnable and self.features == "normalised":
            kind = "cosine"
        elif not self.learnable and self.features == "free":
            options["normalize"] = False
        if self.loss == "ce":
            options["scale"] = 1.0
        elif scale is not None:
            options["scale"] = scale
        return Method(
            name=self.name,
            label=self.label,
            head=kind,
            criterion=_criterion(self.loss, self.training.correction),
            source="factorial study",
            head_options=options,
            corrected=self.correction == "pc",
            trained_as=self.training.name,
            similarity=1.0 if self.head in FROM_MEANS else None,
        )


@cache
def _kind(cell: Cell) -> str:
    return cell.method().build_head(8, 4, seed=0).kind


def defined(features: str, loss: str, correction: str) -> bool:
    """Whether a combination means something.

    Logit adjustment and vector scaling are changes of cross-entropy. Dot-regression and the dot loss are defined for
    features and class vectors of a fixed norm.
    """
    if loss in ("dr", "dot"):
        return features == "normalised" and correction not in ("la", "vs")
    return True


def all_cells() -> tuple[Cell, ...]:
    """Every defined cell.

    Example:
        >>> len(all_cells()), len({cell.training for cell in all_cells()})
        (572, 440)
    """
    levels = product(*FACTORS.values())
    return tuple(Cell(h, f, loss, c, m) for h, f, loss, c, m in levels if defined(f, loss, c))


def _criterion(loss: str, correction: str) -> Any:
    changed = {"la": criteria.logit_adjusted, "vs": criteria.vector_scaled}
    if correction in changed:
        return changed[correction]
    plain = {
        "ce": criteria.cross_entropy,
        "scaled-ce": criteria.cross_entropy,
        "dr": partial(_dot_criterion, loss=dot_regression_loss),
        "dot": partial(_dot_criterion, loss=dot_loss),
    }[loss]
    return balanced_in_batch(plain) if correction == "batch" else plain


def _dot_criterion(features: Tensor, target: Any, head: Head, context: Context, *, loss: Any) -> Tensor:
    return loss(features, target, head.class_vectors(), reduction="none")
