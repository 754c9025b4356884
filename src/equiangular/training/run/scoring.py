"""Everything a test set says about a classifier, in one pass: accuracies, groups, calibration, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_class_counts, check_features
from equiangular.longtail import class_groups
from equiangular.measures.accuracy import balanced_accuracy, class_rates, ece_from_bins, group_accuracy
from equiangular.measures.streaming import CalibrationError, ShotAccuracy
from equiangular.records import pack_confusion


def score(
    logits: Tensor,
    labels: Tensor,
    class_counts: Any,
    thresholds: tuple[int, int] = (20, 100),
    class_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The scores of a test set that is in memory; see :class:`Scorer`.

    Args:
        logits: (N, K) floating point.
        labels: (N,) integers in [0, K).
        class_counts, thresholds, class_names: as for :class:`Scorer`.

    Raises:
        ValueError: shapes that do not fit, NaN values, labels out of range.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> scores = score(logits, torch.tensor([0, 1, 1]), [500, 5])
        >>> scores["balanced_accuracy"], scores["few"], scores["empty_groups"]
        (75.0, 50.0, ['medium'])
    """
    scorer = Scorer(class_counts, thresholds, class_names)
    scorer.update(logits, labels)
    return scorer.compute()


class Scorer:
    """Scores of a test set that streams by, exact under any number of batches and processes.

    Memory is O(K + bins), and for the confusion matrix K x K, with more than 1,024 classes 8 bytes a sample. In a
    distributed run every process updates with its own samples, and :meth:`compute` and :meth:`details`, called by all
    of them, give all of them the result for all samples. Take care that no sampler pads the test set with repeated
    samples.

    Args:
        class_counts: (K,) *training* samples per class, which form the groups.
        thresholds: few-shot classes have fewer than the first, many-shot ones more than the second.
        class_names: K names; by default the indices.
        n_bins: bins of the calibration error.
        confusion: whether to keep the K x K confusion matrix, from which precision comes as well.

    Raises:
        ValueError: counts not above 0, thresholds out of order, or names of another number.

    Example:
        >>> scorer = Scorer([500, 5], class_names=("cat", "axolotl"))
        >>> for logits, label in (([2.0, 0.0], 0), ([1.0, 0.0], 1), ([0.0, 3.0], 1)):
        ...     scorer.update(torch.tensor([logits]), torch.tensor([label]))
        >>> scorer.compute()["per_class"], scorer.details()["classes"][1]["name"]
        ([100.0, 50.0], 'axolotl')
    """

    def __init__(
        self,
        class_counts: Any,
        thresholds: tuple[int, int] = (20, 100),
        class_names: Sequence[str] | None = None,
        *,
        n_bins: int = 15,
        confusion: bool = True,
    ) -> None:
        counts = check_class_counts(class_counts)
        num_classes = len(counts)
        self.class_counts = counts.long().tolist()
        self.class_names = [str(name) for name in (range(num_classes) if class_names is None else class_names)]
        if len(self.class_names) != num_classes:
            raise ValueError(f"got {len(self.class_names)} class names for {num_classes} classes; they must agree.")
        self.thresholds = tuple(thresholds)
        self.groups = {name: members.tolist() for name, members in class_groups(counts, thresholds).items()}
        self.shots = ShotAccuracy(counts, thresholds, confusion=confusion)
        self.calibration = CalibrationError(n_bins, groups=self.groups, num_classes=num_classes)

    def to(self, device: torch.device | str) -> Scorer:
        """Keep the sums on ``device``, which has to be the process group's: CUDA for NCCL. Returns self."""
        self.shots.to(device)
        self.calibration.to(device)
        return self

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: logits (B, K) floating point and labels (B,) integers.

        Raises:
            ValueError: shapes that do not fit, NaN values, labels out of range.
        """
        check_features(logits, dim=len(self.class_counts), name="logits")
        self.shots.update(logits, labels)
        self.calibration.update(logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1), labels)

    def reset(self) -> None:
        """Forget all samples."""
        self.shots.reset()
        self.calibration.reset()

    def compute(self) -> dict[str, Any]:
        """All figures in percent, JSON-plain; what has no sample is NaN.

        ``accuracy``; ``balanced_accuracy``, the mean over the classes that have test samples; ``many``, ``medium`` and
        ``few``, means over the classes of each group; ``ece`` and ``ece_many`` ... by true class; ``per_class``, K
        accuracies; ``samples``, their number; ``empty_groups``, the groups without a class.
        """
        correct, total, _, bins = self._sums()
        rates = class_rates(correct, total)
        return {
            "accuracy": _percent(class_rates(correct.sum(), total.sum())),
            "balanced_accuracy": _percent(balanced_accuracy(rates)),
            **{name: _percent(value) for name, value in group_accuracy(rates, self.groups).items()},
            "ece": _percent(ece_from_bins(*bins["all"])),
            **{f"ece_{name}": _percent(ece_from_bins(*bins[name])) for name in self.groups},
            "per_class": [_percent(rate) for rate in rates],
            "samples": int(total.sum()),
            "empty_groups": [name for name, members in self.groups.items() if not members],
        }

    def details(self) -> dict[str, Any]:
        """What tables and pictures are made of, JSON-plain; rates are in percent, NaN without samples.

        ``classes``: for each class its ``name``, ``group``, ``train`` and ``test`` samples, ``accuracy`` and, with the
        confusion matrix, ``precision`` and ``mistaken_for``, the name of the class it is most often taken for (None: it
        never is another's). ``reliability``: for all samples and for each group the bins' ``samples``, mean
        ``confidence`` and ``accuracy``. ``confusion``: (K, K) counts with true classes in rows, or None; of more than
        1,000 classes what is not 0, see :func:`equiangular.records.pack_confusion`.
        """
        correct, total, confused, bins = self._sums()
        group_of = {member: name for name, members in self.groups.items() for member in members}
        rates = class_rates(correct, total)
        classes: list[dict[str, Any]] = [
            {"name": name, "group": group_of[i], "train": self.class_counts[i], "test": int(total[i])}
            | {"accuracy": _percent(rates[i])}
            for i, name in enumerate(self.class_names)
        ]
        if confused is not None:
            places, counts = confused
            true, predicted = places // len(classes), places % len(classes)
            precision = class_rates(correct, torch.zeros_like(total).index_add_(0, predicted, counts))
            entries = list(zip(true.tolist(), predicted.tolist(), counts.tolist(), strict=True))
            worst: dict[int, tuple[int, int]] = {}
            for i, j, count in entries:
                if i != j and count > worst.get(i, (0, 0))[0]:
                    worst[i] = (count, j)
            for i, row in enumerate(classes):
                row["precision"] = _percent(precision[i])
                row["mistaken_for"] = self.class_names[worst[i][1]] if i in worst else None
        return {
            "classes": classes,
            "reliability": {name: _reliability(*part) for name, part in bins.items()},
            "confusion": None if confused is None else pack_confusion(entries, len(classes)),
        }

    def _sums(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None, dict[str, list[Tensor]]]:
        """Over all processes: correct and total per class, confusions, calibration bins of all and of each group."""
        shots, kept = self.shots, self.calibration
        with shots.sync_context():
            correct, total = shots.correct.cpu(), shots.total.cpu()
            places, counts = shots.confused() if shots.confusion else (total[:0], total[:0])
        with kept.sync_context():
            states = [state.cpu() for state in (kept.total, kept.confidence, kept.correct)]
        bins = {"all": [state.sum(0) for state in states]}
        bins |= {name: [state[i] for state in states] for i, name in enumerate(kept.group_names)}
        return correct, total, (places.cpu(), counts.cpu()) if shots.confusion else None, bins


def _reliability(total: Tensor, confidence: Tensor, correct: Tensor) -> dict[str, Any]:
    return {
        "samples": total.tolist(),
        "confidence": [_percent(c / n) for c, n in zip(confidence, total, strict=True)],
        "accuracy": [_percent(c / n) for c, n in zip(correct, total, strict=True)],
        "ece": _percent(ece_from_bins(total, confidence, correct)),
    }


def _percent(value: Tensor) -> float:
    return 100 * float(value)
