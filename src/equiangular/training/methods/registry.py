"""All methods by name: which head, which criterion, what follows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice
from equiangular.heads.recommended import SIMILAR
from equiangular.training.methods import criteria, retraining
from equiangular.training.methods.base import RECOMMENDED, Method, TwoStageMethod

_BATCH = {"norm": "batch"}
_LDAM = {"norm": "batch", "scale": 30.0}
_FRAME = {"norm": "batch", "basis": "spread"}
_LA = "Menon et al. 2021; Ren et al. 2020"
_CB, _LAS = "Cui et al. 2019", "Zhong et al. 2021 (MiSLAS)"
_OURS = "this project, docs/answer.md"


def _two_stages(name: str, label: str, source: str, **options: Any) -> TwoStageMethod:
    """A learnable linear classifier trained with cross-entropy, worked on afterwards."""
    label = f"learnable linear + {label}"
    return TwoStageMethod(name, label, "linear", criteria.cross_entropy, source, balances=True, **options)


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


_TRAINED = (
    Method(
        "recommended",
        "recommended head + logit adjustment",
        RECOMMENDED,
        criteria.logit_adjusted,
        f"{_OURS}; Yang et al. 2022; Menon et al. 2021",
        balances=True,
        similarity=1.0,
        similar_for=("text",),
    ),
    Method("linear-ce", "learnable linear + CE", "linear", criteria.cross_entropy, "the classical baseline"),
    Method("etf-ce", "ETF + CE", "etf", criteria.cross_entropy, "Yang et al. 2022, section 4", _BATCH),
    Method(
        "cosine-ce", "learnable cosine + CE", "cosine", criteria.cross_entropy, "Wang et al. 2017 (NormFace)", _BATCH
    ),
    Method(
        "linear-focal", "learnable linear + focal loss", "linear", criteria.focal, "Lin et al. 2017, softmax form"
    ),
    Method(
        "linear-cb-ce", "learnable linear + class-balanced CE", "linear", criteria.class_balanced, _CB, balances=True
    ),
    Method(
        "linear-cb-focal",
        "learnable linear + class-balanced focal loss",
        "linear",
        partial(criteria.class_balanced, gamma=2.0),
        f"{_CB}, softmax form",
        balances=True,
    ),
    Method("linear-las", "learnable linear + label-aware smoothing", "linear", criteria.label_aware_smoothing, _LAS),
    Method("linear-la", "learnable linear + logit adjustment", "linear", criteria.logit_adjusted, _LA, balances=True),
    Method(
        "cosine-la", "learnable cosine + logit adjustment", "cosine", criteria.logit_adjusted, _LA, _BATCH,
        balances=True,
    ),
    Method(
        "random-la", "frozen random + logit adjustment", "random", criteria.logit_adjusted, _LA, _BATCH, balances=True
    ),
    Method("etf-la", "ETF + logit adjustment", "etf", criteria.logit_adjusted, _LA, _BATCH, balances=True),
    Method(
        "linear-vs", "learnable linear + vector scaling", "linear", criteria.vector_scaled, "Kini et al. 2021",
        balances=True,
    ),
    Method(
        "recommended-vs", "recommended head + vector scaling", RECOMMENDED, criteria.vector_scaled,
        "Kini et al. 2021", balances=True,
    ),
    Method("cosine-ldam", "learnable cosine + LDAM", "cosine", criteria.ldam, "Cao et al. 2019", _LDAM),
    Method(
        "cosine-ldam-drw",
        "learnable cosine + LDAM, deferred re-weighting",
        "cosine",
        partial(criteria.ldam, deferred=True),
        "Cao et al. 2019",
        _LDAM,
        balances=True,
    ),
    Method("linear-arb", "learnable linear + ARB loss", "linear", criteria.arb, "Xie et al. 2023", balances=True),
    Method("etf-arb", "ETF + ARB loss", "etf", criteria.arb, "Xie et al. 2023", _BATCH, balances=True),
    Method("etf-dr", "ETF + DR", "etf", criteria.dot_regression, "Yang et al. 2022", _BATCH, scaled=False),
    Method(
        "etf-dr-batch",
        "ETF + DR (balanced in the batch)",
        "etf",
        partial(criteria.dot_regression, balance="batch"),
        "the code released with Yang et al. 2022",
        _BATCH,
        scaled=False,
    ),
    Method(
        "rotated-etf-ce", "rotated ETF + CE", "rotated-etf", criteria.cross_entropy, "Peifeng et al. 2023 (RBL)", _BATCH
    ),
    Method(
        "rotated-etf-la",
        "rotated ETF + logit adjustment",
        "rotated-etf",
        criteria.logit_adjusted,
        "Peifeng et al. 2023 (RBL); Menon et al. 2021",
        _BATCH,
        balances=True,
    ),
    # For more classes than an ETF has room for; for K <= d + 1 the same as those called etf.
    Method("frame-ce", "spread frame + CE", "etf", criteria.cross_entropy, "Jiang et al. 2024", _FRAME),
    Method(
        "frame-la",
        "spread frame + logit adjustment",
        "etf",
        criteria.logit_adjusted,
        "Jiang et al. 2024; Menon et al. 2021",
        _FRAME,
        balances=True,
    ),
    Method(
        "frame-dr",
        "spread frame + DR",
        "etf",
        criteria.dot_regression,
        "Jiang et al. 2024; Yang et al. 2022",
        _FRAME,
        scaled=False,
    ),
    # Vectors as similar as the mean inputs of their classes, known before anything is trained.
    Method("means-ce", "class means + CE", "etf", criteria.cross_entropy, _OURS, SIMILAR, similarity=1.0),
    Method(
        "means-la",
        "class means + logit adjustment",
        "etf",
        criteria.logit_adjusted,
        f"{_OURS}; Menon et al. 2021",
        SIMILAR,
        balances=True,
        similarity=1.0,
    ),
)
# Logit adjustment has taken the prior out already.
_CORRECTED = ("linear-ce", "etf-ce", "etf-dr", "etf-dr-batch", "frame-ce", "frame-dr")
_BY_NAME = {method.name: method for method in _TRAINED}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *_TRAINED,
        *(corrected(_BY_NAME[name]) for name in _CORRECTED),
        _two_stages(
            "linear-crt",
            "CE, classifier retrained (cRT)",
            "Kang et al. 2020",
            trained_as="linear-ce",
            second_stage=retraining.retrained,
        ),
        _two_stages(
            "linear-crt-las",
            "CE, classifier retrained with label-aware smoothing",
            _LAS,
            trained_as="linear-ce",
            second_stage=retraining.retrained_smoothly,
        ),
        _two_stages(
            "linear-tau-norm",
            "CE, tau-normalised",
            "Kang et al. 2020",
            trained_as="linear-ce",
            second_stage=retraining.tau_normalized,
        ),
        _two_stages(
            "linear-wb",
            "weight balancing",
            "Alshammari et al. 2022",
            second_stage=retraining.balanced_weights,
            budget_changes={"weight_decay": retraining.STAGE_ONE_WEIGHT_DECAY},
        ),
    )
}
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
