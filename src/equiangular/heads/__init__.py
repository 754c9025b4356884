"""Heads: modules that own the class vectors and turn features into logits."""

from typing import TYPE_CHECKING

from equiangular._lazy import lazy_names
from equiangular.heads.alignment import align_head as align_head, match_vertices as match_vertices
from equiangular.heads.attachment import attach as attach, find_head as find_head
from equiangular.heads.attachment import forward_with_features as forward_with_features
from equiangular.heads.base import Head as Head, Kind as Kind
from equiangular.heads.linear import CosineHead as CosineHead, LinearHead as LinearHead, RandomHead as RandomHead
from equiangular.heads.linear import random_unit_vectors as random_unit_vectors
from equiangular.heads.etf import ETFHead as ETFHead, RotatedETFHead as RotatedETFHead
from equiangular.heads.implicit import ImplicitHead as ImplicitHead
from equiangular.heads.incremental import IncrementalETFHead as IncrementalETFHead
from equiangular.heads.named import NamedHead as NamedHead, class_text_vectors as class_text_vectors
from equiangular.heads.nearest import PrototypeIndex as PrototypeIndex, nearest_prototypes as nearest_prototypes
from equiangular.heads.functional import unit_normalize as unit_normalize
from equiangular.heads.functional import scale_for_probability as scale_for_probability
from equiangular.heads.functional import restrict_logits as restrict_logits
from equiangular.heads.registry import recommended_head as recommended_head, HEADS as HEADS, make_head as make_head

if TYPE_CHECKING:
    from equiangular.heads.registry import best_head as best_head
else:  # an old name, found and not listed
    __getattr__, _, _ = lazy_names(__name__, {}, renamed={".registry": "best_head"})
