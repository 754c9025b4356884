"""Heads: modules that own the class vectors and turn features into logits."""

from equiangular.heads.alignment import align_head, match_vertices
from equiangular.heads.attachment import attach, find_head, forward_with_features
from equiangular.heads.base import Head, Kind
from equiangular.heads.cosine import CosineHead
from equiangular.heads.etf import ETFHead
from equiangular.heads.implicit import ImplicitHead
from equiangular.heads.incremental import IncrementalETFHead
from equiangular.heads.linear import LinearHead
from equiangular.heads.nearest import PrototypeIndex, nearest_prototypes
from equiangular.heads.normalize import unit_normalize
from equiangular.heads.random_vectors import RandomHead, random_unit_vectors
from equiangular.heads.recommended import best_head as best_head
from equiangular.heads.recommended import recommended_head
from equiangular.heads.registry import HEADS, make_head
from equiangular.heads.rotated import RotatedETFHead
from equiangular.heads.scale import scale_for_probability
from equiangular.heads.subset import restrict_logits

__all__ = [
    "HEADS",
    "CosineHead",
    "ETFHead",
    "Head",
    "ImplicitHead",
    "IncrementalETFHead",
    "Kind",
    "LinearHead",
    "PrototypeIndex",
    "RandomHead",
    "RotatedETFHead",
    "align_head",
    "attach",
    "find_head",
    "forward_with_features",
    "make_head",
    "match_vertices",
    "nearest_prototypes",
    "random_unit_vectors",
    "recommended_head",
    "restrict_logits",
    "scale_for_probability",
    "unit_normalize",
]
