"""Training: methods (head + loss + what follows) and the loop over Lightning Fabric. Needs the extra ``[train]``."""

from equiangular.training.classifier import Classifier
from equiangular.training.config import Budget
from equiangular.training.correction import corrected_logits, fit_correction
from equiangular.training.loop import Fitted, backbone_features, build_task, fit, predict
from equiangular.training.methods import METHODS, Context, Method, get_method
from equiangular.training.model_files import load_model, save_model
from equiangular.training.model_info import ModelInfo
from equiangular.training.scoring import Scorer, score
from equiangular.training.task import Task

__all__ = [
    "METHODS",
    "Budget",
    "Classifier",
    "Context",
    "Fitted",
    "Method",
    "ModelInfo",
    "Scorer",
    "Task",
    "backbone_features",
    "build_task",
    "corrected_logits",
    "fit",
    "fit_correction",
    "get_method",
    "load_model",
    "predict",
    "save_model",
    "score",
]
