"""Heads by name."""

from __future__ import annotations

import inspect
from typing import Any

from equiangular._validate import check_choice, did_you_mean
from equiangular.heads.base import Head
from equiangular.heads.best import best_head
from equiangular.heads.cosine import CosineHead
from equiangular.heads.etf import ETFHead
from equiangular.heads.implicit import ImplicitHead
from equiangular.heads.incremental import IncrementalETFHead
from equiangular.heads.linear import LinearHead
from equiangular.heads.random_vectors import RandomHead
from equiangular.heads.rotated import RotatedETFHead

HEADS: dict[str, type[Head]] = {
    "etf": ETFHead,
    "linear": LinearHead,
    "cosine": CosineHead,
    "random": RandomHead,
    "rotated-etf": RotatedETFHead,
    "incremental-etf": IncrementalETFHead,
    "implicit": ImplicitHead,
}


def make_head(kind: str, in_features: int, num_classes: int, **options: Any) -> Head:
    """The head called ``kind``: one of :data:`HEADS`, such as ``"etf"``, ``"linear"`` or ``"cosine"``; or ``"best"``.

    Args:
        kind: its name; ``"best"`` is what :func:`equiangular.best_head` makes.
        in_features: width of the incoming features.
        num_classes: K.
        options: keyword arguments of the head, see :class:`Head`.

    Raises:
        ValueError: no such kind or option (the closest one is suggested), or an argument out of its range.

    Example:
        >>> make_head("cosine", 64, 10).num_classes
        10
    """
    head = HEADS["etf" if kind == "best" else check_choice(kind, (*HEADS, "best"), "head")]
    known = _options(head) + (["class_means"] if kind == "best" else [])
    for name in options:
        if name not in known:
            raise ValueError(f"unknown option {name!r} of the head {kind!r}{did_you_mean(name, known)}")
    return (best_head if kind == "best" else head)(in_features, num_classes, **options)


def _options(head: type[Head]) -> list[str]:
    """The keyword arguments of a head and of its parents."""
    signatures = [inspect.signature(cls.__init__) for cls in head.__mro__ if issubclass(cls, Head)]
    return [name for s in signatures for name, p in s.parameters.items() if p.kind is p.KEYWORD_ONLY]
