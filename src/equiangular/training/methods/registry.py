"""All methods by name."""

from __future__ import annotations

from equiangular._validate import check_choice
from equiangular.training.methods import cross_entropy, dot_regression, logit_adjustment, prior_correction
from equiangular.training.methods.base import Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (cross_entropy, logit_adjustment, dot_regression, prior_correction)
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
