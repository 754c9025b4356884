"""Backbone, head and criterion in one module whose forward returns the loss: what a distributed wrapper needs."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from equiangular.heads import Head
from equiangular.training.methods import Context, Method


class Task(nn.Module):
    """A classifier that knows its method.

    Everything a step computes happens inside ``forward``, so that a wrapper such as DistributedDataParallel sees
    every parameter used.

    Args:
        backbone: maps inputs (B, ...) to features (B, d); has ``num_features``.
        head: the classifier.
        method: the criterion's owner.
    """

    def __init__(self, backbone: nn.Module, head: Head, method: Method) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.method = method

    def forward(self, x: Tensor, target: Any = None, context: Context | None = None) -> dict[str, Tensor]:
        """Features (B, d) and logits (B, K) without a target; the scalar loss with one."""
        features = self.head(self.backbone(x), pre_logits=True)
        if target is None:
            return {"features": features, "logits": self.head.logits_from_features(features)}
        return {"loss": self.method.criterion(features, target, self.head, context)}
