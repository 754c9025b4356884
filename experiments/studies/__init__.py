"""Factorial studies: which part of a fixed head carries the gain, on which data. Needs the extra ``[train]``."""

from experiments.studies.cells import Cell, all_cells
from experiments.studies.registry import STUDIES, get_study
from experiments.studies.study import Study

__all__ = ["STUDIES", "Cell", "Study", "all_cells", "get_study"]
