"""Training methods; ``get_method(name)`` finds one."""

from equiangular.training.methods.base import Context, Method, StoredFeatures, TrainingDivergedError, TwoStageMethod
from equiangular.training.methods.registry import METHODS, RENAMED, corrected, get_method

__all__ = [
    "METHODS",
    "RENAMED",
    "Context",
    "Method",
    "StoredFeatures",
    "TrainingDivergedError",
    "TwoStageMethod",
    "corrected",
    "get_method",
]
