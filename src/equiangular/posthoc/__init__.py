"""After training, nothing retrained: correcting a classifier to another class prior."""

from equiangular.posthoc.calibration import Calibration, calibrate_prior_correction
from equiangular.posthoc.correction import PriorCorrection
from equiangular.posthoc.prior import prior_corrected_logits
from equiangular.posthoc.tau_norm import choose_tau, tau_normalized_weight
from equiangular.posthoc.temperature import calibrate_scale

__all__ = [
    "Calibration",
    "PriorCorrection",
    "calibrate_prior_correction",
    "calibrate_scale",
    "choose_tau",
    "prior_corrected_logits",
    "tau_normalized_weight",
]
