"""After training, nothing retrained: another class prior, given or estimated; a threshold for none of the classes."""

from equiangular.posthoc.calibration import Calibration as Calibration
from equiangular.posthoc.calibration import calibrate_prior_correction as calibrate_prior_correction
from equiangular.posthoc.calibration import PriorCorrection as PriorCorrection, calibrate_scale as calibrate_scale
from equiangular.posthoc.prior import prior_corrected_logits as prior_corrected_logits, choose_tau as choose_tau
from equiangular.posthoc.prior import tau_normalized_weight as tau_normalized_weight
from equiangular.posthoc.prior_estimation import BiasCorrectedTemperature as BiasCorrectedTemperature
from equiangular.posthoc.prior_estimation import bias_corrected_temperature as bias_corrected_temperature
from equiangular.posthoc.prior_estimation import PriorEstimate as PriorEstimate, estimate_prior as estimate_prior
from equiangular.posthoc.rejection import rejection_threshold as rejection_threshold
