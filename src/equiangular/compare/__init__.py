"""Compare methods on one data set: tuning, paired runs, tests, an answer. Needs the extra ``[train]``."""

from equiangular.compare.answer import answer
from equiangular.compare.config import DEFAULT_METHODS, CompareConfig, configure
from equiangular.compare.plan import Plan
from equiangular.compare.run import Comparing, compare
from equiangular.compare.verdict import verdict

__all__ = ["DEFAULT_METHODS", "CompareConfig", "Comparing", "Plan", "answer", "compare", "configure", "verdict"]
