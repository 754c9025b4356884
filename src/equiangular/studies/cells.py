"""The cells of the factorial: head x loss x correction x mixup, each a training method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from torch import Tensor

from equiangular._checks import check_choice
from equiangular.heads import Head
from equiangular.losses import dot_loss, dot_regression_loss
from equiangular.training.methods import Context, Method, cross_entropy, logit_adjustment
from equiangular.training.methods.in_batch_balance import balanced_in_batch

# Level of the factor -> kind of head, its options, label. Normalised heads have the BatchNorm of Yang et al. 2022.
HEADS: dict[str, tuple[str, dict[str, Any], str]] = {
    "linear": ("linear", {}, "learnable linear"),
    "cosine": ("cosine", {"norm": "batch"}, "learnable cosine"),
    "random": ("random", {"norm": "batch"}, "frozen random"),
    "etf": ("etf", {"norm": "batch"}, "ETF (Haar)"),
    "etf-canonical": ("etf", {"norm": "batch", "basis": "canonical"}, "ETF (canonical)"),
    "etf-rotated": ("rotated-etf", {"norm": "batch"}, "ETF, rotation learned"),
}
LOSSES = {"ce": "CE", "scaled-ce": "scaled CE", "dr": "DR", "dot": "dot loss"}
CORRECTIONS = {
    "none": "none",
    "batch": "in-batch balance",
    "la": "logit adjustment",
    "pc": "prior correction after",
}
MIXES = {"none": "no mixup", "mixup": "mixup"}
FACTORS = ("head", "loss", "correction", "mix")


@dataclass(frozen=True)
class Cell:
    """One combination of the factors.

    Attributes:
        head: a key of :data:`HEADS`.
        loss: a key of :data:`LOSSES`: ``"ce"`` at logit scale 1, ``"scaled-ce"`` at a tuned scale, ``"dr"``, ``"dot"``.
        correction: a key of :data:`CORRECTIONS`.
        mix: ``"none"`` or ``"mixup"`` (alpha = 1).

    Raises:
        ValueError: an unknown level, or a combination that is not defined (see :func:`defined`).

    Example:
        >>> Cell("etf", "dr", "pc", "none").name
        'etf/dr/pc/none'
    """

    head: str
    loss: str
    correction: str
    mix: str

    def __post_init__(self) -> None:
        check_choice(self.head, HEADS, "head")
        check_choice(self.loss, LOSSES, "loss")
        check_choice(self.correction, CORRECTIONS, "correction")
        check_choice(self.mix, MIXES, "mix")
        if not defined(self.head, self.loss, self.correction):
            raise ValueError(
                f"{self.head} x {self.loss} x {self.correction} is not defined: logit adjustment needs cross-entropy, "
                "dot-regression and the dot loss need class vectors of unit norm."
            )

    @property
    def name(self) -> str:
        """The levels, separated by slashes."""
        return "/".join((self.head, self.loss, self.correction, self.mix))

    @property
    def label(self) -> str:
        """For tables and figures."""
        parts = [HEADS[self.head][2], LOSSES[self.loss]]
        parts += [CORRECTIONS[self.correction]] if self.correction != "none" else []
        return " + ".join(parts + (["mixup"] if self.mix == "mixup" else []))

    @property
    def fixed(self) -> bool:
        """Whether the class vectors are fixed; those of a learned rotation are not."""
        return HEADS[self.head][0] in ("etf", "random")

    @property
    def training(self) -> Cell:
        """The cell whose trained network this one uses: correction after training needs no training of its own."""
        return replace(self, correction="none") if self.correction == "pc" else self

    @property
    def tunes_scale(self) -> bool:
        """Whether the logit scale is a setting of the training."""
        return self.loss == "scaled-ce"

    def method(self, scale: float | None = None) -> Method:
        """The training method of this cell.

        Args:
            scale: logit scale for scaled cross-entropy.
        """
        kind, options, _ = HEADS[self.head]
        options = dict(options)
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
        )


def defined(head: str, loss: str, correction: str) -> bool:
    """Whether a combination means something.

    Logit adjustment is a change of cross-entropy. Dot-regression and the dot loss are defined for class vectors of a
    fixed norm, which the linear head has not.
    """
    if loss in ("dr", "dot"):
        return head != "linear" and correction != "la"
    return True


def all_cells() -> tuple[Cell, ...]:
    """Every defined cell.

    Example:
        >>> len(all_cells()), len({cell.training for cell in all_cells()})
        (156, 112)
    """
    levels = product(HEADS, LOSSES, CORRECTIONS, MIXES)
    return tuple(Cell(h, loss, c, m) for h, loss, c, m in levels if defined(h, loss, c))


def _criterion(loss: str, correction: str) -> Any:
    if correction == "la":
        return logit_adjustment.criterion
    plain = {
        "ce": cross_entropy.criterion,
        "scaled-ce": cross_entropy.criterion,
        "dr": partial(_dot_criterion, loss=dot_regression_loss),
        "dot": partial(_dot_criterion, loss=dot_loss),
    }[loss]
    return balanced_in_batch(plain) if correction == "batch" else plain


def _dot_criterion(features: Tensor, target: Any, head: Head, context: Context, *, loss: Any) -> Tensor:
    return loss(features, target, head.class_vectors(), reduction="none")
