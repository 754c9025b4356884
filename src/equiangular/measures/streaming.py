"""Streaming metrics over torchmetrics: sum states, so exact under any number of batches and processes.

Imported on first use of one of the classes; :mod:`equiangular.measures` itself does not import torchmetrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_class_counts, check_int, check_labels
from equiangular.longtail import class_groups
from equiangular.measures._metric import SumMetric
from equiangular.measures.accuracy import (
    balanced_accuracy,
    class_rates,
    confidence_and_correct,
    confusion_matrix,
    decided_classes,
    ece_from_bins,
    group_accuracy,
    grouped_bins,
)
from equiangular.measures.collapse.moments import counts_of

LARGEST_MATRIX = 1024  # classes up to which a confusion matrix is kept as such: 8 MB


class ShotAccuracy(SumMetric):
    """Accuracy, balanced accuracy and many/medium/few accuracy, over batches and processes.

    States: correct and total per class, O(K); on request the confusion matrix, O(K^2), or 8 bytes a
    sample where there are more than 1,024 classes.

    Args:
        class_counts: (K,) *training* samples per class, which form the groups.
        thresholds: few-shot classes have fewer than the first, many-shot ones more than the second.
        confusion: also accumulate the (K, K) confusion matrix.

    Raises:
        ValueError: counts not above zero, or thresholds out of order.

    Example:
        >>> metric = ShotAccuracy([500, 50, 5])
        >>> metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
        >>> {name: round(value.item(), 2) for name, value in metric.compute().items()}
        {'accuracy': 0.67, 'balanced_accuracy': 0.67, 'many': 1.0, 'medium': 1.0, 'few': 0.0}
    """

    higher_is_better = True
    needed_alike = "number of classes and confusion"
    correct: Tensor
    total: Tensor
    matrix: Tensor
    pairs: list[Tensor] | Tensor

    def __init__(
        self, class_counts: Any, thresholds: tuple[int, int] = (20, 100), *, confusion: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        counts = check_class_counts(class_counts)
        self.num_classes = len(counts)
        self.groups = {name: torch.from_numpy(index) for name, index in class_groups(counts, thresholds).items()}
        self.confusion = confusion
        self._in_pairs = confusion and self.num_classes > LARGEST_MATRIX
        shape = (self.num_classes,)
        states: dict[str, tuple[int, ...]] = {"correct": shape, "total": shape}
        if confusion and not self._in_pairs:
            states["matrix"] = (self.num_classes, self.num_classes)
        for name, size in states.items():
            self.add_state(name, torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")
        if self._in_pairs:
            self.add_state("pairs", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add (B, K) logits or probabilities, or (B,) integer predicted classes, and the (B,) integer classes."""
        if preds.ndim == 2 and preds.shape[1] != self.num_classes:
            raise ValueError(f"preds must have {self.num_classes} columns, got shape {tuple(preds.shape)}.")
        predicted = decided_classes(preds, name="preds") if preds.ndim == 2 else preds
        target = check_labels(target, self.num_classes, name="target")
        predicted = check_labels(predicted, self.num_classes, name="preds", batch=target.shape[0])
        self.total += counts_of(target, self.num_classes)
        self.correct += counts_of(target, self.num_classes, predicted == target)
        if self._in_pairs:
            self._pair_list().append(target * self.num_classes + predicted)
        elif self.confusion:
            self.matrix += confusion_matrix(predicted, target, self.num_classes)

    def compute(self) -> dict[str, Tensor]:
        """Scalar float64 tensors ``accuracy``, ``balanced_accuracy``, ``many``, ``medium``, ``few``; NaN where empty.

        With ``confusion=True`` also ``confusion``, the (K, K) int64 matrix with true classes in rows.
        """
        rates = self.per_class()
        result = {
            "accuracy": class_rates(self.correct.sum(), self.total.sum()),
            "balanced_accuracy": balanced_accuracy(rates),
            **group_accuracy(rates, self.groups),
        }
        if self.confusion:
            entries, counts = self.confused()
            flat = counts.new_zeros(self.num_classes**2).index_copy_(0, entries, counts)
            result["confusion"] = flat.view(self.num_classes, self.num_classes)
        return result

    def confused(self) -> tuple[Tensor, Tensor]:
        """What of the confusion matrix is not 0: places i K + j (M,) int64, ascending, and counts (M,) int64."""
        if self._in_pairs:
            entries, counts = torch.cat([self.total[:0], *self._pair_list()]).unique(return_counts=True)
            return entries, counts
        flat = self.matrix.flatten()
        entries = flat.nonzero().flatten()
        return entries, flat[entries]

    def _pair_list(self) -> list[Tensor]:
        """The pairs, i K + j, of the batches so far; torchmetrics makes one tensor of them where it can."""
        if isinstance(self.pairs, Tensor):
            self.pairs = [self.pairs]
        return self.pairs

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        if self._in_pairs and not len(self.pairs):
            self.pairs = [self.total[:0]]  # a process without samples: torchmetrics would send it as floats
        super()._sync_dist(*args, **kwargs)

    def per_class(self) -> Tensor:
        """(K,) float64 accuracies of what this process has seen, NaN for a class without samples."""
        return class_rates(self.correct, self.total)


