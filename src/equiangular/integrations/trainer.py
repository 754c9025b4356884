"""Loss and measures for the Hugging Face Trainer: ``compute_loss_func`` and ``compute_metrics``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_class_counts, check_labels
from equiangular.heads import Head, find_head
from equiangular.heads.functional import IGNORE_INDEX
from equiangular.heads.locate import output_tensor
from equiangular.longtail import class_groups
from equiangular.losses import dot_regression_loss, logit_adjusted_cross_entropy, soft_target_cross_entropy
from equiangular.losses._targets import Reduction
from equiangular.losses.cross_entropy import check_smoothing
from equiangular.measures import accuracy, balanced_accuracy, expected_calibration_error, group_accuracy
from equiangular.measures import per_class_accuracy as _per_class
from equiangular.measures.accuracy import decided_classes

LOSSES = ("ce", "la", "dr")


class TrainerLoss:
    """``Trainer(compute_loss_func=TrainerLoss(model, "dr"))``: the library's losses on the model's logits.

    Under gradient accumulation and several processes the sum of a step's losses is divided by the number of samples
    that Trainer counted over the whole accumulated batch, as Trainer wants it.

    Args:
        model: the model, with a head inside (:func:`equiangular.attach`).
        loss: ``"ce"``: cross-entropy; ``"la"``: logit-adjusted cross-entropy; ``"dr"``: dot-regression
            (w_y . h - 1)^2 / 2, whose inner product is the logit of the class divided by the head's scale.
        class_counts: (K,) training samples per class, which ``"la"`` needs.
        label_smoothing: eps in [0, 1] of ``"ce"`` and ``"la"``: the target becomes (1 - eps) t + eps / K.

    Raises:
        ValueError: an unknown loss, counts that are missing or do not fit, dot-regression on a head whose logits are no
            cosines; in training, ``label_smoothing_factor`` of TrainingArguments, which Trainer gives to its own loss
            only.

    Example:
        >>> from equiangular import attach
        >>> model = attach(nn.Sequential(nn.Linear(4, 3)))
        >>> loss = TrainerLoss(model, "la", class_counts=[50, 10, 2])
        >>> loss({"logits": model(torch.randn(6, 4))}, torch.tensor([0, 0, 0, 0, 1, 2])).shape
        torch.Size([])
    """

    def __init__(
        self, model: nn.Module, loss: str = "ce", *, class_counts: Any | None = None, label_smoothing: float = 0.0
    ) -> None:
        self.loss = check_choice(loss, LOSSES, "loss")
        self.model = model
        head = self.head
        self.label_smoothing = check_smoothing(label_smoothing)
        self._caller_is_known = False
        if loss == "dr" and label_smoothing:
            raise ValueError("label_smoothing is used with loss='ce' and 'la': dot-regression has no other classes.")
        if (loss == "la") != (class_counts is not None):
            raise ValueError(
                "loss='la' needs class_counts=, the number of training samples of each class."
                if class_counts is None
                else f"class_counts is used with loss='la' only, got loss={loss!r}."
            )
        self.class_counts = None if class_counts is None else check_class_counts(class_counts, head.num_classes)
        if loss == "dr" and (not head.normalize or head.bias is not None):
            raise ValueError("loss='dr' regresses cosines onto 1: the head must have normalize=True and no bias.")

    @property
    def head(self) -> Head:
        """The head of the model as it is now: PEFT may have put a copy into its place."""
        return find_head(self.model)

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Any | None = None) -> Tensor:
        """The loss of what the model returned and labels (B,) int64 or (B, K) probabilities; Trainer calls this."""
        if not self._caller_is_known:
            _check_trainer(sys._getframe(1).f_locals.get("self"))
            self._caller_is_known = True
        logits = output_tensor(outputs)
        if logits is None or labels is None:
            raise ValueError(
                f"the loss needs the model's logits and labels, got {type(outputs).__name__} and "
                f"{type(labels).__name__}. The data set must have a column 'labels'."
            )
        if num_items_in_batch is None:
            return self._losses(logits, labels, "mean")
        losses = self._losses(logits, labels, "none")
        entries_of_a_sample = labels.shape[1] if labels.ndim == 2 else 1  # Trainer counts entries of ``labels``
        return losses.sum() * entries_of_a_sample / num_items_in_batch

    def _losses(self, logits: Tensor, labels: Tensor, reduction: Reduction) -> Tensor:
        options: dict[str, Any] = {"label_smoothing": self.label_smoothing, "reduction": reduction}
        if self.loss == "la":
            return logit_adjusted_cross_entropy(logits, labels, self.class_counts, **options)
        if self.loss == "ce":
            return soft_target_cross_entropy(logits, labels, **options)
        dots = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.head.scale
        if labels.ndim == 1:  # the inner product with the class vector is all that is needed
            labels = check_labels(labels, logits.shape[1], batch=logits.shape[0], ignore_index=IGNORE_INDEX)
            ignored = labels == IGNORE_INDEX
            dots = dots.gather(1, labels.masked_fill(ignored, 0)[:, None])
            labels = labels.masked_fill(~ignored, 0)
        return dot_regression_loss(dots, labels, torch.eye(dots.shape[1]).to(dots), reduction=reduction)


def _check_trainer(trainer: Any) -> None:
    factor = getattr(getattr(trainer, "args", None), "label_smoothing_factor", 0)
    if factor:
        raise ValueError(
            f"label_smoothing_factor={factor} has no effect beside compute_loss_func: Trainer leaves the loss to it. "
            f"Set label_smoothing_factor=0 and pass label_smoothing={factor} to TrainerLoss."
        )


def trainer_metrics(
    class_counts: Any | None = None, *, thresholds: tuple[int, int] = (20, 100)
) -> Callable[[Any], dict[str, float]]:
    """A ``compute_metrics`` for Trainer: accuracy, balanced accuracy, calibration error, and many/medium/few.

    Args:
        class_counts: (K,) *training* samples per class; with them the mean per-class accuracy of the many-, medium- and
            few-shot classes is given, as far as a group has classes.
        thresholds: see :func:`equiangular.longtail.class_groups`.

    Returns:
        A function of Trainer's ``EvalPrediction`` giving ``accuracy``, ``balanced_accuracy``, ``ece`` and, with counts,
        ``accuracy_many``, ``accuracy_medium`` and ``accuracy_few``: shares in [0, 1].

    Raises:
        ValueError: counts or thresholds out of range; later, predictions that are no logits (N, K).

    Example:
        >>> from types import SimpleNamespace
        >>> measure = trainer_metrics([500, 10])
        >>> logits = torch.tensor([[5.0, 0.0], [0.0, 5.0], [5.0, 0.0]]).numpy()
        >>> result = measure(SimpleNamespace(predictions=logits, label_ids=torch.tensor([0, 1, 1]).numpy()))
        >>> {name: round(value, 2) for name, value in result.items() if name != "ece"}
        {'accuracy': 0.67, 'balanced_accuracy': 0.75, 'accuracy_many': 1.0, 'accuracy_few': 0.5}
    """
    groups = {} if class_counts is None else class_groups(class_counts, thresholds)

    def measure(prediction: Any) -> dict[str, float]:
        logits = prediction.predictions
        logits = torch.as_tensor(logits[0] if isinstance(logits, tuple) else logits)
        if logits.ndim != 2:
            raise ValueError(f"predictions must be logits (N, K), got shape {tuple(logits.shape)}.")
        labels, predicted = torch.as_tensor(prediction.label_ids), decided_classes(logits, name="predictions")
        rates = _per_class(predicted, labels, logits.shape[1])
        measured = {
            "accuracy": accuracy(predicted, labels),
            "balanced_accuracy": balanced_accuracy(rates),
            "ece": expected_calibration_error(logits.float().softmax(1), labels),
        }
        measured |= {f"accuracy_{name}": value for name, value in group_accuracy(rates, groups).items()}
        return {name: float(value) for name, value in measured.items() if not value.isnan()}

    return measure
