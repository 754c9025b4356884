"""Frames: matrices of class vectors. Constructions, checks, bounds, reports, files. Imports torch and NumPy only."""

# The simplex ETF (K <= d + 1), and what is true of any frame.
from equiangular.frames.bounds import rankin_bound, welch_bound
from equiangular.frames.checks import assert_simplex_etf, is_simplex_etf
from equiangular.frames.document import simplex_equiangular_tight_frame
from equiangular.frames.haar import haar_orthonormal
from equiangular.frames.io import load_frame, save_frame
from equiangular.frames.logits import simplex_logits
from equiangular.frames.nearest import etf_distance, nearest_simplex_etf
from equiangular.frames.report import FrameReport, frame_report
from equiangular.frames.simplex import BASES, simplex_etf

# isort: split
# More classes than d + 1: imports here, names in the second list.

__all__ = [
    "BASES",
    "FrameReport",
    "assert_simplex_etf",
    "etf_distance",
    "frame_report",
    "haar_orthonormal",
    "is_simplex_etf",
    "load_frame",
    "nearest_simplex_etf",
    "rankin_bound",
    "save_frame",
    "simplex_equiangular_tight_frame",
    "simplex_etf",
    "simplex_logits",
    "welch_bound",
]

# More classes than d + 1.
__all__ += []
