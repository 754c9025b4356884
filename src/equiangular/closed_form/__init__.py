"""Classifiers without training: means, Gaussians and ridge regressions in closed form, from one pass over features."""

from equiangular.closed_form.classifier import KINDS as KINDS, LINEAR_KINDS as LINEAR_KINDS
from equiangular.closed_form.classifier import ClosedForm as ClosedForm, Kind as Kind
from equiangular.closed_form.distributed import merge_across_processes as merge_across_processes
from equiangular.closed_form.features import KernelFeatures as KernelFeatures, RandomFeatures as RandomFeatures
from equiangular.closed_form.files import load_closed_form as load_closed_form, save_closed_form as save_closed_form
from equiangular.closed_form.head import ClosedFormHead as ClosedFormHead
from equiangular.closed_form.kernel import KeptSamples as KeptSamples
from equiangular.closed_form.solution import Solution as Solution
from equiangular.closed_form.statistics import ClassStatistics as ClassStatistics
