"""Using a trained model: predictions for files, evaluation on a test set. Extras ``[train]`` and ``[data]``."""

from equiangular.inference.evaluation import evaluate, read_prior
from equiangular.inference.inputs import list_inputs, read_inputs
from equiangular.inference.predictions import Prediction, predict_files, write_predictions
from equiangular.inference.tables import InputBatch

__all__ = [
    "InputBatch",
    "Prediction",
    "evaluate",
    "list_inputs",
    "predict_files",
    "read_inputs",
    "read_prior",
    "write_predictions",
]
