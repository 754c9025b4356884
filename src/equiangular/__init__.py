"""equiangular: fixed classifier heads with the best possible geometry.

The public names below are resolved on first use, so that ``import equiangular`` costs nothing, ``--help`` is instant
and no optional dependency is imported before it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "simplex_etf": "frames",
    "simplex_equiangular_tight_frame": "frames",
    "is_simplex_etf": "frames",
    "why_not_simplex_etf": "frames",
    "assert_simplex_etf": "frames",
    "nearest_simplex_etf": "frames",
    "simplex_logits": "frames",
    "frame_report": "frames",
    "save_frame": "frames",
    "load_frame": "frames",
    "spread_frame": "frames",
    "class_mean_frame": "frames",
    "explain_frame": "frames",
    "spherical_code": "frames",
    "warn_unreachable": "frames",
    "recommended_head": "heads",
    "ETFHead": "heads",
    "LinearHead": "heads",
    "CosineHead": "heads",
    "RandomHead": "heads",
    "RotatedETFHead": "heads",
    "IncrementalETFHead": "heads",
    "ImplicitHead": "heads",
    "PrototypeIndex": "heads",
    "nearest_prototypes": "heads",
    "align_head": "heads",
    "restrict_logits": "heads",
    "attach": "heads",
    "find_head": "heads",
    "forward_with_features": "heads",
    "make_head": "heads",
    "scale_for_probability": "heads",
    "dot_regression_loss": "losses",
    "DotRegressionLoss": "losses",
    "dot_loss": "losses",
    "DotLoss": "losses",
    "cosine_cross_entropy": "losses",
    "CosineCrossEntropyLoss": "losses",
    "logit_adjusted_cross_entropy": "losses",
    "LogitAdjustedCrossEntropyLoss": "losses",
    "prior_corrected_logits": "posthoc",
    "PriorCorrection": "posthoc",
    "calibrate_scale": "posthoc",
    "calibrate_prior_correction": "posthoc",
    "long_tail_counts": "longtail",
    "long_tail_indices": "longtail",
    "SubsetManifest": "longtail",
    "NeuralCollapse": "measures",
    "measure_collapse": "measures",
    "watch": "measures",
    "ShotAccuracy": "measures",
    "open_set_measures": "measures",
    "ood_score": "measures",
    "AlignmentSchedule": "training",
    "CalibrationError": "measures",
    "ETFClassifier": "integrations.sklearn",
}
_RENAMED = {"best_frame": "frames", "best_head": "heads"}  # they warn when called
_SUBPACKAGES = (
    "compare",
    "data",
    "export",
    "frames",
    "heads",
    "inference",
    "integrations",
    "longtail",
    "losses",
    "measures",
    "models",
    "posthoc",
    "theory",
    "training",
)

__all__ = sorted(["__version__", *_PUBLIC])


def __getattr__(name: str) -> Any:
    """Resolve a public name or a subpackage on first use (PEP 562)."""
    home = _PUBLIC.get(name) or _RENAMED.get(name)
    if home:
        value = getattr(import_module(f"{__name__}.{home}"), name)
    elif name in _SUBPACKAGES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module 'equiangular' has no attribute {name!r}; it has: {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
