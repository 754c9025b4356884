"""From names to a task with initial weights."""

from __future__ import annotations

from torch import Tensor

from equiangular.models import make_backbone
from equiangular.training.methods import Method
from equiangular.training.model.task import Task


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
    return "digits" if max(input_shape[1:]) < 16 else "resnet8"
