"""Cross-entropy on the scaled cosines of a learnable, normalised classifier (NormFace)."""

from __future__ import annotations

from equiangular.training.methods.base import Method
from equiangular.training.methods.cross_entropy import criterion

METHODS = (
    Method("cosine-ce", "learnable cosine + CE", "cosine", criterion, "Wang et al. 2017 (NormFace)", {"norm": "batch"}),
)
