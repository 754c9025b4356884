"""What a method is: a head, a criterion on its features, and optionally a correction after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equiangular.frames import class_mean_frame
from equiangular.heads import Head, make_head
from equiangular.losses import batch_class_counts

# Heads whose class vectors are not learned.
FIXED_HEADS = ("etf", "best", "random")


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
    similar_for: tuple[str, ...] = ("image", "table", "text")

    @property
    def training_name(self) -> str:
        """The method whose training run this one needs."""
        return self.trained_as or self.name

    @property
    def fixed(self) -> bool:
        """Whether the class vectors are fixed before training."""
        return self.head in FIXED_HEADS

    def build_head(
        self, in_features: int, num_classes: int, *, seed: int, class_means: Tensor | None = None
    ) -> Head:
        """The head of this method for a backbone of width ``in_features``.

        Args:
            in_features: d.
            num_classes: K.
            seed: seed of everything random in it.
            class_means: (K, p) mean inputs of the classes, for a method with ``similarity``; None where its class
                vectors are loaded afterwards.

        Raises:
            ValueError: a simplex ETF of so many classes does not fit.
        """
        follow = self.similarity is not None and class_means is not None
        extra: dict[str, Any] = {"class_means": class_means} if follow and self.head == "best" else {}
        vectors = None
        if follow and not extra:
            vectors = class_mean_frame(class_means, in_features, similarity=self.similarity, seed=seed)
            extra = {"prototypes": vectors} if self.fixed else {}
        try:
            head = make_head(self.head, in_features, num_classes, seed=seed, **self.head_options, **extra)
        except ValueError as error:
            beyond = self.head == "etf" and num_classes > in_features + 1
            hint = " The methods frame-ce, frame-la and frame-dr have such class vectors." if beyond else ""
            raise ValueError(f"method {self.name!r}: {error}{hint}") from error
        if vectors is not None and not self.fixed:
            with torch.no_grad():
                head.weight.copy_(vectors * head.weight.norm(dim=1).mean())
        return head
