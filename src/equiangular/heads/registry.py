"""Heads by name, the head that the studies recommend, and a head as plain values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice, check_features, did_you_mean
from equiangular.frames import class_mean_frame
from equiangular.heads.base import Head
from equiangular.heads.etf import ETFHead, RotatedETFHead
from equiangular.heads.functional import unit_normalize
from equiangular.heads.implicit import ImplicitHead
from equiangular.heads.incremental import IncrementalETFHead
from equiangular.heads.linear import CosineHead, LinearHead, RandomHead
from equiangular.heads.named import NAMED_SCALE, NamedHead
from equiangular.heads.unstored import UnstoredFrame

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import AnyHeadOptions, ETFHeadOptions


# Chosen on validation data, see docs/answer.md and experiments/RECIPE.md.
FREE: dict[str, Any] = {"normalize": False}
BARE: dict[str, Any] = {"norm": "batch"}
MAPPED: dict[str, Any] = {"norm": "batch-first", "projection": "linear"}
# A small scale keeps the logits of similar classes close; chosen on validation data of two sets of texts.
SIMILAR: dict[str, Any] = {"norm": "batch", "scale": 4.0}
DIMENSIONS_PER_CLASS = 4
# The most classes of a Haar-random frame, which takes over a second for more: then the orientation has a formula.
TURNED_CLASSES = 2048


def needs_projection(in_features: int, num_classes: int) -> bool:
    """Whether the recipe puts a learned linear map before the frame: with fewer than four dimensions for a class.

    Example:
        >>> needs_projection(64, 10), needs_projection(64, 26)
        (False, True)
    """
    return in_features < DIMENSIONS_PER_CLASS * num_classes


def recommended_head(
    in_features: int, num_classes: int, *, class_means: Tensor | None = None, **options: Unpack[ETFHeadOptions]
) -> ETFHead:
    """A simplex ETF on features that are not normalised: logits = BatchNorm(x) M^T, M fixed.

    With fewer than four dimensions for a class there is a learned linear map P between BatchNorm and M,
    logits = (P BatchNorm(x)) M^T, so that there is an ETF for any K and any width. M P is then a learned linear
    classifier in other coordinates, and SGD trains it as such, at a learning rate K / (K - 1) times as high. With
    more than 2,048 classes the frame is the canonical simplex, which has no matrix; the map turns it as well as any.

    Where the inputs say which classes are alike, as TF-IDF or embeddings of texts do, give their ``class_means``: the
    fixed vectors then have the cosines of these, see :func:`equiangular.class_mean_frame`, and meet features of unit
    norm at logit scale 4. No map is needed, whatever K. For images and tables this is worse than the above.

    It wants a backbone that is trained with it: BatchNorm cannot turn the features of a frozen encoder, which the first
    training step says. Before these take ``projection="linear"``; or ``class_means`` of the very features with
    ``projection="residual"``: the means are the fixed vectors then where they lie, not turned, at scale 16, behind a
    map that starts as the identity; or :class:`equiangular.NamedHead`, which does the same with the classes' names.

    With :func:`equiangular.losses.logit_adjusted_cross_entropy` on its logits this is the recipe of docs/answer.md,
    which says where it is better than learned classifiers, level and worse. What it costs: BatchNorm's 2 d numbers;
    with the map (d + 1)(K - 1) more, about as many as the linear classifier, so that nothing is saved there. Returns
    the head. It takes (B, d) floating point and gives logits (B, K).

    Args:
        in_features: d, width of the incoming features.
        num_classes: K >= 2.
        class_means: (K, p) mean input of every class of the training data, or None.
        options: see :class:`equiangular.heads.ETFHead`; they take precedence, such as ``projection=None``, or
            ``scale=0.5`` for a few hundred samples.

    Raises:
        ValueError: an argument out of its range, class means that no frame can follow, or a simplex of so many classes
            that it fits into no memory: :class:`ImplicitHead` is for these.

    Example:
        >>> import torch
        >>> from equiangular.losses import logit_adjusted_cross_entropy
        >>> head = recommended_head(64, 10)
        >>> logits = head(torch.randn(8, 64))
        >>> counts = [90, 50, 30, 20, 9, 9, 5, 4, 3, 1]
        >>> loss = logit_adjusted_cross_entropy(logits, torch.arange(8), counts)
        >>> logits.shape, head.head_parameters(), recommended_head(64, 100).dim
        (torch.Size([8, 10]), 128, 99)
        >>> recommended_head(64, 100, class_means=torch.randn(100, 300)).head_parameters()
        128

    Source: studies of this project, docs/answer.md. A learned map in front of the ETF: Li et al., "No fear of
    classifier biases: neural collapse inspired federated learning", ICCV 2023.
    """
    if class_means is not None:
        if len(class_means) != num_classes:
            raise ValueError(f"class_means has {len(class_means)} rows for {num_classes} classes; they must agree.")
        if options.get("projection") == "residual":
            unit = unit_normalize(check_features(class_means, dim=in_features, name="class_means", allow_zero=False))
            in_place: dict[str, Any] = {"scale": NAMED_SCALE, "prototypes": unit, **options}
            return ETFHead(in_features, num_classes, **in_place)
        vectors = class_mean_frame(class_means, options.get("dim") or in_features, seed=options.get("seed", 0))
        return ETFHead(in_features, num_classes, **{**SIMILAR, "prototypes": vectors, **options})
    default = "linear" if needs_projection(in_features, num_classes) else None
    if options.get("projection", default) is None:
        return ETFHead(in_features, num_classes, **{**FREE, **BARE, **options})
    chosen: dict[str, Any] = {**FREE, **MAPPED, **options}
    wide = chosen["projection"] in ("linear", "mlp") and (options.get("dim") or num_classes) >= num_classes
    if wide and num_classes > TURNED_CLASSES:
        chosen.setdefault("basis", "canonical")
    return ETFHead(in_features, num_classes, **chosen)


def best_head(in_features: int, num_classes: int, **options: Any) -> ETFHead:
    """The name of :func:`recommended_head` in the last release."""
    warn_renamed("best_head", "recommended_head")
    return recommended_head(in_features, num_classes, **options)


HEADS: dict[str, type[Head]] = {
    "etf": ETFHead,
    "linear": LinearHead,
    "cosine": CosineHead,
    "random": RandomHead,
    "rotated-etf": RotatedETFHead,
    "incremental-etf": IncrementalETFHead,
    "implicit": ImplicitHead,
    "named": NamedHead,
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
    if kind == "named" and not isinstance(options.get("class_vectors"), Tensor):
        raise ValueError("the head 'named' needs class_vectors=, (K, d): embeddings of the class names, for one.")
    make: Callable[..., Head] = recommended_head if recommended else head
    return make(in_features, num_classes, **options)


def _options(head: type[Head]) -> list[str]:
    """The keyword arguments of a head and of its parents."""
    signatures = [inspect.signature(cls.__init__) for cls in head.__mro__ if issubclass(cls, Head)]
    return [name for s in signatures for name, p in s.parameters.items() if p.kind is p.KEYWORD_ONLY]


# Option -> attribute that keeps it; those of single heads are looked for where a head has them.
_OPTIONS = {"norm": "norm_kind", "normalize": "normalize", "scale": "scale_option", "projection": "projection_kind"}
_OPTIONS |= {"zero_norm": "zero_norm", "seed": "seed", "bias": "has_bias", "basis": "basis"}
# Of reserved vertices the free ones: classes that came later are among the classes by now.
_OPTIONS |= {"construction": "construction", "chunk_size": "chunk_size", "reserved": "free"}
_OPTIONS |= {"learn_vectors": "learn_vectors"}


def describe_head(head: Head) -> dict[str, Any]:
    """Kind and options of a head, JSON-plain: ``build_described`` makes it again, its weights come from its state.

    ``{"kind": name, "options": {...}}``. Class vectors that were given are no option: ``basis`` is ``"given"`` where
    they came as ``prototypes``, and a named head has its own.

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
    """The head of a description, without its weights: load ``state``, its ``state_dict``, into it.

    ``state`` is looked at for class vectors that were given, and for a rotation baked in.
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
    if kind == "named":
        options["class_vectors"] = state.get("weight")
    head = make_head(kind, in_features, num_classes, **options)
    if isinstance(head, UnstoredFrame) and "recipe" not in state:
        head.store_frame()  # moved, or of an older version
    if isinstance(head, RotatedETFHead) and "skew" not in state:
        head.bake()
    return head
