"""After training, nothing retrained: correcting a classifier to another class prior."""

from equiangular.posthoc.calibration import Calibration as Calibration
from equiangular.posthoc.calibration import calibrate_prior_correction as calibrate_prior_correction
from equiangular.posthoc.calibration import PriorCorrection as PriorCorrection, calibrate_scale as calibrate_scale
from equiangular.posthoc.prior import prior_corrected_logits as prior_corrected_logits, choose_tau as choose_tau
from equiangular.posthoc.prior import tau_normalized_weight as tau_normalized_weight
