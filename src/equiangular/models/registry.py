"""Small backbones of our own, and all backbones by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor, channels_last, nn
from torch.autograd import Function, forward_ad

from equiangular._random import isolated_rng
from equiangular._validate import check_choice, check_int, check_positive, did_you_mean, have_values
from equiangular.models.external import hugging_face_backbone, timm_backbone, torchvision_backbone


def convolution(before: int, after: int) -> tuple[nn.Module, ...]:
    """A 3 x 3 convolution with batch normalisation and ReLU."""
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)


def mean_over_positions(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C), with a gradient whose channels are last where those of ``x`` are.

    That of PyTorch's mean never is, and the backward passes in front of it work in the order that they are given.
    """
    if x.ndim == 4 and _channels_are_last(x) and x.requires_grad and forward_ad._current_level < 0:
        mean: Tensor = _MeanChannelsLast.apply(x)  # type: ignore[no-untyped-call]  # torch's
        return mean
    return x.mean((2, 3))


def _channels_are_last(x: Tensor) -> bool:
    return have_values(x) and x.is_contiguous(memory_format=channels_last) and not x.is_contiguous()


class _MeanChannelsLast(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = (gradient / (ctx.shape[2] * ctx.shape[3])).unsqueeze(-1).unsqueeze(-1).expand(ctx.shape)
        return whole.contiguous(memory_format=channels_last)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a shortcut: ReLU(shortcut(x) + f(x)).

    Where the size changes, the shortcut of option ``"A"`` takes every second pixel and fills the new channels with
    zeros, half before and half after, without parameters; option ``"B"`` is a strided 1 x 1 convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added = channels - in_channels
        self.projection = None
        if shortcut == "B" and (stride != 1 or self.added):  # a stride of 2 halves height and width
            conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.projection = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, channels, H / stride, W / stride), height and width rounded up."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return F.relu(out + self._shortcut(x), inplace=True)

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.projection is not None:
            return self.projection(x)
        if self.stride != 1:  # every second pixel; the gradient of a slice never has its channels last
            last = _channels_are_last(x)
            x = F.avg_pool2d(x, 1, self.stride) if last else x[:, :, :: self.stride, :: self.stride]
        if self.added:
            x = F.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return x


class CifarResNet(nn.Module):
    """CIFAR ResNet of depth 6n + 2: a 3 x 3 convolution and three stages of n blocks with 16, 32 and 64 channels.

    Depth 20 has n = 3, 32 has 5, 44 has 7, 56 has 9; depth 8 (n = 1) is for quick trials. ResNet-32 with a 10-way
    linear classifier has 0.46 M parameters (option A, the publication's choice for CIFAR). ``width=2`` gives the
    network with 128 features that Yang et al. 2022 use for CIFAR-100. Weights start as in He et al. 2015: normal with
    variance 2 / fan-out. The networks are those of He et al., Deep residual learning, CVPR 2016, section 4.2.

    Args:
        depth: 6n + 2.
        width: multiplies the channels of every stage.
        in_channels: channels of the images.
        shortcut: ``"A"`` (parameter-free) or ``"B"`` (projections), see :class:`ResidualBlock`.

    Shapes:
        (B, in_channels, H, W) float to (B, num_features = 64 * width), not negative. Any H and W.

    Raises:
        ValueError: a depth that is not 6n + 2, or another bad argument.

    Example:
        >>> import torch
        >>> CifarResNet(8)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 64])
    """

    def __init__(self, depth: int = 32, *, width: float = 1.0, in_channels: int = 3, shortcut: str = "A") -> None:
        super().__init__()
        check_int(depth, "depth", minimum=8)
        if depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2, such as 8, 20, 32, 44 or 56, got {depth}.")
        check_positive(width, "width")
        check_int(in_channels, "in_channels", minimum=1)
        check_choice(shortcut, ("A", "B"), "shortcut")
        channels = [max(1, round(c * width)) for c in (16, 32, 64)]
        self.stem = nn.Sequential(*convolution(in_channels, channels[0]))
        blocks: list[nn.Module] = []
        before = channels[0]
        for stage, size in enumerate(channels):
            for block in range((depth - 2) // 6):
                blocks.append(ResidualBlock(before, size, 2 if stage and not block else 1, shortcut))
                before = size
        self.blocks = nn.Sequential(*blocks)
        self.num_features = before
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to features (B, num_features): the mean over all positions."""
        return mean_over_positions(self.blocks(self.stem(x)))


class MLP(nn.Module):
    """Linear, batch normalisation and ReLU for each hidden layer; the last hidden layer is the features.

    Args:
        in_features: number of inputs; images are flattened.
        hidden: sizes of the hidden layers, at least one.

    Shapes:
        (B, in_features) or (B, ...) with that many entries, floating point, to (B, num_features = hidden[-1]), not
        negative.

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


class Identity(nn.Flatten):
    """The inputs as they are, flattened: (B, ...) to (B, num_features). No parameters."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


class DigitsNet(nn.Module):
    """Three 3 x 3 convolutions with batch normalisation and ReLU; the features are the maxima over all positions.

    Channels 16, 32, 64, with 2 x 2 max pooling after the first. 23,408 parameters at width 1 and one input channel.

    Args:
        in_channels: channels of the images.
        width: multiplies the channels.

    Shapes:
        (B, in_channels, H, W) float to (B, num_features = 64 * width), not negative. Any H and W from 2 on.

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
    "identity": lambda shape, width: Identity(prod(shape)),
    "digits": lambda shape, width: DigitsNet(shape[0], width=width),
    "mlp": lambda shape, width: MLP(prod(shape), hidden=tuple(max(1, round(size * width)) for size in (128, 64))),
    **{f"resnet{depth}": _resnet(depth) for depth in (8, 20, 32, 44, 56)},
}
_EXTERNAL = {"timm": timm_backbone, "torchvision": torchvision_backbone, "hf": hugging_face_backbone}


def make_backbone(
    name: str, input_shape: tuple[int, ...], *, width: float = 1.0, seed: int, pretrained: bool = False
) -> nn.Module:
    """Build a backbone whose initial weights depend on ``seed`` alone: (B, *input_shape) float to (B, num_features).

    Args:
        name: ``"identity"``, ``"digits"``, ``"mlp"``, ``"resnet8"``, ``"resnet20"``, ``"resnet32"``, ``"resnet44"``,
            ``"resnet56"``, or ``"timm:NAME"``, ``"torchvision:NAME"`` or ``"hf:NAME"`` for any image model of these
            libraries without its classifier; the last is ``transformers``, see
            :func:`equiangular.models.external.hugging_face_backbone`.
        input_shape: shape of one input, (C, H, W) or (d,). ``"identity"`` and ``"mlp"`` take either.
        width: multiplies the sizes of the layers; 1 for models of other libraries.
        seed: seed of the initialisation. The global generators are put back afterwards.
        pretrained: take the weights that the other library publishes, which it downloads; otherwise they are random.

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
    if len(shape) != 3 and name not in ("identity", "mlp"):
        raise ValueError(
            f"backbone {name!r} takes images (C, H, W), got inputs of shape {shape}. Use 'mlp' for tables and texts."
        )
    if name == "digits" and min(shape[1:]) < 2:
        raise ValueError(
            f"backbone 'digits' halves its images and takes 2 x 2 pixels or more, got {shape[1]} x {shape[2]}. Use "
            "backbone='resnet8', or larger images (size=8)."
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
