"""What a study is told: data, imbalance factors, cells, seeds, budget and the grids of its tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from equiangular._checks import check_choice, check_int
from equiangular.training.config.budget import Budget
from equiangular.training.config.options import ACCELERATORS
from experiments.studies.cells import FACTORS, Cell, all_cells

# Logit scales tried, by level of the factor "features".
SCALES = {"normalised": (4.0, 8.0, 16.0, 32.0), "free": (0.25, 0.5, 1.0, 2.0)}
LEARNING_RATES = (0.03, 0.1, 0.3)
# The levels of a full factorial, where a factor has others too.
FULL = {
    "head": ("learnable", "random", "etf", "etf-canonical", "etf-rotated", "etf-projected"),
    "correction": ("none", "batch", "la", "pc"),
}


@dataclass(frozen=True)
class Study:
    """A factorial on one data set at one or several imbalance factors.

    Tuning: for every cell the logit scale (where the loss has one) and BatchNorm before a learnable linear classifier
    are chosen at the middle learning rate, beyond the grid too where the best scale is at its edge, then the learning
    rate at that choice, by mean balanced accuracy on validation data of the training pool. The test part is not given
    to it, see :func:`equiangular.compare.tuning.validation_dataset`.

    Attributes:
        name: name on the command line.
        data: see :func:`equiangular.data.load_dataset`.
        imbalances: factors n_max / n_min; 1 leaves the data as it is.
        budget: optimisation budget, equal for all cells but for the tuned learning rate.
        backbone: see :func:`equiangular.models.make_backbone`; ``"auto"`` fits the data.
        width: multiplies the sizes of the backbone's layers.
        size: height and width that images are brought to; None leaves them.
        precision: see :class:`equiangular.training.Hardware`.
        accelerator: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``; several trainings at a time share one device.
        seeds: paired runs of every cell; each has a training subset of its own.
        tuning_seeds: runs of every candidate of the tuning, from seed 1000 on.
        levels: pairs of a factor and the levels of it that are run; by default those of :data:`FULL`, of other factors
            all.
        only: names of the cells that are run; all that the levels allow by default.
        also: names of cells that are run beside those.
        tuned_at: the imbalance factor whose tuning serves all of ``imbalances``; None tunes at each.
        tuning_epochs: epochs of the runs of the tuning; those of the budget by default.
        short_grid: the scales of the first stage of the tuning are the inner ones of :data:`SCALES` alone.
        recipe: name of the cell that is the :func:`equiangular.recommended_head`; empty if it is not among the cells.
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
    width: float = 1.0
    size: int | None = None
    precision: str = "32-true"
    accelerator: str = "cpu"
    seeds: int = 5
    tuning_seeds: int = 2
    levels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    tuned_at: float | None = None
    tuning_epochs: int | None = None
    short_grid: bool = False
    recipe: str = ""
    learning_rates: tuple[float, ...] = LEARNING_RATES
    validation: float = 0.2

    def __post_init__(self) -> None:
        check_choice(self.accelerator, ACCELERATORS, "accelerator")
        check_int(self.seeds, "seeds", minimum=2, hint="A paired test needs two runs.")
        check_int(self.tuning_seeds, "tuning_seeds", minimum=1)
        for factor, levels in self.levels:
            check_choice(factor, FACTORS, "factor")
            for level in levels:
                check_choice(level, FACTORS[factor], factor)
        for name in (*self.only, *self.also):
            Cell.parse(name)
        if not self.cells():
            raise ValueError(f"study {self.name!r} has no cell left with the levels {self.levels}; widen one of them.")

    def cells(self) -> tuple[Cell, ...]:
        """The cells of this study."""
        if self.only:
            chosen = [Cell.parse(name) for name in self.only]
            levels = dict(self.levels)
        else:
            chosen, levels = list(all_cells()), {**FULL, **dict(self.levels)}
        kept = [cell for cell in chosen if all(getattr(cell, f) in allowed for f, allowed in levels.items())]
        return tuple(dict.fromkeys([*kept, *(Cell.parse(name) for name in self.also)]))

    def scales(self, cell: Cell) -> tuple[float | None, ...]:
        """The candidates for the logit scale of a cell's training; ``(None,)`` where there is nothing to choose."""
        if not cell.tunes_scale:
            return (None,)
        grid = SCALES[cell.features]
        return grid[1:-1] if self.short_grid else grid

    def changed(self, **changes: Any) -> Study:
        """A copy with some fields changed; ``None`` leaves a field as it is."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values."""
        return asdict(self)
