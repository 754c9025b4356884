"""From the name of a backbone to a module with freshly initialised weights."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import nn

from equiangular._random import isolated_rng
from equiangular._validate import check_positive, did_you_mean
from equiangular.models.digits import DigitsNet
from equiangular.models.external import timm_backbone, torchvision_backbone
from equiangular.models.hugging_face import hugging_face_backbone
from equiangular.models.mlp import MLP
from equiangular.models.resnet_cifar import CifarResNet

Shape = tuple[int, ...]


def _mlp(shape: Shape, width: float) -> nn.Module:
    return MLP(prod(shape), hidden=tuple(max(1, round(size * width)) for size in (128, 64)))


def _digits(shape: Shape, width: float) -> nn.Module:
    return DigitsNet(shape[0], width=width)


def _resnet(depth: int) -> Callable[[Shape, float], nn.Module]:
    return lambda shape, width: CifarResNet(depth, width=width, in_channels=shape[0])


BACKBONES: dict[str, Callable[[Shape, float], nn.Module]] = {
    "digits": _digits,
    "mlp": _mlp,
    **{f"resnet{depth}": _resnet(depth) for depth in (8, 20, 32, 44, 56)},
}
_EXTERNAL = {"timm": timm_backbone, "torchvision": torchvision_backbone, "hf": hugging_face_backbone}


def make_backbone(
    name: str, input_shape: tuple[int, ...], *, width: float = 1.0, seed: int, pretrained: bool = False
) -> nn.Module:
    """Build a backbone whose initial weights depend on ``seed`` alone.

    Args:
        name: ``"digits"``, ``"mlp"``, ``"resnet8"``, ``"resnet20"``, ``"resnet32"``, ``"resnet44"``, ``"resnet56"``, or
            ``"timm:NAME"``, ``"torchvision:NAME"`` or ``"hf:NAME"`` for any image model of these libraries without its
            classifier; the last is ``transformers``, see
            :func:`equiangular.models.hugging_face.hugging_face_backbone`.
        input_shape: shape of one input, (C, H, W) or (d,). ``"mlp"`` takes either, the others images.
        width: multiplies the sizes of the layers; 1 for models of other libraries.
        seed: seed of the initialisation. The global generators are put back afterwards.
        pretrained: take the weights that the other library publishes, which it downloads; otherwise they are random.

    Returns:
        A module from (B, *input_shape) float to (B, d), with attribute ``num_features`` = d.

    Raises:
        ValueError: unknown name (the closest one is suggested) or an input the backbone does not take.
        ImportError: timm, torchvision or transformers is missing.

    Example:
        >>> make_backbone("mlp", (30,), seed=0).num_features
        64
    """
    check_positive(width, "width")
    shape = tuple(int(size) for size in input_shape)
    library, colon, model = str(name).partition(":")
    if not (colon and library in _EXTERNAL) and name not in BACKBONES:
        options = [*BACKBONES, *(f"{key}:NAME" for key in _EXTERNAL)]
        raise ValueError(f"unknown backbone {name!r}{did_you_mean(name, options)} There are: {', '.join(options)}.")
    if len(shape) != 3 and name != "mlp":
        raise ValueError(
            f"backbone {name!r} takes images (C, H, W), got inputs of shape {shape}. Use 'mlp' for tables and texts."
        )
    with isolated_rng(seed):
        if not colon:
            if pretrained:
                raise ValueError(
                    f"backbone {name!r} has no pretrained weights. Use a model of another library for that."
                )
            return BACKBONES[name](shape, width)
        if width != 1:
            raise ValueError(f"width is for the library's own backbones, got {width!r} for {name!r}. Leave it at 1.")
        return _EXTERNAL[library](model, shape, pretrained=pretrained)
