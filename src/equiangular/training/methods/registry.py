"""All methods by name."""

from __future__ import annotations

from equiangular._validate import check_choice
from equiangular.training.methods import (
    arb,
    best,
    best_frame,
    class_balanced,
    class_means,
    cross_entropy,
    crt,
    dot_regression,
    focal,
    label_aware_smoothing,
    ldam,
    learned_rotation,
    logit_adjustment,
    normface,
    prior_correction,
    tau_norm,
    vector_scaling,
    weight_balancing,
)
from equiangular.training.methods.base import Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (
        best,
        cross_entropy,
        normface,
        focal,
        class_balanced,
        label_aware_smoothing,
        logit_adjustment,
        vector_scaling,
        ldam,
        arb,
        dot_regression,
        learned_rotation,
        best_frame,
        class_means,
        prior_correction,
        crt,
        tau_norm,
        weight_balancing,
    )
    for method in module.METHODS
}


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: no such method; the closest name is suggested.

    Example:
        >>> get_method("etf-dr").label
        'ETF + DR'
    """
    return METHODS[check_choice(name, METHODS, "method")]
