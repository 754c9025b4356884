"""Backbones: modules that map a batch of inputs to features (B, num_features)."""

from equiangular.models.digits import DigitsNet
from equiangular.models.mlp import MLP
from equiangular.models.registry import BACKBONES, make_backbone
from equiangular.models.resnet_cifar import CifarResNet

__all__ = ["BACKBONES", "MLP", "CifarResNet", "DigitsNet", "make_backbone"]
