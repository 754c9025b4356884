"""Methods of two stages: train as usual, then work on the head with the backbone's features held fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from equiangular._validate import check_features, check_labels
from equiangular.heads import Head
from equiangular.training.methods.base import Method


@dataclass(frozen=True)
class StoredFeatures:
    """What the trained backbone makes of the training pool: evaluation mode, no augmentation, all on one device.

    Attributes:
        features: (N, d) floating point: the backbone's output for the training samples, which the head takes.
        labels: (N,) int64 in [0, K).
        held_out: (M, d) the same for samples of the training pool that were not trained on; None if there are none.
        held_out_labels: (M,) int64 in [0, K).

    Raises:
        ValueError: wrong shapes or dtypes, NaN values, or numbers of features and labels that differ.
    """

    features: Tensor
    labels: Tensor
    held_out: Tensor | None = None
    held_out_labels: Tensor | None = None

    def __post_init__(self) -> None:
        check_features(self.features)
        _check_pair(self.features, self.labels, "labels")
        if (self.held_out is None) != (self.held_out_labels is None):
            raise ValueError("held_out and held_out_labels come together: give both or neither.")
        if self.held_out is not None:
            check_features(self.held_out, dim=self.features.shape[1], name="held_out")
            _check_pair(self.held_out, self.held_out_labels, "held_out_labels")


def _check_pair(features: Tensor, labels: Tensor, name: str) -> None:
    check_labels(labels, 2**31, name=name, batch=features.shape[0])


# (trained head, stored features, seed) -> the head of the method; the trained head itself is left alone.
SecondStage = Callable[[Head, StoredFeatures, int], Head]


@dataclass(frozen=True)
class TwoStageMethod(Method):
    """A method whose head is worked on after training, the backbone's features held fixed.

    A method with ``trained_as`` shares that method's training, and only its second stage is its own. The stage is a
    pure function of its arguments, so every process of a distributed run that holds the same features arrives at the
    same head.

    Attributes:
        second_stage: ``second_stage(head, stored, seed) -> head``.
        budget_changes: fields of :class:`equiangular.training.Budget` that belong to the method and not to the
            comparison, such as a weight decay: ``budget.with_changes(**method.budget_changes)`` trains stage one.
    """

    second_stage: SecondStage | None = None
    budget_changes: Mapping[str, Any] = field(default_factory=dict)
