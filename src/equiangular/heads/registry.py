"""Heads by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice, did_you_mean
from equiangular.heads.base import Head
from equiangular.heads.cosine import CosineHead
from equiangular.heads.etf import ETFHead
from equiangular.heads.implicit import ImplicitHead
from equiangular.heads.incremental import IncrementalETFHead
from equiangular.heads.linear import LinearHead
from equiangular.heads.random_vectors import RandomHead
from equiangular.heads.recommended import recommended_head
from equiangular.heads.rotated import RotatedETFHead

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import AnyHeadOptions

HEADS: dict[str, type[Head]] = {
    "etf": ETFHead,
    "linear": LinearHead,
    "cosine": CosineHead,
    "random": RandomHead,
    "rotated-etf": RotatedETFHead,
    "incremental-etf": IncrementalETFHead,
    "implicit": ImplicitHead,
}


def make_head(kind: str, in_features: int, num_classes: int, **options: Unpack[AnyHeadOptions]) -> Head:
    """The head called ``kind``: one of :data:`HEADS`, or ``"recommended"``.

    Args:
        kind: its name; ``"recommended"`` is what :func:`equiangular.recommended_head` makes.
        in_features: width of the incoming features.
        num_classes: K.
        options: keyword arguments of the head, see :class:`Head`.

    Raises:
        ValueError: no such kind or option (the closest one is suggested), or an argument out of its range.

    Example:
        >>> make_head("cosine", 64, 10).num_classes
        10
    """
    if kind == "best":
        warn_renamed("the head 'best'", "'recommended'")
        kind = "recommended"
    recommended = check_choice(kind, (*HEADS, "recommended"), "head") == "recommended"
    head = HEADS["etf" if recommended else kind]
    known = _options(head) + (["class_means"] if recommended else [])
    for name in options:
        if name not in known:
            raise ValueError(f"unknown option {name!r} of the head {kind!r}{did_you_mean(name, known)}")
    make: Callable[..., Head] = recommended_head if recommended else head
    return make(in_features, num_classes, **options)


def _options(head: type[Head]) -> list[str]:
    """The keyword arguments of a head and of its parents."""
    signatures = [inspect.signature(cls.__init__) for cls in head.__mro__ if issubclass(cls, Head)]
    return [name for s in signatures for name, p in s.parameters.items() if p.kind is p.KEYWORD_ONLY]
