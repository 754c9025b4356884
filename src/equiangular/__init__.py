"""equiangular: fixed classifier heads with the best possible geometry.

The public names below are resolved on first use, so that ``import equiangular`` costs nothing, ``--help`` is instant
and no optional dependency is imported before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from equiangular import (
        closed_form as closed_form, compare as compare, data as data, encoders as encoders, export as export,
        frames as frames, heads as heads, inference as inference, integrations as integrations, longtail as longtail,
        losses as losses, measures as measures, models as models, posthoc as posthoc, theory as theory,
        training as training,
    )  # fmt: skip
    from equiangular.closed_form import ClosedFormHead as ClosedFormHead
    from equiangular.encoders import embed as embed
    from equiangular.frames import (
        assert_simplex_etf as assert_simplex_etf, best_frame as best_frame, class_mean_frame as class_mean_frame,
        explain_frame as explain_frame, frame_report as frame_report, is_simplex_etf as is_simplex_etf,
        load_frame as load_frame, nearest_simplex_etf as nearest_simplex_etf, save_frame as save_frame,
        simplex_equiangular_tight_frame as simplex_equiangular_tight_frame, simplex_etf as simplex_etf,
        simplex_logits as simplex_logits, spherical_code as spherical_code, spread_frame as spread_frame,
        warn_unreachable as warn_unreachable, why_not_simplex_etf as why_not_simplex_etf,
    )  # fmt: skip
    from equiangular.heads import (
        CosineHead as CosineHead, ETFHead as ETFHead, ImplicitHead as ImplicitHead,
        IncrementalETFHead as IncrementalETFHead, LinearHead as LinearHead, NamedHead as NamedHead,
        PrototypeIndex as PrototypeIndex, RandomHead as RandomHead, RotatedETFHead as RotatedETFHead,
        align_head as align_head, attach as attach, best_head as best_head, class_text_vectors as class_text_vectors,
        find_head as find_head, forward_with_features as forward_with_features,
        make_head as make_head, nearest_prototypes as nearest_prototypes, recommended_head as recommended_head,
        restrict_logits as restrict_logits, scale_for_probability as scale_for_probability,
    )  # fmt: skip
    from equiangular.integrations.closed_form import ClosedFormClassifier as ClosedFormClassifier
    from equiangular.integrations.prior import PriorCorrectedClassifier as PriorCorrectedClassifier
    from equiangular.integrations.sklearn import ETFClassifier as ETFClassifier
    from equiangular.longtail import (
        SubsetManifest as SubsetManifest, long_tail_counts as long_tail_counts, long_tail_indices as long_tail_indices,
    )  # fmt: skip
    from equiangular.losses import (
        CosineCrossEntropyLoss as CosineCrossEntropyLoss, DotLoss as DotLoss, DotRegressionLoss as DotRegressionLoss,
        LogitAdjustedCrossEntropyLoss as LogitAdjustedCrossEntropyLoss, cosine_cross_entropy as cosine_cross_entropy,
        dot_loss as dot_loss, dot_regression_loss as dot_regression_loss,
        logit_adjusted_cross_entropy as logit_adjusted_cross_entropy,
    )  # fmt: skip
    from equiangular.measures import (
        CalibrationError as CalibrationError, NeuralCollapse as NeuralCollapse, ShotAccuracy as ShotAccuracy,
        measure_collapse as measure_collapse, ood_score as ood_score, open_set_measures as open_set_measures,
        watch as watch,
    )  # fmt: skip
    from equiangular.posthoc import (
        PriorCorrection as PriorCorrection, bias_corrected_temperature as bias_corrected_temperature,
        calibrate_prior_correction as calibrate_prior_correction, calibrate_scale as calibrate_scale,
        estimate_prior as estimate_prior, prior_corrected_logits as prior_corrected_logits,
        rejection_threshold as rejection_threshold,
    )  # fmt: skip
    from equiangular.training import AlignmentSchedule as AlignmentSchedule
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "equiangular": "__version__",
            ".closed_form": "ClosedFormHead",
            ".encoders": "embed",
            ".frames": (
                "assert_simplex_etf class_mean_frame explain_frame frame_report is_simplex_etf load_frame "
                "nearest_simplex_etf save_frame simplex_equiangular_tight_frame simplex_etf simplex_logits "
                "spherical_code spread_frame warn_unreachable why_not_simplex_etf"
            ),
            ".heads": (
                "CosineHead ETFHead ImplicitHead IncrementalETFHead LinearHead NamedHead PrototypeIndex RandomHead "
                "RotatedETFHead align_head attach class_text_vectors find_head forward_with_features make_head "
                "nearest_prototypes recommended_head restrict_logits scale_for_probability"
            ),
            ".integrations.closed_form": "ClosedFormClassifier",
            ".integrations.prior": "PriorCorrectedClassifier",
            ".integrations.sklearn": "ETFClassifier",
            ".longtail": "SubsetManifest long_tail_counts long_tail_indices",
            ".losses": (
                "CosineCrossEntropyLoss DotLoss DotRegressionLoss LogitAdjustedCrossEntropyLoss cosine_cross_entropy "
                "dot_loss dot_regression_loss logit_adjusted_cross_entropy"
            ),
            ".measures": (
                "CalibrationError NeuralCollapse ShotAccuracy measure_collapse ood_score open_set_measures watch"
            ),
            ".posthoc": (
                "PriorCorrection bias_corrected_temperature calibrate_prior_correction calibrate_scale estimate_prior "
                "prior_corrected_logits rejection_threshold"
            ),
            ".training": "AlignmentSchedule",
        },
        renamed={".frames": "best_frame", ".heads": "best_head"},  # they warn when called
        subpackages=(
            "closed_form compare data encoders export frames heads inference integrations longtail losses measures "
            "models posthoc theory training"
        ),
    )
