"""The theory, runnable: the layer-peeled model, minority collapse, gradients in parts, convergence. torch only."""

from equiangular.theory.dynamics import (
    classifier_gradient,
    convergence_study,
    descend,
    dot_regression_classifier_gradient,
    dot_regression_feature_gradient,
    feature_gradient,
    gradient_parts,
)
from equiangular.theory.layer_peeled import PeeledModel, common_optimum, solve_layer_peeled
from equiangular.theory.run import compare_classifiers, minority_collapse, watch_collapse

__all__ = [
    "PeeledModel", "classifier_gradient", "common_optimum", "compare_classifiers", "convergence_study", "descend",
    "dot_regression_classifier_gradient", "dot_regression_feature_gradient", "feature_gradient", "gradient_parts",
    "minority_collapse", "solve_layer_peeled", "watch_collapse",
]  # fmt: skip
