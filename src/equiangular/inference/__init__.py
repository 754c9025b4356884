"""Using a trained model: predictions for files, evaluation on a test set. Extras ``[train]`` and ``[data]``."""

from equiangular.inference.evaluation import evaluate as evaluate, read_prior as read_prior
from equiangular.inference.predictions import list_inputs as list_inputs, read_inputs as read_inputs
from equiangular.inference.predictions import Prediction as Prediction, predict_files as predict_files
from equiangular.inference.predictions import write_predictions as write_predictions
from equiangular.inference.rejection import probabilities_and_doubt as probabilities_and_doubt
from equiangular.inference.rejection import run_rejection_threshold as run_rejection_threshold
from equiangular.inference.tables import InputBatch as InputBatch
