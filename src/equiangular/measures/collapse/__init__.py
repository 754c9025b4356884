"""Measures of neural collapse: pure functions of class moments. Imports torch only; the metric is `NeuralCollapse`."""

from equiangular.measures.collapse.moments import GLOBAL_MEANS as GLOBAL_MEANS, ClassMoments as ClassMoments
from equiangular.measures.collapse.moments import centred_means as centred_means, global_mean as global_mean
from equiangular.measures.collapse.nc1 import cdnv as cdnv, effective_rank as effective_rank, nc1_pinv as nc1_pinv
from equiangular.measures.collapse.nc1 import nc1_quotient as nc1_quotient
from equiangular.measures.collapse.nc1 import variability_collapse_index as variability_collapse_index
from equiangular.measures.collapse.nc2 import equiangular as equiangular, equinorm as equinorm, etf_error as etf_error
from equiangular.measures.collapse.nc2 import gram_error as gram_error, log_distance_variance as log_distance_variance
from equiangular.measures.collapse.nc2 import mean_cosine as mean_cosine, partial_etf_distance as partial_etf_distance
from equiangular.measures.collapse.nc3 import alignment as alignment, classifier_agreement as classifier_agreement
from equiangular.measures.collapse.nc3 import gram_alignment as gram_alignment, nearest_mean as nearest_mean
from equiangular.measures.collapse.nc3 import ood_orthogonality as ood_orthogonality, self_duality as self_duality
from equiangular.measures.collapse.nc3 import uniform_duality as uniform_duality
from equiangular.measures.collapse.summary import collapse_measures as collapse_measures, group_slots as group_slots
