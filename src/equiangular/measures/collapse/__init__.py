"""Measures of neural collapse: pure functions of class moments. Imports torch only; the metric is `NeuralCollapse`."""

from equiangular.measures.collapse.cdnv import cdnv
from equiangular.measures.collapse.means import GLOBAL_MEANS, centred_means, global_mean
from equiangular.measures.collapse.minority import mean_cosine
from equiangular.measures.collapse.moments import ClassMoments
from equiangular.measures.collapse.nc1 import nc1_pinv, nc1_quotient
from equiangular.measures.collapse.nc2 import equiangular, equinorm, etf_error, log_distance_variance
from equiangular.measures.collapse.nc3 import alignment, gram_alignment, self_duality, uniform_duality
from equiangular.measures.collapse.nc4 import classifier_agreement, nearest_mean
from equiangular.measures.collapse.open_set import ood_orthogonality
from equiangular.measures.collapse.partial_etf import gram_error, partial_etf_distance
from equiangular.measures.collapse.spread import effective_rank, variability_collapse_index
from equiangular.measures.collapse.summary import collapse_measures, group_slots

__all__ = [
    "GLOBAL_MEANS",
    "ClassMoments",
    "alignment",
    "cdnv",
    "centred_means",
    "classifier_agreement",
    "collapse_measures",
    "effective_rank",
    "equiangular",
    "equinorm",
    "etf_error",
    "global_mean",
    "gram_alignment",
    "gram_error",
    "group_slots",
    "log_distance_variance",
    "mean_cosine",
    "nc1_pinv",
    "nc1_quotient",
    "nearest_mean",
    "ood_orthogonality",
    "partial_etf_distance",
    "self_duality",
    "uniform_duality",
    "variability_collapse_index",
]
