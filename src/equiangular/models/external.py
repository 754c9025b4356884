"""Backbones of timm, torchvision and Hugging Face, by name and without their classifiers; imported when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.heads.locate import find_classifier


def timm_backbone(name: str, input_shape: tuple[int, ...], *, pretrained: bool = False) -> nn.Module:
    """A timm model with ``num_classes=0``; arguments as for :func:`equiangular.models.make_backbone`."""
    timm = require("timm", extra=None, purpose="A backbone of timm")
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=input_shape[0])
    except (RuntimeError, OSError) as error:
        raise ValueError(f"timm cannot make {name!r}: {error}. timm.list_models() lists the names.") from error
    return with_num_features(model, f"timm:{name}", input_shape)


def torchvision_backbone(name: str, input_shape: tuple[int, ...], *, pretrained: bool = False) -> nn.Module:
    """A torchvision classification model with its last linear layer replaced by the identity."""
    models = require("torchvision.models", extra=None, purpose="A backbone of torchvision (built for your torch)")
    if input_shape[0] != 3:
        raise ValueError(f"torchvision models take 3 channels, got {input_shape[0]}. Use a timm model instead.")
    try:
        model = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (ValueError, OSError) as error:
        raise ValueError(f"torchvision cannot make {name!r}: {error}. Its list_models() lists the names.") from error
    try:
        model = without_classifier(model)
    except ValueError as error:
        raise ValueError(f"no linear classifier in torchvision's {name!r}; choose a classification model.") from error
    return with_num_features(model, f"torchvision:{name}", input_shape)


def without_classifier(model: nn.Module) -> nn.Module:
    """The model with its classifier replaced by the identity, in place."""
    path, _ = find_classifier(model)
    parent, _, last = path.rpartition(".")
    setattr(model.get_submodule(parent), last, nn.Identity())
    return model


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


class HuggingFaceBackbone(nn.Module):
    """A classifier of ``pixel_values``, its last linear layer the identity, so that its ``logits`` are the features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = without_classifier(model)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to features (B, num_features)."""
        return self.model(pixel_values=x).logits


def hugging_face_backbone(name: str, input_shape: tuple[int, ...], *, pretrained: bool = False) -> nn.Module:
    """An image model of ``transformers`` without its classifier.

    Args:
        name: a type of model, such as ``"resnet"`` or ``"vit"``, in its default configuration; a name on the hub, such
            as ``"microsoft/resnet-18"``; or a local folder with a ``config.json``.
        input_shape: (C, H, W). With random weights, a configuration that states channels and pixels of the images is
            set to these.
        pretrained: take the weights of the hub or of the folder (safetensors only); otherwise they are random.

    Raises:
        ImportError: transformers is not installed.
        ValueError: nothing of that name, no image classifier, or a model that does not take such inputs.
    """
    needed: Any = {"extra": "transformers", "purpose": "A backbone of Hugging Face"}
    library = require("transformers", **needed)
    types = require("transformers.models.auto.modeling_auto", **needed)
    known = list(types.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    folder = Path(name).is_dir()
    if not folder and "/" not in name and name not in known:
        raise ValueError(
            f"transformers has no type of image classifier {name!r}{did_you_mean(name, known)} Name one of "
            f"{', '.join(known)}; one on the hub, as in 'hf:OWNER/NAME'; or a folder."
        )
    if pretrained and not folder and "/" not in name:
        raise ValueError(f"'hf:{name}' is a type of model, which has no weights; name one on the hub: 'hf:OWNER/NAME'.")
    maker = library.AutoModelForImageClassification
    try:
        if pretrained:
            model = maker.from_pretrained(name, use_safetensors=True)
        else:
            is_type = name in known and not folder
            model = maker.from_config(_configuration(library.AutoConfig, name, is_type, input_shape))
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"transformers cannot make an image classifier of {name!r}: {reason}") from error
    return with_num_features(HuggingFaceBackbone(model), f"hf:{name}", input_shape)


def _configuration(maker: Any, name: str, is_type: bool, input_shape: tuple[int, ...]) -> Any:
    config = maker.for_model(name) if is_type else maker.from_pretrained(name)
    channels, height, width = input_shape
    sizes = {"num_channels": channels, "image_size": height if height == width else (height, width)}
    for key, value in sizes.items():
        if hasattr(config, key):
            setattr(config, key, value)
    return config
