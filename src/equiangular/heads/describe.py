"""A head as plain values, from which the same head can be built again."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from equiangular.heads.base import Head
from equiangular.heads.registry import HEADS, make_head
from equiangular.heads.rotated import RotatedETFHead

# Option -> attribute that keeps it; those of single heads are looked for where a head has them.
_OPTIONS = {
    "norm": "norm_kind",
    "normalize": "normalize",
    "scale": "scale_option",
    "projection": "projection_kind",
    "zero_norm": "zero_norm",
    "seed": "seed",
    "bias": "has_bias",
    "basis": "basis",
    "construction": "construction",
    "chunk_size": "chunk_size",
    "reserved": "free",  # classes that came later are among the classes by now
}


def describe_head(head: Head) -> dict[str, Any]:
    """Kind and options of a head, JSON-plain: ``build_described`` makes it again, its weights come from its state.

    Args:
        head: one of the library's heads.

    Returns:
        ``{"kind": name, "options": {...}}``. Class vectors that were given (``prototypes``) have ``basis`` ``"given"``.

    Raises:
        ValueError: a head of another class.

    Example:
        >>> from equiangular import ETFHead
        >>> describe_head(ETFHead(8, 4, norm="batch"))["kind"]
        'etf'
    """
    kind = next((name for name, kind in HEADS.items() if type(head) is kind), None)
    if kind is None:
        raise ValueError(f"{type(head).__name__} is no head of this library; there are: {', '.join(HEADS)}.")
    options = {option: getattr(head, name) for option, name in _OPTIONS.items() if hasattr(head, name)}
    options["drop_rate"] = head.dropout.p if isinstance(head.dropout, nn.Dropout) else 0.0
    if head.projection_kind is not None:
        options["dim"] = head.dim
    return {"kind": kind, "options": options}


def build_described(description: dict[str, Any], in_features: int, num_classes: int, state: dict[str, Tensor]) -> Head:
    """The head of a description, without its weights: load ``state`` into it.

    Args:
        description: what :func:`describe_head` gave.
        in_features: width of the incoming features.
        num_classes: K.
        state: the head's ``state_dict``; looked at for class vectors that were given, and for a rotation baked in.

    Raises:
        ValueError: an unknown kind or option, or a description of another form.
    """
    try:
        kind, options = description["kind"], dict(description["options"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a head is described by its kind and options, got {description!r}.") from error
    if options.get("basis") == "best":  # as the last release wrote it
        options["basis"] = "spread"
    if options.get("basis") == "given":
        del options["basis"]
        options["prototypes"] = state.get("frame", state.get("weight"))
    head = make_head(kind, in_features, num_classes, **options)
    if isinstance(head, RotatedETFHead) and "skew" not in state:
        head.bake()
    return head
