"""equiangular: fixed classifier heads with the best possible geometry.

The public names below are resolved on first use, so that ``import equiangular`` costs nothing, ``--help`` is instant
and no optional dependency is imported before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from equiangular import compare as compare
    from equiangular import data as data
    from equiangular import export as export
    from equiangular import frames as frames
    from equiangular import heads as heads
    from equiangular import inference as inference
    from equiangular import integrations as integrations
    from equiangular import longtail as longtail
    from equiangular import losses as losses
    from equiangular import measures as measures
    from equiangular import models as models
    from equiangular import posthoc as posthoc
    from equiangular import theory as theory
    from equiangular import training as training
    from equiangular.frames import assert_simplex_etf as assert_simplex_etf
    from equiangular.frames import best_frame as best_frame
    from equiangular.frames import class_mean_frame as class_mean_frame
    from equiangular.frames import explain_frame as explain_frame
    from equiangular.frames import frame_report as frame_report
    from equiangular.frames import is_simplex_etf as is_simplex_etf
    from equiangular.frames import load_frame as load_frame
    from equiangular.frames import nearest_simplex_etf as nearest_simplex_etf
    from equiangular.frames import save_frame as save_frame
    from equiangular.frames import simplex_equiangular_tight_frame as simplex_equiangular_tight_frame
    from equiangular.frames import simplex_etf as simplex_etf
    from equiangular.frames import simplex_logits as simplex_logits
    from equiangular.frames import spherical_code as spherical_code
    from equiangular.frames import spread_frame as spread_frame
    from equiangular.frames import warn_unreachable as warn_unreachable
    from equiangular.frames import why_not_simplex_etf as why_not_simplex_etf
    from equiangular.heads import CosineHead as CosineHead
    from equiangular.heads import ETFHead as ETFHead
    from equiangular.heads import ImplicitHead as ImplicitHead
    from equiangular.heads import IncrementalETFHead as IncrementalETFHead
    from equiangular.heads import LinearHead as LinearHead
    from equiangular.heads import PrototypeIndex as PrototypeIndex
    from equiangular.heads import RandomHead as RandomHead
    from equiangular.heads import RotatedETFHead as RotatedETFHead
    from equiangular.heads import align_head as align_head
    from equiangular.heads import attach as attach
    from equiangular.heads import best_head as best_head
    from equiangular.heads import find_head as find_head
    from equiangular.heads import forward_with_features as forward_with_features
    from equiangular.heads import make_head as make_head
    from equiangular.heads import nearest_prototypes as nearest_prototypes
    from equiangular.heads import recommended_head as recommended_head
    from equiangular.heads import restrict_logits as restrict_logits
    from equiangular.heads import scale_for_probability as scale_for_probability
    from equiangular.integrations.sklearn import ETFClassifier as ETFClassifier
    from equiangular.longtail import SubsetManifest as SubsetManifest
    from equiangular.longtail import long_tail_counts as long_tail_counts
    from equiangular.longtail import long_tail_indices as long_tail_indices
    from equiangular.losses import CosineCrossEntropyLoss as CosineCrossEntropyLoss
    from equiangular.losses import DotLoss as DotLoss
    from equiangular.losses import DotRegressionLoss as DotRegressionLoss
    from equiangular.losses import LogitAdjustedCrossEntropyLoss as LogitAdjustedCrossEntropyLoss
    from equiangular.losses import cosine_cross_entropy as cosine_cross_entropy
    from equiangular.losses import dot_loss as dot_loss
    from equiangular.losses import dot_regression_loss as dot_regression_loss
    from equiangular.losses import logit_adjusted_cross_entropy as logit_adjusted_cross_entropy
    from equiangular.measures import CalibrationError as CalibrationError
    from equiangular.measures import NeuralCollapse as NeuralCollapse
    from equiangular.measures import ShotAccuracy as ShotAccuracy
    from equiangular.measures import measure_collapse as measure_collapse
    from equiangular.measures import ood_score as ood_score
    from equiangular.measures import open_set_measures as open_set_measures
    from equiangular.measures import watch as watch
    from equiangular.posthoc import PriorCorrection as PriorCorrection
    from equiangular.posthoc import calibrate_prior_correction as calibrate_prior_correction
    from equiangular.posthoc import calibrate_scale as calibrate_scale
    from equiangular.posthoc import prior_corrected_logits as prior_corrected_logits
    from equiangular.training import AlignmentSchedule as AlignmentSchedule
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "equiangular": "__version__",
            ".frames": (
                "assert_simplex_etf class_mean_frame explain_frame frame_report is_simplex_etf load_frame "
                "nearest_simplex_etf save_frame simplex_equiangular_tight_frame simplex_etf simplex_logits "
                "spherical_code spread_frame warn_unreachable why_not_simplex_etf"
            ),
            ".heads": (
                "CosineHead ETFHead ImplicitHead IncrementalETFHead LinearHead PrototypeIndex RandomHead "
                "RotatedETFHead align_head attach find_head forward_with_features make_head nearest_prototypes "
                "recommended_head restrict_logits scale_for_probability"
            ),
            ".integrations.sklearn": "ETFClassifier",
            ".longtail": "SubsetManifest long_tail_counts long_tail_indices",
            ".losses": (
                "CosineCrossEntropyLoss DotLoss DotRegressionLoss LogitAdjustedCrossEntropyLoss cosine_cross_entropy "
                "dot_loss dot_regression_loss logit_adjusted_cross_entropy"
            ),
            ".measures": (
                "CalibrationError NeuralCollapse ShotAccuracy measure_collapse ood_score open_set_measures watch"
            ),
            ".posthoc": "PriorCorrection calibrate_prior_correction calibrate_scale prior_corrected_logits",
            ".training": "AlignmentSchedule",
        },
        renamed={".frames": "best_frame", ".heads": "best_head"},  # they warn when called
        subpackages=(
            "compare data export frames heads inference integrations longtail losses measures models posthoc theory "
            "training"
        ),
    )
