"""Measures: accuracy, calibration, collapse, statistics.

Pure functions are imported here and need torch and NumPy (tests of significance: SciPy, when called). The streaming
metric classes need torchmetrics and are imported on first use, so that importing this package costs neither.
"""

from typing import TYPE_CHECKING

from equiangular._lazy import lazy_names
from equiangular.measures.accuracy import accuracy as accuracy, balanced_accuracy as balanced_accuracy
from equiangular.measures.accuracy import confusion_matrix as confusion_matrix, group_accuracy as group_accuracy
from equiangular.measures.accuracy import per_class_accuracy as per_class_accuracy, calibration_bins as calibration_bins
from equiangular.measures.accuracy import expected_calibration_error as expected_calibration_error
from equiangular.measures.open_set import OpenSetResult as OpenSetResult, ood_score as ood_score
from equiangular.measures.open_set import open_set_measures as open_set_measures
from equiangular.measures.open_set import principal_subspace as principal_subspace
from equiangular.measures.significance import PairedComparison as PairedComparison, holm as holm, mean_ci as mean_ci
from equiangular.measures.significance import class_mean_ci as class_mean_ci, paired_comparison as paired_comparison

if TYPE_CHECKING:
    from equiangular.measures import collapse as collapse
    from equiangular.measures.class_view import ClassView as ClassView, cosine_table as cosine_table
    from equiangular.measures.neural_collapse import NeuralCollapse as NeuralCollapse
    from equiangular.measures.over_loader import measure_collapse as measure_collapse
    from equiangular.measures.probe import watch as watch
    from equiangular.measures.streaming import CalibrationError as CalibrationError, ShotAccuracy as ShotAccuracy
else:
    _LAZY = {".neural_collapse": "NeuralCollapse", ".over_loader": "measure_collapse", ".probe": "watch"}
    _LAZY[".class_view"] = "ClassView cosine_table"
    _LAZY[".streaming"] = "CalibrationError ShotAccuracy"
    __getattr__, _lazily, _ = lazy_names(__name__, _LAZY, subpackages="collapse")

    def __dir__() -> list[str]:
        return sorted({*globals(), *_lazily()})
