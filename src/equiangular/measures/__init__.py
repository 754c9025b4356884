"""Measures: accuracy, calibration, collapse, statistics.

Pure functions are imported here and need torch and NumPy (tests of significance: SciPy, when called). The streaming
metric classes need torchmetrics and are imported on first use, so that importing this package costs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from equiangular.measures.accuracy import accuracy, balanced_accuracy, group_accuracy, per_class_accuracy
from equiangular.measures.calibration import calibration_bins, expected_calibration_error
from equiangular.measures.confusion import confusion_matrix
from equiangular.measures.open_set import OpenSetResult, ood_score, open_set_measures, principal_subspace
from equiangular.measures.significance import PairedComparison, holm, mean_ci, paired_comparison

_LAZY = {
    "CalibrationError": "streaming",
    "NeuralCollapse": "neural_collapse",
    "measure_collapse": "over_loader",
    "watch": "probe",
    "ShotAccuracy": "streaming",
}

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


def __getattr__(name: str) -> Any:
    """Resolve a metric class or the ``collapse`` subpackage on first use (PEP 562)."""
    if name in _LAZY:
        value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    elif name == "collapse":
        value = import_module(f"{__name__}.collapse")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
