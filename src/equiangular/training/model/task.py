"""Backbone, head and criterion in one module whose forward returns the losses: what a distributed wrapper needs."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from equiangular._defaults import usual_defaults
from equiangular.heads import Head
from equiangular.models import make_backbone
from equiangular.training.methods import Context, Method


class Task(nn.Module):
    """A classifier that knows its method.

    Everything a step computes happens inside ``forward``, so that a wrapper such as DistributedDataParallel sees
    every parameter used.

    Args:
        backbone: maps inputs (B, ...) to features (B, d); has ``num_features``.
        head: the classifier.
        method: the criterion's owner.

    Attributes:
        context: what the criterion may know beside the samples; whoever trains sets it before each step.
    """

    def __init__(self, backbone: nn.Module, head: Head, method: Method) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.method = method
        self.context: Context | None = None

    def forward(self, x: Tensor, target: Any = None) -> dict[str, Tensor]:
        """Features (B, d) and logits (B, K) without a target; the losses (B,) of the samples with one.

        Raises:
            ValueError: a criterion that does not return one loss for each sample.
        """
        features = self.head(self.backbone(x), pre_logits=True)
        if target is None:
            return {"features": features, "logits": self.head.logits_from_features(features)}
        losses = self.method.criterion(features, target, self.head, self.context)
        if losses.shape != features.shape[:1]:
            raise ValueError(
                f"the criterion of {self.method.name!r} must return one loss for each sample, shape "
                f"({features.shape[0]},), got {tuple(losses.shape)}. Use reduction='none': the mean is taken over the "
                "batch of all processes."
            )
        return {"losses": losses}


@usual_defaults()
def build_task(
    method: Method,
    backbone: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    width: float = 1.0,
    seed: int,
    pretrained: bool = False,
    class_means: Tensor | None = None,
) -> Task:
    """Backbone and head initialised from ``seed`` alone: every method starts from the same backbone weights.

    With ``pretrained`` the backbone has the weights that its library publishes instead. ``class_means`` (K, p), the
    mean inputs of the classes, are for methods whose class vectors follow them.

    Example:
        >>> from equiangular.training.methods import get_method
        >>> build_task(get_method("etf-la"), "mlp", (4,), 3, seed=0).head.num_classes
        3
    """
    network = make_backbone(backbone, input_shape, width=width, seed=seed, pretrained=pretrained)
    head = method.build_head(network.num_features, num_classes, seed=seed, class_means=class_means)
    return Task(network, head, method)


def default_backbone(kind: str, input_shape: tuple[int, ...]) -> str:
    """The backbone for ``"auto"``: by kind of data and size of its images.

    Example:
        >>> default_backbone("image", (3, 32, 32)), default_backbone("table", (16,))
        ('resnet8', 'mlp')
    """
    if kind != "image":
        return "mlp"
    return "digits" if max(input_shape[1:]) < 16 and min(input_shape[1:]) > 1 else "resnet8"
