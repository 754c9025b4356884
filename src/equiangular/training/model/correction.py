"""From a model's logits to class probabilities under a class prior: fitted on the validation part, stored, applied."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_class_counts, check_labels
from equiangular.posthoc import calibrate_prior_correction, calibrate_scale, prior_corrected_logits
from equiangular.posthoc.footing import crossed_logits, does_harm, too_little
from equiangular.posthoc.prior import corrected, log_prior
from equiangular.training.methods import Method, get_method
from equiangular.training.model.info import ModelInfo

PRIORS = ("uniform", "train")


def logit_prior(method: Method, class_counts: Any, *, balance: float = 0.0) -> Tensor:
    """The class prior that a method's logits stand for, before any correction, as (K,) float64 weights.

    Logistic regression with names has one more sample of each class, and so do its logits.

    Example:
        >>> logit_prior(get_method("etf-ce-pc"), [90, 10]), logit_prior(get_method("etf-la"), [90, 10])
        (tensor([90., 10.], dtype=torch.float64), tensor([1., 1.], dtype=torch.float64))
    """
    counts = check_class_counts(class_counts)
    return torch.ones_like(counts) if method.balances else (counts + method.named) ** (1 - balance)


def fit_correction(
    logits: Tensor, labels: Tensor, class_counts: Any, method: Method, *, balance: float = 0.0
) -> dict[str, Any] | None:
    """Calibrate a trained model on the validation part: what :class:`ModelInfo` keeps as ``correction``.

    A method with prior correction gets scale and strength, see :func:`calibrate_prior_correction`, and for where its
    prior is kept after all ``own_scale``. For any other method the prior is left as it is and only the scale is fitted,
    a temperature 1 / scale, see :func:`equiangular.posthoc.calibrate_scale`; no prediction changes, the probabilities
    do. Where the validation part is too small to say what a prior correction should be, or is worsened by it, that is
    left out and ``declined`` says why, see :mod:`equiangular.posthoc.footing`. None where the validation part has fewer
    than two classes and the method corrects nothing.

    Args:
        logits: (N, K) of the validation part, taken from the training data.
        labels: (N,) integers in [0, K).
        class_counts: (K,) samples per class that were trained on.
        method: the method trained.
        balance: how far the sampler balanced the classes, see :class:`ModelInfo`.

    Raises:
        ValueError: wrong shapes, NaN values or an empty class.

    Example:
        >>> z, y = torch.tensor([[4.0, 0.0], [3.0, 0.0], [1.0, 2.0], [2.0, 1.0]]), torch.tensor([0, 0, 1, 1])
        >>> fit_correction(z, y, [90, 10], get_method("etf-ce"))["strength"]
        1.0
    """
    return fit_and_cross(logits, labels, class_counts, method, balance=balance)[0]


def fit_and_cross(
    logits: Tensor, labels: Tensor, class_counts: Any, method: Method, *, balance: float = 0.0
) -> tuple[dict[str, Any] | None, Tensor]:
    """What :func:`fit_correction` returns, and (N, K) logits to score the method by on these very samples.

    Where the prior is corrected these are those of :func:`equiangular.posthoc.footing.crossed_logits`.
    """
    few = len(torch.unique(check_labels(labels, logits.shape[1], batch=logits.shape[0]))) < 2
    if few and not method.corrected:
        return None, logits
    base = logit_prior(method, class_counts, balance=balance)
    own = 1.0 if few else calibrate_scale(logits, labels, class_counts, logit_prior=base)
    if not method.corrected:
        return {"scale": own, "strength": 1.0}, logits
    if not (reason := too_little(labels, len(base))):
        fitted = calibrate_prior_correction(logits, labels, base)._asdict()
        after = prior_corrected_logits(logits, base, **fitted)
        reason = does_harm(logits.argmax(1) == labels, after.argmax(1) == labels, labels, len(base))
    if reason:
        return {"scale": own, "strength": 1.0, "own_scale": own, "declined": reason}, logits
    return {**fitted, "own_scale": own}, crossed_logits(logits, labels, base)


def corrected_logits(
    logits: Tensor, info: ModelInfo, prior: Any | None = None, *, method: Method | None = None
) -> Tensor:
    """Logits whose softmax are the class probabilities of a stored model.

    z' = scale z - strength (log pi - log rho), with pi the prior that the method's logits stand for and rho the target
    prior; scale and strength are those of ``info.correction``, 1 where the model was not calibrated. Where rho is pi,
    the scale is the one fitted for that, ``own_scale``. Returns (N, K) in the dtype of ``logits``.

    Args:
        logits: (N, K) of the model.
        info: the model's description.
        prior: rho: ``"uniform"``, ``"train"`` (the class frequencies of the training data) or (K,) positive weights; by
            default uniform for a method with prior correction, and pi for all others: no correction.
        method: the method, where it is none of :data:`equiangular.training.METHODS`.

    Raises:
        ValueError: an unknown name, or weights of the wrong number or not all above 0.

    Example:
        >>> info = ModelInfo("etf-ce-pc", "mlp", (4,), ("a", "b"), (99, 1), (0.0,) * 4, (1.0,) * 4, kind="table")
        >>> z = torch.tensor([[3.0, 0.0]])
        >>> corrected_logits(z, info).argmax(1), corrected_logits(z, info, "train").argmax(1)
        (tensor([1]), tensor([0]))

    Sources: Menon et al., ICLR 2021, section 4.1; Saerens et al., Neural Computation 2002, eq. 2.4.
    """
    scale, shift = correction_terms(info, prior, method=method)
    return corrected(logits, shift, scale, 1.0)


def own_prior(info: ModelInfo) -> str:
    """The class prior that a stored model's predictions are for unless another is asked for, in a word.

    Example:
        >>> zeros, ones = (0.0,) * 4, (1.0,) * 4
        >>> info = ModelInfo("etf-ce", "mlp", (4,), ("a", "b"), (99, 1), zeros, ones, kind="table")
        >>> own_prior(info)
        'train'
    """
    method = get_method(info.method)
    base = logit_prior(method, list(info.class_counts), balance=info.balance)
    if _corrects(info, method) or base.unique().numel() == 1:
        return "uniform"
    return "sampler" if info.balance else "train"


def correction_terms(
    info: ModelInfo, prior: Any | None = None, *, method: Method | None = None
) -> tuple[float, Tensor]:
    """The scale and the shift (K,) float64, strength included, of :func:`corrected_logits`: z' = scale z - shift."""
    method = method or get_method(info.method)
    base = logit_prior(method, list(info.class_counts), balance=info.balance)
    if prior is None:
        target = None if _corrects(info, method) else base
    elif isinstance(prior, str):
        check_choice(prior, PRIORS, "prior")
        target = None if prior == "uniform" else list(info.class_counts)
    else:
        target = prior
    fitted = info.correction or {"scale": 1.0, "strength": 1.0}
    shift = log_prior(base, info.num_classes, "class_counts") - log_prior(target, info.num_classes, "prior")
    kept = bool((shift.abs() < 1e-12).all())
    scale = fitted.get("own_scale", fitted["scale"]) if kept else fitted["scale"]
    return float(scale), float(fitted["strength"]) * shift


def _corrects(info: ModelInfo, method: Method) -> bool:
    """Whether a model's predictions have the prior taken out unless another is asked for."""
    return method.corrected and "declined" not in (info.correction or {})
