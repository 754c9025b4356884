"""Image classifiers of Hugging Face ``transformers`` as backbones, by name and without their classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.heads.locate import find_classifier
from equiangular.models.external import with_num_features


class HuggingFaceBackbone(nn.Module):
    """An image classifier whose last linear layer is the identity: its logits are the features.

    Args:
        model: a model that takes ``pixel_values`` and returns ``logits``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        path, _ = find_classifier(model)
        parent, _, last = path.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Identity())
        self.model = model

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
    library = require("transformers", extra="transformers", purpose="A backbone of Hugging Face")
    types = require(
        "transformers.models.auto.modeling_auto", extra="transformers", purpose="A backbone of Hugging Face"
    )
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
            model = maker.from_config(
                _configuration(library.AutoConfig, name, name in known and not folder, input_shape)
            )
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
