"""After training, nothing retrained: correcting a classifier to another class prior."""

from equiangular.posthoc.calibration import Calibration, calibrate_prior_correction
from equiangular.posthoc.correction import PriorCorrection
from equiangular.posthoc.prior import prior_corrected_logits

__all__ = ["Calibration", "PriorCorrection", "calibrate_prior_correction", "prior_corrected_logits"]
