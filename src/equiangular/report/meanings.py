"""Names and meanings of the measures of collapse, for tables and figures."""

from __future__ import annotations

# What each measure says: key -> (name, meaning, value at collapse).
MEANINGS = {
    "nc1": ("NC1", "within-class covariance against between-class covariance, tr(S_W S_B^+)/K", "0"),
    "nc1_quotient": ("NC1, quotient", "tr S_W / tr S_B", "0"),
    "cdnv": ("CDNV", "class-distance normalised variance, mean over pairs", "0"),
    "vci": ("VCI", "variability collapse index", "0"),
    "nc2_equinorm": ("NC2, equinorm", "std / mean of the norms of centred class means", "0"),
    "nc2_equiangular": ("NC2, equiangular", "mean |cos + 1/(K-1)| of centred class means", "0"),
    "nc2_std": ("NC2, std", "standard deviation of the cosines", "0"),
    "nc2_etf": ("NC2, ETF error", "distance of the normalised Gram matrix to an ETF's", "0"),
    "gnc2": ("GNC2", "variance of log distances on the sphere", "0"),
    "etf_distance": ("ETF distance", "root mean squared distance to the nearest ETF", "0"),
    "nc3": ("NC3", "|| W/||W|| - M/||M|| ||^2, twice its trace form", "0"),
    "nc3_gram": ("NC3, Gram", "distance of normalised W M^T to an ETF's Gram matrix", "0"),
    "unc3": ("UNC3", "variance of cos(w_c, mu_c)", "0"),
    "nc4": ("NC4", "share of samples decided as by the nearest class mean", "1"),
    "nc5": ("NC5", "mean |cos| of class means and the mean of unknown samples", "0"),
    "max_cosine": ("largest cosine", "closest pair of class means", "-1/(K-1)"),
    "mean_cosine": ("mean cosine", "of class means", "-1/(K-1)"),
    "weight_mean_cosine": ("mean cosine, W", "of classifier vectors", "-1/(K-1)"),
    "effective_rank": ("effective rank", "of centred class means", "K-1"),
    "classes_seen": ("classes", "classes with samples", ""),
}
# The main ones, for tables with a row for each epoch, layer or run.
SHORT = ("nc1", "cdnv", "nc2_equinorm", "nc2_equiangular", "etf_distance", "nc3", "nc4")
