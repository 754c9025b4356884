"""The residual networks for 32 x 32 images of He et al., Deep residual learning, CVPR 2016, section 4.2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from equiangular._validate import check_choice, check_int, check_positive


def convolution(before: int, after: int) -> tuple[nn.Module, ...]:
    """A 3 x 3 convolution with batch normalisation and ReLU."""
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)


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
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            x = F.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return x


class CifarResNet(nn.Module):
    """CIFAR ResNet of depth 6n + 2: a 3 x 3 convolution and three stages of n blocks with 16, 32 and 64 channels.

    Depth 20 has n = 3, 32 has 5, 44 has 7, 56 has 9; depth 8 (n = 1) is for quick trials. ResNet-32 with a 10-way
    linear classifier has 0.46 M parameters (option A, the publication's choice for CIFAR). ``width=2`` gives the
    network with 128 features that Yang et al. 2022 use for CIFAR-100. Weights start as in He et al. 2015: normal with
    variance 2 / fan-out.

    Args:
        depth: 6n + 2.
        width: multiplies the channels of every stage.
        in_channels: channels of the images.
        shortcut: ``"A"`` (parameter-free) or ``"B"`` (projections), see :class:`ResidualBlock`.

    Attributes:
        num_features: 64 * width.

    Shapes:
        (B, in_channels, H, W) float to (B, num_features), not negative. Any H and W from 4 on.

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
        return self.blocks(self.stem(x)).mean((2, 3))
