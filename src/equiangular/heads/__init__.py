"""Heads: modules that own the class vectors and turn features into logits."""

from equiangular.heads.attachment import attach, find_head, forward_with_features
from equiangular.heads.base import Head
from equiangular.heads.cosine import CosineHead
from equiangular.heads.etf import ETFHead
from equiangular.heads.linear import LinearHead
from equiangular.heads.normalize import unit_normalize
from equiangular.heads.random_vectors import RandomHead, random_unit_vectors
from equiangular.heads.registry import HEADS, make_head
from equiangular.heads.rotated import RotatedETFHead
from equiangular.heads.scale import scale_for_probability

__all__ = [
    "HEADS",
    "CosineHead",
    "ETFHead",
    "Head",
    "LinearHead",
    "RandomHead",
    "RotatedETFHead",
    "attach",
    "find_head",
    "forward_with_features",
    "make_head",
    "random_unit_vectors",
    "scale_for_probability",
    "unit_normalize",
]
