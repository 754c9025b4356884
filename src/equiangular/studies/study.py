"""What a study is told: data, imbalance factors, cells, seeds, budget and the grids of its tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from equiangular._checks import check_choice, check_int
from equiangular.studies.cells import FACTORS, Cell, all_cells
from equiangular.training.config import Budget, fingerprint

# Logit scales tried for normalised features, and for the linear head's unnormalised ones.
COSINE_SCALES = (4.0, 8.0, 16.0, 32.0)
LINEAR_SCALES = (0.25, 0.5, 1.0, 2.0)
LEARNING_RATES = (0.03, 0.1, 0.3)
# The image sets get a screening design: the levels that the full factorials left open.
_SCREENING = (("loss", ("scaled-ce", "dr")), ("mix", ("none",)))


@dataclass(frozen=True)
class Study:
    """A factorial on one data set at one or several imbalance factors.

    Tuning: for every family of cells that share a training, the logit scale (where the loss has one) is chosen at the
    middle learning rate, then the learning rate at that scale, by mean balanced accuracy on validation data of the
    training pool. The test part is not given to it, see :func:`equiangular.studies.tuning.validation_dataset`.

    Attributes:
        name: name on the command line.
        data: see :func:`equiangular.data.load_dataset`.
        imbalances: factors n_max / n_min; 1 leaves the data as it is.
        budget: optimisation budget, equal for all cells but for the tuned learning rate.
        backbone: see :func:`equiangular.models.make_backbone`; ``"auto"`` fits the data.
        size: height and width that images are brought to; None leaves them.
        seeds: paired runs of every cell; each has a training subset of its own.
        tuning_seeds: runs of every candidate of the tuning, from seed 1000 on.
        levels: pairs of a factor and the levels of it that are run; all by default.
        learning_rates: candidates; the middle one comes first.
        validation: fraction of each class of the pool that tuning validates on.

    Raises:
        ValueError: a value out of range or an unknown level.
    """

    name: str
    data: str
    imbalances: tuple[float, ...]
    budget: Budget
    backbone: str = "auto"
    size: int | None = None
    seeds: int = 5
    tuning_seeds: int = 2
    levels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    learning_rates: tuple[float, ...] = LEARNING_RATES
    validation: float = 0.2

    def __post_init__(self) -> None:
        check_int(self.seeds, "seeds", minimum=2, hint="A paired test needs two runs.")
        check_int(self.tuning_seeds, "tuning_seeds", minimum=1)
        for factor, _ in self.levels:
            check_choice(factor, FACTORS, "factor")
        if not self.cells():
            raise ValueError(f"study {self.name!r} has no cell left with the levels {self.levels}; widen one of them.")

    def cells(self) -> tuple[Cell, ...]:
        """The cells of this study."""
        return tuple(
            cell
            for cell in all_cells()
            if all(getattr(cell, factor) in levels for factor, levels in self.levels)
        )

    def scales(self, cell: Cell) -> tuple[float | None, ...]:
        """The candidates for the logit scale of a cell's training; ``(None,)`` where there is nothing to choose."""
        if not cell.tunes_scale:
            return (None,)
        return LINEAR_SCALES if cell.head == "linear" else COSINE_SCALES

    def changed(self, **changes: Any) -> Study:
        """A copy with some fields changed; ``None`` leaves a field as it is."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values."""
        return asdict(self)

    def fingerprint(self) -> str:
        """Short hash of everything that one training depends on, the cell, its settings and seed apart."""
        values = self.as_dict()
        for key in ("name", "imbalances", "seeds", "tuning_seeds", "levels", "learning_rates"):
            values.pop(key)
        return fingerprint(values)


_SMALL = Budget(epochs=40, batch_size=64, weight_decay=5e-3)
_TABLE = Budget(epochs=20, batch_size=128, weight_decay=5e-4)
_IMAGE = Budget(epochs=15, batch_size=128, weight_decay=5e-4, augment="crop,flip")

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study("digits", "digits", (1, 10, 50, 100, 200), _SMALL),
        Study("letter", "letter", (1, 100), _TABLE, seeds=3),
        Study("wine", "wine_quality_white", (1,), _TABLE),
        Study("clinc150", "clinc150_imbalanced", (1,), _TABLE, seeds=3),
        Study("banking77", "banking77", (1,), _TABLE, seeds=3),
        Study("fashion", "fashion_mnist", (1,), replace(_IMAGE, epochs=6), size=14, seeds=3, levels=_SCREENING),
        Study("plankton", "plankton", (1,), _IMAGE, size=24, seeds=3, levels=_SCREENING),
        Study("cifar10-lt", "cifar10_lt50", (50, 100, 200), _IMAGE, size=16, seeds=3, levels=_SCREENING),
        Study("cifar100-lt", "cifar100_lt50", (50, 100, 200), _IMAGE, size=16, seeds=3, levels=_SCREENING),
    )
}


def get_study(name: str) -> Study:
    """The study called ``name``.

    Raises:
        ValueError: no such study; the closest name is suggested.

    Example:
        >>> get_study("digits").imbalances
        (1, 10, 50, 100, 200)
    """
    return STUDIES[check_choice(name, STUDIES, "study")]
