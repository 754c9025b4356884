"""Backbones: modules that map a batch of inputs to features (B, num_features)."""

from equiangular.models.registry import BACKBONES, MLP, DigitsNet, make_backbone
from equiangular.models.resnet_cifar import CifarResNet

__all__ = ["BACKBONES", "MLP", "CifarResNet", "DigitsNet", "make_backbone"]
