"""Training: methods (head + loss + what follows) and the loop over Lightning Fabric. Needs the extra ``[train]``."""

from equiangular.training.config import Budget
from equiangular.training.loop import Fitted, backbone_features, build_task, fit, predict
from equiangular.training.methods import METHODS, Context, Method, get_method
from equiangular.training.task import Task

__all__ = [
    "METHODS",
    "Budget",
    "Context",
    "Fitted",
    "Method",
    "Task",
    "backbone_features",
    "build_task",
    "fit",
    "get_method",
    "predict",
]
