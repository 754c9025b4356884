"""The place of the gradient loop in a trial whose method fits its head in one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from equiangular.data.split import Split
from equiangular.training.config.options import Hardware
from equiangular.training.engine.fabric import make_fabric
from equiangular.training.engine.loop import Training
from equiangular.training.engine.memory import PeakMemory
from equiangular.training.engine.prediction import backbone_features
from equiangular.training.methods import FittedMethod, Method
from equiangular.training.model.task import Task


def check_class_vectors(method: Method, names: Tensor | None, backbone: str = "identity") -> None:
    """Raise if the method takes the vectors of the class names and there are none, or features of another kind."""
    if not method.named:
        return
    if names is None:
        instead = method.name.removesuffix("-names") if isinstance(method, FittedMethod) else "cosine-la"
        raise ValueError(
            f"method {method.name!r} takes the vectors of the class names, and these data have none. A text encoder "
            f"makes them: give texts and --encoder, or a file that `equiangular embed` made of texts. Without them "
            f"there is {instead!r}."
        )
    if backbone != "identity":
        raise ValueError(
            f"method {method.name!r} compares features with the vectors of the class names as the encoder made both, "
            f"so nothing stands between them; got backbone={backbone!r}. Leave it out."
        )


class Fitting(Training):
    """A task whose head is fitted to what its backbone, as it is, makes of the training part: an "epoch" of one pass.

    ``names`` (K, d) are the vectors of the class names, for a method that is named. Every process of a distributed run
    has the same features and arrives at the same head.

    Attributes:
        seconds: wall-clock time of the fit, without that of the features.
        peak_memory: bytes of the fit alone, see :class:`equiangular.training.engine.memory.PeakMemory`.
        numbers_kept: numbers that the fit keeps, or has at hand all along, beside the head.
        losses: mean cross-entropy of the fitted head on the training part.
    """

    def __init__(
        self,
        task: Task,
        method: FittedMethod,
        split: Split,
        *,
        names: Tensor | None = None,
        hardware: Hardware,
        fabric: Any = None,
    ) -> None:
        self.fabric = fabric or make_fabric(hardware)
        self.task, self.method, self.split, self.names = task, method, split, names
        self.average = None
        self.epoch, self.step, self.losses = 0, 0, []
        self.seconds = 0.0
        self.numbers_kept = 0

    last_rate = 0.0  # nothing is learned by steps

    def run(
        self, *, on_step: Callable[[Training], None] | None = None, on_epoch: Callable[[Training], None] | None = None
    ) -> None:
        """Fit the head; ``on_epoch`` is called once, after it."""
        task, split = self.task.to(self.fabric.device), self.split
        shared = {"prepare": split.standardise, "fabric": self.fabric}
        features = backbone_features(task, split.train_x, **shared).float()
        names = backbone_features(task, self.names, **shared).float() if self.method.named else None
        task.cpu()
        start = time.perf_counter()
        with PeakMemory() as peak:
            self.numbers_kept = self.method.fit(task.head, features, split.train_y, names)
        self.seconds, self.peak_memory = time.perf_counter() - start, peak.bytes
        task.eval()
        self.losses.append(float(F.cross_entropy(task.head(features).detach(), split.train_y)))
        self.epoch = 1
        if on_epoch is not None:
            on_epoch(self)
