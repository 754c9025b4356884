"""Small backbones of our own, and all backbones by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from equiangular._random import isolated_rng
from equiangular._validate import check_int, check_positive, did_you_mean
from equiangular.models.external import hugging_face_backbone, timm_backbone, torchvision_backbone
from equiangular.models.resnet_cifar import CifarResNet, convolution


class MLP(nn.Module):
    """Linear, batch normalisation and ReLU for each hidden layer; the last hidden layer is the features.

    Args:
        in_features: number of inputs; images are flattened.
        hidden: sizes of the hidden layers, at least one.

    Attributes:
        num_features: size of the features.

    Shapes:
        (B, in_features) or (B, ...) with that many entries, floating point, to (B, num_features), not negative.

    Raises:
        ValueError: a size below 1, or no hidden layer.

    Example:
        >>> import torch
        >>> MLP(4, hidden=(16, 8))(torch.zeros(2, 4)).shape
        torch.Size([2, 8])
    """

    def __init__(self, in_features: int, hidden: Sequence[int] = (128, 64)) -> None:
        super().__init__()
        if len(hidden) == 0:
            raise ValueError("hidden must name at least one layer, got none; (128, 64) is the default.")
        sizes = [check_int(size, "the size of a layer", minimum=1) for size in (in_features, *hidden)]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.num_features = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) to features (B, num_features)."""
        return self.layers(x)


class DigitsNet(nn.Module):
    """Three 3 x 3 convolutions with batch normalisation and ReLU; the features are the maxima over all positions.

    Channels 16, 32, 64, with 2 x 2 max pooling after the first. 23,408 parameters at width 1 and one input channel.

    Args:
        in_channels: channels of the images.
        width: multiplies the channels.

    Attributes:
        num_features: 64 * width.

    Shapes:
        (B, in_channels, H, W) float to (B, num_features), not negative. Any H and W from 2 on.

    Raises:
        ValueError: a bad argument.

    Example:
        >>> import torch
        >>> DigitsNet()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 64])
    """

    def __init__(self, in_channels: int = 1, *, width: float = 1.0) -> None:
        super().__init__()
        check_int(in_channels, "in_channels", minimum=1)
        check_positive(width, "width")
        first, second, third = (max(1, round(c * width)) for c in (16, 32, 64))
        self.layers = nn.Sequential(
            *convolution(in_channels, first), nn.MaxPool2d(2), *convolution(first, second), *convolution(second, third)
        )
        self.num_features = third

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to features (B, num_features)."""
        return self.layers(x).amax((2, 3))


Shape = tuple[int, ...]


def _resnet(depth: int) -> Callable[[Shape, float], nn.Module]:
    return lambda shape, width: CifarResNet(depth, width=width, in_channels=shape[0])


BACKBONES: dict[str, Callable[[Shape, float], nn.Module]] = {
    "digits": lambda shape, width: DigitsNet(shape[0], width=width),
    "mlp": lambda shape, width: MLP(prod(shape), hidden=tuple(max(1, round(size * width)) for size in (128, 64))),
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
            :func:`equiangular.models.external.hugging_face_backbone`.
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
