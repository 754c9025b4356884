"""Backbones of timm and torchvision, by name and without their classifiers; imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

# Where torchvision's families keep their last linear layer.
_TORCHVISION_HEADS = ("fc", "classifier", "heads.head", "head")


def timm_backbone(name: str, input_shape: tuple[int, ...], *, pretrained: bool = False) -> nn.Module:
    """A timm model with ``num_classes=0``.

    Args:
        name: timm's name, such as ``"resnet18"``.
        input_shape: (C, H, W).
        pretrained: download timm's weights; otherwise they are random.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm does not know the name, or the model does not take such inputs.
    """
    timm = _library("timm")
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=input_shape[0])
    except (RuntimeError, OSError) as error:
        raise ValueError(f"timm cannot make {name!r}: {error}. timm.list_models() lists the names.") from error
    return with_num_features(model, f"timm:{name}", input_shape)


def torchvision_backbone(name: str, input_shape: tuple[int, ...], *, pretrained: bool = False) -> nn.Module:
    """A torchvision classification model with its last linear layer replaced by the identity.

    Args:
        name: torchvision's name, such as ``"resnet18"``.
        input_shape: (3, H, W).
        pretrained: download torchvision's best weights; otherwise they are random.

    Raises:
        ImportError: torchvision is not installed.
        ValueError: torchvision does not know the name, or the model does not take such inputs.
    """
    models = _library("torchvision").models
    if input_shape[0] != 3:
        raise ValueError(f"torchvision models take 3 channels, got {input_shape[0]}. Use a timm model instead.")
    try:
        model = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (ValueError, OSError) as error:
        raise ValueError(f"torchvision cannot make {name!r}: {error}. Its list_models() lists the names.") from error
    _drop_last_linear(model, name)
    return with_num_features(model, f"torchvision:{name}", input_shape)


def _library(name: str) -> ModuleType:
    try:
        module = import_module(name)
        if name == "torchvision":
            import_module("torchvision.models")
        return module
    except ImportError as error:
        raise ImportError(
            f"a backbone of {name} needs {name!r}, which could not be imported ({error}). "
            f"Install it with: pip install {name}"
        ) from error


def _drop_last_linear(model: nn.Module, name: str) -> None:
    for path in _TORCHVISION_HEADS:
        parent: Any = model
        *above, last = path.split(".")
        for step in above:
            parent = getattr(parent, step, None)
        layer = getattr(parent, last, None)
        if isinstance(layer, nn.Sequential):
            parent, last, layer = layer, str(len(layer) - 1), layer[-1]
        if isinstance(layer, nn.Linear):
            setattr(parent, last, nn.Identity())
            return
    raise ValueError(f"found no linear classifier in torchvision's {name!r}; choose a classification model.")


def with_num_features(model: nn.Module, name: str, input_shape: tuple[int, ...]) -> nn.Module:
    """Set ``num_features`` to what the model really gives, found with one forward pass of zeros."""
    training = model.training
    try:
        with torch.no_grad():
            features = model.eval()(torch.zeros(1, *input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise ValueError(f"{name} does not take inputs of shape {input_shape}: {error}") from error
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ValueError(f"{name} does not return one feature vector per image; choose a classification model.")
    model.num_features = features.shape[1]
    return model.train(training)
