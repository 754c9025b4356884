"""All methods by name: which head, which criterion, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from equiangular.heads.registry import SIMILAR
from equiangular.training.config.catalogue import CORRECTED, ENTRIES, TRAINED, Entry, method_name, with_prior
from equiangular.training.config.catalogue import RENAMED as RENAMED
from equiangular.training.methods import criteria
from equiangular.training.methods.base import RECOMMENDED, Criterion, Method, SecondStage, TwoStageMethod
from equiangular.training.methods.fitted import FITTED, LOGISTIC, with_names
from equiangular.training.methods.retraining import (
    STAGE_ONE_WEIGHT_DECAY,
    balanced_weights,
    retrained,
    retrained_smoothly,
    tau_normalized,
)

AnyMethod = TypeVar("AnyMethod", bound=Method)
_BATCH = {"norm": "batch"}
# The first part of a name: kind and options of the head. Labels, sources and the order of the names: the catalogue.
_HEADS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "recommended": (RECOMMENDED, {}),
    "linear": ("linear", {}),
    "cosine": ("cosine", _BATCH),
    "random": ("random", _BATCH),
    "etf": ("etf", _BATCH),
    "rotated-etf": ("rotated-etf", _BATCH),
    # For more classes than an ETF has room for; for K <= d + 1 the same as those called etf.
    "frame": ("etf", {"norm": "batch", "basis": "spread"}),
    # Vectors as similar as the mean inputs of their classes, known before anything is trained.
    "means": ("etf", SIMILAR),
    # Vectors of the class names, which meet the features that the same encoder made, behind a map that starts as one.
    "named": ("named", {}),
    "named-learned": ("named", {"learn_vectors": True}),
}
# The second part: criterion, and whether the logits then stand for equal class priors.
_LOSSES: dict[str, tuple[Criterion, bool]] = {
    "ce": (criteria.cross_entropy, False),
    "focal": (criteria.focal, False),
    "cb-ce": (criteria.class_balanced, True),
    "cb-focal": (partial(criteria.class_balanced, gamma=2.0), True),
    "las": (criteria.label_aware_smoothing, False),
    "la": (criteria.logit_adjusted, True),
    "vs": (criteria.vector_scaled, True),
    "ldam": (criteria.ldam, False),
    "ldam-drw": (partial(criteria.ldam, deferred=True), True),
    "arb": (criteria.arb, True),
    "dr": (criteria.dot_regression, False),
    "dr-batch": (partial(criteria.dot_regression, balance="batch"), False),
}
_SCALED = {"norm": "batch", "scale": 30.0}
# What single methods have of their own.
_OWN: dict[str, dict[str, Any]] = {
    "recommended": {"similarity": 1.0, "similar_for": ("text",)},
    "cosine-ldam": {"head_options": _SCALED},
    "cosine-ldam-drw": {"head_options": _SCALED},
    "means-ce": {"similarity": 1.0},
    "means-la": {"similarity": 1.0},
    "named-la": {"named": True},
    "named-learned-la": {"named": True},
}


def _method(head: str, loss: str, name: str) -> Method:
    (kind, head_options), (criterion, balances) = _HEADS[head], _LOSSES[loss]
    options = {"head_options": head_options, "balances": balances, "scaled": not loss.startswith("dr")}
    label, _, source = ENTRIES[name]
    return Method(name, label, kind, criterion, source, **{**options, **_OWN.get(name, {})})


def _two_stages(name: str, second_stage: SecondStage, **options: Any) -> TwoStageMethod:
    """A learnable linear classifier trained with cross-entropy, worked on afterwards."""
    label, _, source = ENTRIES[name]
    options = {"balances": True, "second_stage": second_stage, **options}
    return TwoStageMethod(name, label, "linear", criteria.cross_entropy, source, **options)


def corrected(method: AnyMethod) -> AnyMethod:
    """The same method followed by the prior correction: one training run serves both."""
    label, _, source = with_prior(Entry(method.label, "", method.source))
    name = f"{method.name}-pc"
    return replace(method, name=name, label=label, source=source, corrected=True, trained_as=method.name)


_TRAINED = {name: _method(head, loss, name) for name, (head, loss) in TRAINED.items()}
_SHARED = {"trained_as": "linear-ce"}
_STAGED = (
    _two_stages("linear-crt", retrained, **_SHARED),
    _two_stages("linear-crt-las", retrained_smoothly, **_SHARED),
    _two_stages("linear-tau-norm", tau_normalized, **_SHARED),
    _two_stages("linear-wb", balanced_weights, budget_changes={"weight_decay": STAGE_ONE_WEIGHT_DECAY}),
)
METHODS: dict[str, Method] = {
    method.name: method for method in (*_TRAINED.values(), *(corrected(_TRAINED[name]) for name in CORRECTED), *_STAGED)
}
# Fitted to features in one call, no network trained.
METHODS |= {m.name: m for m in (*FITTED, corrected(LOGISTIC), with_names(corrected(LOGISTIC)))}


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: no such method; the closest name is suggested.

    Example:
        >>> get_method("etf-dr").label
        'ETF + DR'
    """
    return METHODS[method_name(name)]
