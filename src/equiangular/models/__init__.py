"""Backbones: modules that map a batch of inputs to features (B, num_features)."""

from equiangular.models.registry import BACKBONES, MLP, CifarResNet, DigitsNet, make_backbone

__all__ = ["BACKBONES", "MLP", "CifarResNet", "DigitsNet", "make_backbone"]
