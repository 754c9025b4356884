"""A small convolutional network for 8 x 8 digits: trained in about half a second on one thread."""

from __future__ import annotations

from torch import Tensor, nn

from equiangular._validate import check_int, check_positive


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
            *_convolution(in_channels, first),
            nn.MaxPool2d(2),
            *_convolution(first, second),
            *_convolution(second, third),
        )
        self.num_features = third

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to features (B, num_features)."""
        return self.layers(x).amax((2, 3))


def _convolution(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
