"""What follows the training of a network: second stage, correction fitted on held-out data, scores of the test part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from equiangular.data.split import Split
from equiangular.heads import Head
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.posthoc.prior import balanced_shares, row_parts
from equiangular.training.config.draws import even_parts
from equiangular.training.engine.prediction import backbone_features
from equiangular.training.methods import FittedMethod, Method, StoredFeatures, TwoStageMethod
from equiangular.training.model.correction import corrected_logits, fit_and_cross
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task
from equiangular.training.run.scoring import Scorer


class Outputs(NamedTuple):
    """What a trained backbone makes of every part: evaluation mode, no augmentation, on the CPU."""

    stored: StoredFeatures
    test: Tensor
    fabric: Any = None

    @classmethod
    def of(cls, task: Task, split: Split, *, workers: int = 0, fabric: Any = None) -> Outputs:
        """The backbone's outputs; in a distributed run the processes share the work and all have the whole."""
        task.to("cpu" if fabric is None else fabric.device)
        shared = {"prepare": split.standardise, "workers": workers, "fabric": fabric}
        parts = (split.train_x, split.holdout_x, split.test_x)
        train, held, test = (backbone_features(task, part, **shared) for part in parts)
        task.cpu()
        held_out = (held, split.holdout_y) if len(held) else (None, None)
        return cls(StoredFeatures(train, split.train_y, *held_out), test, fabric)


@dataclass(frozen=True)
class Outcome:
    """A finished classifier and what the test part says about it.

    ``scores`` and ``details`` are those of :class:`equiangular.training.Scorer`; ``ece_uncalibrated`` is the
    calibration error of the head's own logits.
    """

    task: Task  # backbone and final head, on the CPU
    info: ModelInfo  # with scale and strength fitted on the held-out part where that was large enough
    scores: dict[str, Any]
    details: dict[str, Any]
    among: float  # see :func:`accuracy_among`, of the test part
    validation: float | None  # the same of the held-out part, if there is one
    correct: Tensor  # (M,) bool: which test samples were classified right
    predicted: Tensor  # (M,) int64: what each was taken for
    collapse: dict[str, float]  # NC1 to NC3 of the training features, in float64; none where no network was trained
    note: str = ""  # what was left out, and why


def conclude(
    task: Task, method: Method, split: Split, info: ModelInfo, outputs: Outputs, *, collapse: bool = True
) -> Outcome:
    """Second stage, calibration on the held-out part, and the one look at the test part.

    ``info`` describes the trained task without correction; ``outputs`` are what its backbone makes of the parts;
    ``collapse`` says whether to measure it.
    """
    stored, fabric = outputs.stored, outputs.fabric
    head = task.head
    if isinstance(method, TwoStageMethod) and method.second_stage is not None:
        head = method.second_stage(head, stored, info.seed)
    head.eval()
    validation, note = None, ""
    if stored.held_out is not None:
        info, validation = _calibrated(head, stored.held_out, split.holdout_y, method, info)
        note = str((info.correction or {}).get("declined", ""))
    scorer, own = (
        Scorer(list(info.class_counts), info.thresholds, info.class_names, confusion=c) for c in (True, False)
    )
    present, predicted = split.test_y.unique(), torch.empty_like(split.test_y)
    among = torch.empty_like(predicted, dtype=torch.bool)
    for rows in row_parts(len(outputs.test), info.num_classes):
        logits, labels = head_logits(head, outputs.test[rows]), split.test_y[rows]
        calibrated = corrected_logits(logits, info, method=method)
        add_together(scorer, calibrated, labels, fabric=fabric)
        add_together(own, logits, labels, fabric=fabric)
        torch.argmax(calibrated, 1, out=predicted[rows])
        torch.eq(_best_among(calibrated, present), labels, out=among[rows])
    numbers: dict[str, float] = {}
    if collapse and not isinstance(method, FittedMethod) and not method.named:  # else the features are the encoder's
        with torch.no_grad():
            met = head(stored.features, pre_logits=True)  # the features that the class vectors meet
            numbers = collapse_numbers(met, stored.labels, head.class_vectors())
    return Outcome(
        Task(task.backbone, head, method),
        info,
        {**scorer.compute(), "ece_uncalibrated": own.compute()["ece"]},
        scorer.details(),
        _shared_out(among, split.test_y),
        validation,
        predicted == split.test_y,
        predicted,
        numbers,
        note,
    )


def _calibrated(
    head: Head, features: Tensor, labels: Tensor, method: Method, info: ModelInfo
) -> tuple[ModelInfo, float]:
    """The description with scale and strength, and what the held-out part says; its logits are gone afterwards."""
    logits = head_logits(head, features)
    fitted, crossed = fit_and_cross(logits, labels, list(info.class_counts), method, balance=info.balance)
    return replace(info, correction=fitted), accuracy_among(crossed, labels)


def accuracy_among(logits: Tensor, labels: Tensor) -> float:
    """Balanced accuracy in percent over the classes that have samples, none of the others being a possible answer.

    Held-out parts of a long tail lack the rarest classes. There a prediction of such a class is never right, so
    allowing it would favour heads that have given these classes up.

    Args:
        logits: (N, K) floating point.
        labels: (N,) int64.

    Example:
        >>> accuracy_among(torch.tensor([[3.0, 1.0, 9.0], [1.0, 2.0, 0.0]]), torch.tensor([0, 1]))
        100.0
    """
    present, right = labels.unique(), torch.empty_like(labels, dtype=torch.bool)
    for rows in row_parts(len(labels), logits.shape[1]):
        torch.eq(_best_among(logits[rows], present), labels[rows], out=right[rows])
    return _shared_out(right, labels)


def _best_among(logits: Tensor, present: Tensor) -> Tensor:
    return present[logits[:, present].argmax(1)]


def _shared_out(right: Tensor, labels: Tensor) -> float:
    return 100 * float(balanced_shares(labels) @ right.double())


_LOGITS = 2**22  # that are made at once: a head keeps several such tensors, 17 MB each


@torch.no_grad()
def head_logits(head: Head, features: Tensor) -> Tensor:
    """Logits (N, K) of stored features (N, in_features)."""
    logits: Tensor | None = None
    batch_size = min(4096, max(1, _LOGITS // max(1, head.num_classes)))
    for start in range(0, max(1, len(features)), batch_size):
        part = head(features[start : start + batch_size])
        logits = part.new_empty(len(features), part.shape[1]) if logits is None else logits
        logits[start : start + batch_size] = part
    return cast("Tensor", logits)


def collapse_numbers(features: Tensor, labels: Tensor, weight: Tensor) -> dict[str, float]:
    """NC1 to NC3 in float64."""
    moments = ClassMoments.empty(weight.shape[0], features.shape[1]).update(features, labels)
    measured = collapse_measures(moments, weight=weight)
    return {key: float(measured[key]) for key in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3")}


def add_together(scorer: Scorer, logits: Tensor, labels: Tensor, *, fabric: Any = None) -> None:
    """Add samples that every process of a distributed run has, each counting a part of them."""
    if fabric is None:
        scorer.update(logits, labels)
    else:
        rows = slice(*even_parts(0, len(labels), fabric.world_size)[fabric.global_rank])
        scorer.to(fabric.device).update(logits[rows].to(fabric.device), labels[rows].to(fabric.device))


def weights_sha256(module: nn.Module) -> str:
    """Hash of names, shapes and values of a module's weights and buffers, in the order of their names."""
    hasher = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        hasher.update(f"{name}{tuple(value.shape)}".encode())
        hasher.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()
