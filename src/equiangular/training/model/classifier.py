"""A trained model ready for use: raw inputs in, calibrated class probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equiangular._defaults import usual_defaults
from equiangular.training.model.correction import correction_terms
from equiangular.training.model.files import load_model
from equiangular.training.model.info import ModelInfo
from equiangular.training.model.task import Task


class Standardize(nn.Module):
    """Inputs as the network was trained on: (x - mean) / std, images of bytes scaled to [0, 1] before.

    Mean and std are C numbers for images (B, C, H, W), d for tables.

    Example:
        >>> Standardize([0.5], [0.25], image=True)(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)).unique()
        tensor([2.])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Any, std: Any, *, image: bool) -> None:
        super().__init__()
        shape = (1, -1, 1, 1) if image else (1, -1)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(shape))

    def forward(self, x: Tensor) -> Tensor:
        """uint8 (0 to 255) or floating-point inputs ([0, 1] for images) to floating point of the same shape."""
        x = x.to(self.mean.dtype) / 255 if x.dtype == torch.uint8 else x.to(self.mean.dtype)
        return (x - self.mean) / self.std


class Predictions(NamedTuple):
    """What :class:`Classifier` returns."""

    logits: Tensor
    probabilities: Tensor


class Classifier(nn.Module):
    """Standardisation, backbone, head and prior correction of a stored model in one module.

    Args:
        task: the trained backbone and head.
        info: their description.
        prior: class prior of the probabilities, see :func:`equiangular.training.corrected_logits`.

    Raises:
        ValueError: a prior that is unknown or does not fit the classes.

    Example:
        >>> from equiangular.training import build_task, get_method
        >>> task = build_task(get_method("etf-la"), "mlp", (4,), 2, seed=0)
        >>> info = ModelInfo("etf-la", "mlp", (4,), ("a", "b"), (30, 3), (0.0,) * 4, (1.0,) * 4, kind="table")
        >>> logits, probabilities = Classifier(task, info)(torch.zeros(3, 4))
        >>> logits.shape, probabilities.sum(1).tolist()
        (torch.Size([3, 2]), [1.0, 1.0, 1.0])
    """

    shift: Tensor

    @usual_defaults()
    def __init__(self, task: Task, info: ModelInfo, *, prior: Any | None = None) -> None:
        super().__init__()
        scale, shift = correction_terms(info, prior)
        self.standardize = Standardize(info.mean, info.std, image=info.kind == "image")
        self.backbone = task.backbone
        self.head = task.head
        self.info = info
        self.prior = prior
        self.scale = scale
        self.register_buffer("shift", shift.float())
        self.eval()

    @classmethod
    def load(cls, path: str | Path, *, prior: Any | None = None) -> Classifier:
        """The model of a run or a model folder; see :func:`equiangular.training.load_model`."""
        task, info = load_model(path)
        return cls(task, info, prior=prior)

    def forward(self, x: Tensor) -> Predictions:
        """Logits and probabilities, (B, K) each, of raw inputs (B, *input_shape).

        The logits are corrected: their softmax are the probabilities.
        """
        logits = self.raw_logits(x) * self.scale - self.shift
        return Predictions(logits, logits.softmax(1))

    def raw_logits(self, x: Tensor) -> Tensor:
        """The head's own logits (B, K), neither corrected nor calibrated."""
        logits: Tensor = self.head(self.backbone(self.standardize(x)))
        return logits