class CalibrationError(SumMetric):
    """Expected calibration error, overall and, on request, for groups of classes. O(bins) states, whatever N.

    The error of a group is that of the samples whose *true* class belongs to it: whether few-shot classes are predicted
    with the confidence they deserve. See :func:`equiangular.measures.expected_calibration_error` for the formula.

    Args:
        n_bins: number of bins of equal width.
        groups: name to class indices, as :func:`equiangular.longtail.class_groups` gives them; a class belongs to one
            group at most.
        num_classes: K, needed with ``groups``.

    Raises:
        ValueError: groups that overlap or go beyond K, or groups without ``num_classes``.

    Example:
        >>> metric = CalibrationError(groups={"many": [0], "few": [1]}, num_classes=2)
        >>> metric.update(torch.tensor([[0.8, 0.2], [0.7, 0.3]]), torch.tensor([0, 1]))
        >>> {name: round(value.item(), 2) for name, value in metric.compute().items()}
        {'ece': 0.45, 'ece_many': 0.2, 'ece_few': 0.7}
    """

    higher_is_better = False
    needed_alike = "n_bins, groups and num_classes"
    total: Tensor
    confidence: Tensor
    correct: Tensor
    group_of_class: Tensor

    def __init__(
        self,
        n_bins: int = 15,
        *,
        groups: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_bins = check_int(n_bins, "n_bins", minimum=1)
        self.group_names = tuple(groups or ())
        self.num_classes = num_classes
        if groups and num_classes is None:
            raise ValueError("groups need num_classes: without it a class has no place in a group.")
        # One more group than was named: the classes that belong to none.
        of_class = torch.full((num_classes or 1,), len(self.group_names), dtype=torch.int64)
        for i, (name, classes) in enumerate((groups or {}).items()):
            members = torch.as_tensor(classes, dtype=torch.int64)
            check_labels(members, len(of_class), name=f"the classes of group {name!r}")
            if (of_class[members] != len(self.group_names)).any():
                raise ValueError(f"group {name!r} shares a class with another group; a class belongs to one at most.")
            of_class[members] = i
        self.register_buffer("group_of_class", of_class, persistent=False)
        shape = (len(self.group_names) + 1, self.n_bins)
        self.add_state("total", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("confidence", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("correct", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        if groups:
            self.configure(of_class)

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Add (B, K) class probabilities and (B,) integer classes.

        Without groups also (B,) confidences, and (B,) bool: whether the prediction is right.
        """
        confidence, hit = confidence_and_correct(probabilities, target)
        if self.group_names and self.num_classes is not None:
            target = check_labels(target, self.num_classes, name="target")
            group = self.group_of_class[target]
        else:
            group = torch.zeros_like(hit, dtype=torch.int64)
        sums = grouped_bins(confidence, hit, group, (len(self.total), self.n_bins))
        for state, value in zip((self.total, self.confidence, self.correct), sums, strict=True):
            state += value

    def compute(self) -> dict[str, Tensor]:
        """``ece`` over all samples and ``ece_NAME`` for each group, scalar float64 tensors; NaN without samples."""
        sums = (self.total, self.confidence, self.correct)
        result = {"ece": ece_from_bins(*(state.sum(0) for state in sums))}
        by_group = ece_from_bins(*sums)
        return {**result, **{f"ece_{name}": by_group[i] for i, name in enumerate(self.group_names)}}
