"""What a method is: a head, a criterion on its features, and what may follow its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equiangular._validate import check_features, check_labels
from equiangular.frames import class_mean_frame
from equiangular.heads import Head, make_head
from equiangular.heads.registry import TURNED_CLASSES, needs_projection
from equiangular.losses import batch_class_counts

RECOMMENDED = "recommended"  # the head that the studies recommend, see equiangular.heads.make_head


class TrainingDivergedError(ValueError):
    """The loss, or what the network makes of its data, became NaN or infinite: this training has no result."""


@dataclass(frozen=True)
class Context:
    """What a criterion may know beside the samples it is given.

    Attributes:
        class_counts: (K,) float tensor, training samples per class.
        epoch: current epoch, counted from 0.
        epochs: number of epochs in the budget.
        batch_target: the target of the whole batch of an optimiser step, over all processes and all parts of gradient
            accumulation; None where the criterion sees the whole batch itself.
    """

    class_counts: Tensor
    epoch: int = 0
    epochs: int = 1
    batch_target: Any = None

    def batch_counts(self, target: Any, num_classes: int) -> Tensor:
        """Samples of every class in the whole batch, (K,) float32, of which ``target`` may be a part."""
        return batch_class_counts(target if self.batch_target is None else self.batch_target, num_classes)


Criterion = Callable[[Tensor, Any, Head, Context], Tensor]


@dataclass(frozen=True)
class Method:
    """A way to train a classifier: one row of a comparison.

    Attributes:
        name: short name on the command line and in files, such as ``"etf-dr"``.
        label: name in tables and figures, such as ``"ETF + DR"``.
        head: kind of head, see :func:`equiangular.heads.make_head`.
        criterion: ``criterion(features, target, head, context) -> losses``, (B,), one for each sample; their mean over
            the whole batch is the loss. Features are what ``head(x, pre_logits=True)`` returns, target is (B,) int64,
            (B, K) soft or a mixup triple.
        source: where the method comes from.
        head_options: keyword arguments of the head.
        corrected: whether the prior correction is applied after training. Such a method is trained exactly as the
            one named by ``trained_as`` and shares its weights.
        trained_as: the name of the method whose training it shares; its own name by default.
        balances: whether its logits stand for equal class priors, by its loss, its sampling or its second stage; else
            they stand for the class frequencies of the training data.
        similarity: how far the class vectors follow the mean inputs of the classes,
            see :func:`equiangular.class_mean_frame`; None where they know nothing of the data. Vectors that are learned
            start there.
        similar_for: the kinds of data for which they do.
        scaled: whether its loss looks at the logit scale.
        named: whether it takes the vectors of the class names.
    """

    name: str
    label: str
    head: str
    criterion: Criterion
    source: str
    head_options: Mapping[str, Any] = field(default_factory=dict)
    corrected: bool = False
    trained_as: str = ""
    balances: bool = False
    similarity: float | None = None
    similar_for: tuple[str, ...] = ("image", "table", "text", "vectors")
    scaled: bool = True
    named: bool = False

    @property
    def training_name(self) -> str:
        """The method whose training run this one needs."""
        return self.trained_as or self.name

    @property
    def revised_name(self) -> str:
        """The training's name, and the revision of what it computes where that has one."""
        return self.training_name

    def build_head(self, in_features: int, num_classes: int, *, seed: int, class_means: Tensor | None = None) -> Head:
        """The head of this method for a backbone of width ``in_features``.

        Args:
            in_features: d.
            num_classes: K.
            seed: seed of everything random in it.
            class_means: (K, p) mean inputs of the classes, for a method with ``similarity``, or the vectors of the
                class names, for one that is ``named``; None where its class vectors are loaded afterwards.

        Raises:
            ValueError: a simplex ETF of so many classes does not fit.
        """
        learned = self.head in ("linear", "cosine")
        extra: dict[str, Any] = {}
        vectors = None
        if self.named:
            extra = {"class_vectors": torch.ones(num_classes, in_features) if class_means is None else class_means}
        if self.similarity is not None and class_means is not None:
            if self.head == RECOMMENDED:
                extra = {"class_means": class_means}
            else:
                vectors = class_mean_frame(class_means, in_features, similarity=self.similarity, seed=seed)
                extra = {} if learned else {"prototypes": vectors}
        mapped = self.head == RECOMMENDED and needs_projection(in_features, num_classes)  # has a frame without a matrix
        if num_classes > TURNED_CLASSES and self.head in ("etf", RECOMMENDED) and not mapped and not extra:
            # A Haar-random basis takes O(K^3): minutes for 10,000 classes. This one is random too, in O(K^2 log K).
            extra = {} if "basis" in self.head_options else {"basis": "dct"}
        try:
            head = make_head(self.head, in_features, num_classes, seed=seed, **self.head_options, **extra)
        except ValueError as error:
            beyond = self.head == "etf" and num_classes > in_features + 1
            hint = " The methods frame-ce, frame-la and frame-dr have such class vectors." if beyond else ""
            raise ValueError(f"method {self.name!r}: {error}{hint}") from error
        if vectors is not None and learned:
            with torch.no_grad():
                head.weight.copy_(vectors * head.weight.norm(dim=1).mean())
        return head


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
        check_labels(self.labels, 2**31, batch=len(self.features))
        if (self.held_out is None) != (self.held_out_labels is None):
            raise ValueError("held_out and held_out_labels come together: give both or neither.")
        if self.held_out is not None:
            check_features(self.held_out, dim=self.features.shape[1], name="held_out")
            check_labels(self.held_out_labels, 2**31, name="held_out_labels", batch=len(self.held_out))


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
