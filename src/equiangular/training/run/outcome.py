"""What follows the training of a network: second stage, correction fitted on held-out data, scores of the test part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equiangular.data.split import Split
from equiangular.heads import Head
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.posthoc.prior import balanced_shares
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
    collapse: dict[str, float]  # NC1 to NC3 of the training features, in float64; none where no network was trained
    note: str = ""  # what was left out, and why


def conclude(task: Task, method: Method, split: Split, info: ModelInfo, outputs: Outputs) -> Outcome:
    """Second stage, calibration on the held-out part, and the one look at the test part.

    ``info`` describes the trained task without correction; ``outputs`` are what its backbone makes of the parts.
    """
    stored, fabric = outputs.stored, outputs.fabric
    head = task.head
    if isinstance(method, TwoStageMethod) and method.second_stage is not None:
        head = method.second_stage(head, stored, info.seed)
    head.eval()
    validation, note = None, ""
    if stored.held_out is not None:
        held = head_logits(head, stored.held_out)
        counts = list(info.class_counts)
        fitted, crossed = fit_and_cross(held, split.holdout_y, counts, method, balance=info.balance)
        info = replace(info, correction=fitted)
        note = str((fitted or {}).get("declined", ""))
        validation = accuracy_among(crossed, split.holdout_y)
    logits = head_logits(head, outputs.test)
    calibrated = corrected_logits(logits, info, method=method)
    scorer = score_together(calibrated, split.test_y, info, fabric=fabric)
    collapse: dict[str, float] = {}
    if not isinstance(method, FittedMethod) and not method.named:  # the features are the encoder's, as they are
        with torch.no_grad():
            met = head(stored.features, pre_logits=True)  # the features that the class vectors meet
            collapse = collapse_numbers(met, stored.labels, head.class_vectors())
    own = score_together(logits, split.test_y, info, fabric=fabric)
    return Outcome(
        Task(task.backbone, head, method),
        info,
        {**scorer.compute(), "ece_uncalibrated": own.compute()["ece"]},
        scorer.details(),
        accuracy_among(calibrated, split.test_y),
        validation,
        calibrated.argmax(1) == split.test_y,
        collapse,
        note,
    )


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
    present = labels.unique()
    right = present[logits[:, present].argmax(1)] == labels
    return 100 * float(balanced_shares(labels) @ right.double())


@torch.no_grad()
def head_logits(head: Head, features: Tensor, *, batch_size: int = 4096) -> Tensor:
    """Logits (N, K) of stored features (N, in_features)."""
    return torch.cat([head(part) for part in features.split(batch_size)])


def collapse_numbers(features: Tensor, labels: Tensor, weight: Tensor) -> dict[str, float]:
    """NC1 to NC3 in float64."""
    moments = ClassMoments.empty(weight.shape[0], features.shape[1]).update(features, labels)
    measured = collapse_measures(moments, weight=weight)
    return {key: float(measured[key]) for key in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3")}


def score_together(logits: Tensor, labels: Tensor, info: ModelInfo, *, fabric: Any = None) -> Scorer:
    """A scorer of samples that every process of a distributed run has, each counting a part of them."""
    scorer = Scorer(list(info.class_counts), info.thresholds, info.class_names)
    if fabric is None:
        scorer.update(logits, labels)
    else:
        rows = slice(*even_parts(0, len(labels), fabric.world_size)[fabric.global_rank])
        scorer.to(fabric.device).update(logits[rows].to(fabric.device), labels[rows].to(fabric.device))
    return scorer


def weights_sha256(module: nn.Module) -> str:
    """Hash of names, shapes and values of a module's weights and buffers, in the order of their names."""
    hasher = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        hasher.update(f"{name}{tuple(value.shape)}".encode())
        hasher.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()
