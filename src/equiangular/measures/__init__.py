"""Measures: accuracy, calibration, collapse, statistics.

Pure functions are imported here and need torch and NumPy (tests of significance: SciPy, when called). The streaming
metric classes need torchmetrics and are imported on first use, so that importing this package costs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from equiangular._lazy import lazy_names
from equiangular.measures.accuracy import accuracy, balanced_accuracy, group_accuracy, per_class_accuracy
from equiangular.measures.calibration import calibration_bins, expected_calibration_error
from equiangular.measures.confusion import confusion_matrix
from equiangular.measures.open_set import OpenSetResult, ood_score, open_set_measures, principal_subspace
from equiangular.measures.significance import PairedComparison, holm, mean_ci, paired_comparison

if TYPE_CHECKING:
    from equiangular.measures import collapse as collapse
    from equiangular.measures.neural_collapse import NeuralCollapse as NeuralCollapse
    from equiangular.measures.over_loader import measure_collapse as measure_collapse
    from equiangular.measures.probe import watch as watch
    from equiangular.measures.streaming import CalibrationError as CalibrationError
    from equiangular.measures.streaming import ShotAccuracy as ShotAccuracy
else:
    _LAZY = {
        ".neural_collapse": "NeuralCollapse",
        ".over_loader": "measure_collapse",
        ".probe": "watch",
        ".streaming": "CalibrationError ShotAccuracy",
    }
    __getattr__, _, _ = lazy_names(__name__, _LAZY, subpackages="collapse")

__all__ = [
    "CalibrationError",
    "NeuralCollapse",
    "OpenSetResult",
    "PairedComparison",
    "ShotAccuracy",
    "accuracy",
    "balanced_accuracy",
    "calibration_bins",
    "collapse",
    "confusion_matrix",
    "expected_calibration_error",
    "group_accuracy",
    "holm",
    "mean_ci",
    "measure_collapse",
    "ood_score",
    "open_set_measures",
    "paired_comparison",
    "per_class_accuracy",
    "principal_subspace",
    "watch",
]


def __dir__() -> list[str]:
    return list(__all__)
