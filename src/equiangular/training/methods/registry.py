"""All methods by name: which head, which criterion, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice
from equiangular.heads.registry import SIMILAR
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

_BATCH = {"norm": "batch"}
# The first part of a name: label, kind and options of the head.
_HEADS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "recommended": ("recommended head", RECOMMENDED, {}),
    "linear": ("learnable linear", "linear", {}),
    "cosine": ("learnable cosine", "cosine", _BATCH),
    "random": ("frozen random", "random", _BATCH),
    "etf": ("ETF", "etf", _BATCH),
    "rotated-etf": ("rotated ETF", "rotated-etf", _BATCH),
    # For more classes than an ETF has room for; for K <= d + 1 the same as those called etf.
    "frame": ("spread frame", "etf", {"norm": "batch", "basis": "spread"}),
    # Vectors as similar as the mean inputs of their classes, known before anything is trained.
    "means": ("class means", "etf", SIMILAR),
    # Vectors of the class names, which meet the features that the same encoder made, behind a map that starts as one.
    "named": ("class names, fixed", "named", {}),
    "named-learned": ("class names, learned on", "named", {"learn_vectors": True}),
}
# The second part: label, criterion, and whether the logits then stand for equal class priors.
_LOSSES: dict[str, tuple[str, Criterion, bool]] = {
    "ce": ("CE", criteria.cross_entropy, False),
    "focal": ("focal loss", criteria.focal, False),
    "cb-ce": ("class-balanced CE", criteria.class_balanced, True),
    "cb-focal": ("class-balanced focal loss", partial(criteria.class_balanced, gamma=2.0), True),
    "las": ("label-aware smoothing", criteria.label_aware_smoothing, False),
    "la": ("logit adjustment", criteria.logit_adjusted, True),
    "vs": ("vector scaling", criteria.vector_scaled, True),
    "ldam": ("LDAM", criteria.ldam, False),
    "ldam-drw": ("LDAM, deferred re-weighting", partial(criteria.ldam, deferred=True), True),
    "arb": ("ARB loss", criteria.arb, True),
    "dr": ("DR", criteria.dot_regression, False),
    "dr-batch": ("DR (balanced in the batch)", partial(criteria.dot_regression, balance="batch"), False),
}
_OURS, _CB, _LAS = "this project, docs/answer.md", "Cui et al. 2019", "Zhong et al. 2021 (MiSLAS)"
_RBL, _FRAME, _LA = "Peifeng et al. 2023 (RBL)", "Jiang et al. 2024", "Menon et al. 2021; Ren et al. 2020"
_SCALED = {"norm": "batch", "scale": 30.0}


def _method(head: str, loss: str, source: str, **options: Any) -> Method:
    (of_head, kind, head_options), (of_loss, criterion, balances) = _HEADS[head], _LOSSES[loss]
    options = {"head_options": head_options, "balances": balances, "scaled": not loss.startswith("dr"), **options}
    return Method(options.pop("name", f"{head}-{loss}"), f"{of_head} + {of_loss}", kind, criterion, source, **options)


def _two_stages(name: str, label: str, source: str, second_stage: SecondStage, **options: Any) -> TwoStageMethod:
    """A learnable linear classifier trained with cross-entropy, worked on afterwards."""
    options = {"balances": True, "second_stage": second_stage, **options}
    return TwoStageMethod(name, f"learnable linear + {label}", "linear", criteria.cross_entropy, source, **options)


def corrected(method: Method) -> Method:
    """The same method followed by the prior correction: one training run serves both."""
    return replace(
        method,
        name=f"{method.name}-pc",
        label=f"{method.label} + prior correction",
        source=f"{method.source}; Menon et al. 2021, section 4.1",
        corrected=True,
        trained_as=method.name,
    )


_AS_TEXT = {"name": "recommended", "similarity": 1.0, "similar_for": ("text",)}
_TRAINED = (
    _method("recommended", "la", f"{_OURS}; Yang et al. 2022; Menon et al. 2021", **_AS_TEXT),
    _method("linear", "ce", "the classical baseline"),
    _method("etf", "ce", "Yang et al. 2022, section 4"),
    _method("cosine", "ce", "Wang et al. 2017 (NormFace)"),
    _method("linear", "focal", "Lin et al. 2017, softmax form"),
    _method("linear", "cb-ce", _CB),
    _method("linear", "cb-focal", f"{_CB}, softmax form"),
    _method("linear", "las", _LAS),
    *(_method(head, "la", _LA) for head in ("linear", "cosine", "random", "etf")),
    *(_method(head, "vs", "Kini et al. 2021") for head in ("linear", "recommended")),
    *(_method("cosine", loss, "Cao et al. 2019", head_options=_SCALED) for loss in ("ldam", "ldam-drw")),
    *(_method(head, "arb", "Xie et al. 2023") for head in ("linear", "etf")),
    _method("etf", "dr", "Yang et al. 2022"),
    _method("etf", "dr-batch", "the code released with Yang et al. 2022"),
    _method("rotated-etf", "ce", _RBL),
    _method("rotated-etf", "la", f"{_RBL}; Menon et al. 2021"),
    _method("frame", "ce", _FRAME),
    _method("frame", "la", f"{_FRAME}; Menon et al. 2021"),
    _method("frame", "dr", f"{_FRAME}; Yang et al. 2022"),
    _method("means", "ce", _OURS, similarity=1.0),
    _method("means", "la", f"{_OURS}; Menon et al. 2021", similarity=1.0),
    *(_method(head, "la", "this project, docs/embeddings.md", named=True) for head in ("named", "named-learned")),
)
_BY_NAME = {method.name: method for method in _TRAINED}
# Logit adjustment has taken the prior out already.
_CORRECTED = ("linear-ce", "etf-ce", "etf-dr", "etf-dr-batch", "frame-ce", "frame-dr")
_SHARED = {"trained_as": "linear-ce"}
_DECAY = {"budget_changes": {"weight_decay": STAGE_ONE_WEIGHT_DECAY}}
_SMOOTHLY = "CE, classifier retrained with label-aware smoothing"
_STAGED = (
    _two_stages("linear-crt", "CE, classifier retrained (cRT)", "Kang et al. 2020", retrained, **_SHARED),
    _two_stages("linear-crt-las", _SMOOTHLY, _LAS, retrained_smoothly, **_SHARED),
    _two_stages("linear-tau-norm", "CE, tau-normalised", "Kang et al. 2020", tau_normalized, **_SHARED),
    _two_stages("linear-wb", "weight balancing", "Alshammari et al. 2022", balanced_weights, **_DECAY),
)
METHODS: dict[str, Method] = {
    method.name: method for method in (*_TRAINED, *(corrected(_BY_NAME[name]) for name in _CORRECTED), *_STAGED)
}
# Fitted to features in one call, no network trained.
METHODS |= {m.name: m for m in (*FITTED, corrected(LOGISTIC), with_names(corrected(LOGISTIC)))}
# Names of the last release. "best" means the best validation epoch and nothing else.
RENAMED = {"best": "recommended", "best-vs": "recommended-vs"}


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        ValueError: no such method; the closest name is suggested.

    Example:
        >>> get_method("etf-dr").label
        'ETF + DR'
    """
    if name in RENAMED:
        warn_renamed(f"the method {name!r}", repr(RENAMED[name]))
        name = RENAMED[name]
    return METHODS[check_choice(name, METHODS, "method")]
