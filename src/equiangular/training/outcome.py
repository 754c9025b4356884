"""What follows the training of a network: the method's second stage, and the correction fitted on held-out data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from equiangular.heads import Head
from equiangular.training.batches import even_parts
from equiangular.training.correction import corrected_logits, fit_correction
from equiangular.training.methods import Method
from equiangular.training.methods.second_stage import StoredFeatures, TwoStageMethod
from equiangular.training.model_info import ModelInfo
from equiangular.training.prediction import backbone_features
from equiangular.training.scoring import Scorer
from equiangular.training.split import Split
from equiangular.training.task import Task


def stored_features(task: Task, split: Split, *, workers: int = 0, fabric: Any = None) -> StoredFeatures:
    """The backbone's output for the training and the held-out part: evaluation mode, no augmentation, on the CPU."""
    shared = {"prepare": split.standardise, "workers": workers, "fabric": fabric}
    train, held = (backbone_features(task, x, **shared) for x in (split.train_x, split.holdout_x))
    if not len(held):
        return StoredFeatures(train, split.train_y)
    return StoredFeatures(train, split.train_y, held, split.holdout_y)


def final_head(method: Method, head: Head, stored: StoredFeatures, seed: int) -> Head:
    """The head that a method ends with, in evaluation mode: the trained one, or what its second stage makes of it."""
    if isinstance(method, TwoStageMethod) and method.second_stage is not None:
        head = method.second_stage(head, stored, seed)
    return head.eval()


@torch.no_grad()
def head_logits(head: Head, features: Tensor, *, batch_size: int = 4096) -> Tensor:
    """Logits (N, K) of stored features (N, in_features)."""
    return torch.cat([head(part) for part in features.split(batch_size)])


@dataclass(frozen=True)
class Outcome:
    """A finished classifier and what the test part says about it.

    Attributes:
        task: backbone and final head, on the CPU.
        info: its description, with scale and strength fitted on the held-out part where that was large enough.
        scores: of the test part, see :meth:`equiangular.training.Scorer.compute`; ``ece_uncalibrated`` is the
            calibration error of the head's own logits.
        details: see :meth:`equiangular.training.Scorer.details`.
    """

    task: Task
    info: ModelInfo
    scores: dict[str, Any]
    details: dict[str, Any]


def conclude(
    task: Task, method: Method, split: Split, info: ModelInfo, *, workers: int = 0, fabric: Any = None
) -> Outcome:
    """Second stage, calibration on the held-out part, and the one look at the test part.

    Args:
        task: the trained task; its backbone is used as it is.
        method: the method.
        split: the parts of the run.
        info: the description of the task, without correction.
        workers: processes that decode images which are not in memory.
        fabric: of a distributed run, whose processes share the work.
    """
    task = task.to("cpu" if fabric is None else fabric.device)
    stored = stored_features(task, split, workers=workers, fabric=fabric)
    test = backbone_features(task, split.test_x, prepare=split.standardise, workers=workers, fabric=fabric)
    task = task.cpu()
    head = final_head(method, task.head, stored, info.seed)
    if stored.held_out is not None:
        held = head_logits(head, stored.held_out)
        counts = list(info.class_counts)
        fitted = fit_correction(held, stored.held_out_labels, counts, method, balance=info.balance)
        info = replace(info, correction=fitted)
    logits = head_logits(head, test)
    scorer = score_together(corrected_logits(logits, info), split.test_y, info, fabric=fabric)
    own = score_together(logits, split.test_y, info, fabric=fabric)
    scores = {**scorer.compute(), "ece_uncalibrated": own.compute()["ece"]}
    return Outcome(Task(task.backbone, head, method), info, scores, scorer.details())


def score_together(logits: Tensor, labels: Tensor, info: ModelInfo, *, fabric: Any = None) -> Scorer:
    """A scorer of samples that every process of a distributed run has, each counting a part of them."""
    scorer = Scorer(list(info.class_counts), info.thresholds, info.class_names)
    if fabric is None:
        scorer.update(logits, labels)
    else:
        rows = slice(*even_parts(0, len(labels), fabric.world_size)[fabric.global_rank])
        scorer.to(fabric.device).update(logits[rows].to(fabric.device), labels[rows].to(fabric.device))
    return scorer
