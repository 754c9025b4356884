"""Compare methods on one data set: paired runs, a table, a test, an answer. Needs the extra ``[train]``."""

from equiangular.compare.config import DEFAULT_METHODS, CompareConfig
from equiangular.compare.presets import configure
from equiangular.compare.study import planned_runs, run_study
from equiangular.compare.summary import COLUMNS, summarise

__all__ = ["COLUMNS", "DEFAULT_METHODS", "CompareConfig", "configure", "planned_runs", "run_study", "summarise"]
