"""Frames: matrices of class vectors. Constructions, checks, bounds, reports, files. Imports torch and NumPy only."""

# The simplex ETF (K <= d + 1), and what is true of any frame.
from equiangular.frames.bounds import rankin_bound, welch_bound
from equiangular.frames.checks import assert_simplex_etf, is_simplex_etf, why_not_simplex_etf
from equiangular.frames.io import load_frame, save_frame
from equiangular.frames.nearest import etf_distance, nearest_orientation, nearest_simplex_etf
from equiangular.frames.orthogonal import haar_orthonormal
from equiangular.frames.report import FrameReport, frame_report
from equiangular.frames.simplex import BASES, simplex_equiangular_tight_frame, simplex_etf
from equiangular.frames.structured import simplex_logits

# isort: split
# More classes than d + 1, features that are never negative, cosines of one's own.
from equiangular.frames.bounds import levenshtein_bound
from equiangular.frames.code_objectives import one_vs_rest_distance
from equiangular.frames.gram import frame_from_gram
from equiangular.frames.implicit import implicit_rows, quadratic_nearest
from equiangular.frames.known_codes import find_known_code, known_code
from equiangular.frames.nonnegative import nonnegative_orthogonal_frame, reachable_cosine, warn_unreachable
from equiangular.frames.orthogonal import hadamard_frame, orthoplex
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows
from equiangular.frames.similarity import class_mean_frame, hierarchy_frame, hierarchy_gram
from equiangular.frames.spherical_code import spherical_code
from equiangular.frames.spread import best_frame as best_frame
from equiangular.frames.spread import explain_frame, spread_frame

__all__ = [
    "BASES", "FrameReport", "assert_simplex_etf", "class_mean_frame", "etf_distance", "explain_frame",
    "find_known_code", "frame_from_gram", "frame_report", "haar_orthonormal", "hadamard_frame", "hierarchy_frame",
    "hierarchy_gram", "implicit_rows", "is_simplex_etf", "known_code", "levenshtein_bound", "load_frame",
    "nearest_orientation", "nearest_simplex_etf", "nonnegative_orthogonal_frame", "one_vs_rest_distance",
    "orthoplex", "quadratic_code", "quadratic_code_rows", "quadratic_nearest", "rankin_bound", "reachable_cosine",
    "save_frame", "simplex_equiangular_tight_frame", "simplex_etf", "simplex_logits", "spherical_code",
    "spread_frame", "warn_unreachable", "welch_bound", "why_not_simplex_etf",
]  # fmt: skip
