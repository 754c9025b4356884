"""Classifiers without training: means, Gaussians and ridge regressions in closed form, from one pass over features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equiangular._lazy import lazy_names

if TYPE_CHECKING:
    from equiangular.closed_form.classifier import KINDS as KINDS, ClosedForm as ClosedForm, Solution as Solution
    from equiangular.closed_form.features import KernelFeatures as KernelFeatures, RandomFeatures as RandomFeatures
    from equiangular.closed_form.head import ClosedFormHead as ClosedFormHead
    from equiangular.closed_form.kernel import KeptSamples as KeptSamples
    from equiangular.closed_form.statistics import ClassStatistics as ClassStatistics
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".classifier": "KINDS ClosedForm Solution",
            ".features": "KernelFeatures RandomFeatures",
            ".head": "ClosedFormHead",
            ".kernel": "KeptSamples",
            ".statistics": "ClassStatistics",
        },
    )
