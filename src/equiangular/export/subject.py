"""What is exported: a module, the inputs that it takes, and samples with what the model itself makes of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equiangular.encoders import Encoder, describe
from equiangular.encoders.graph import encoder_graph, sample_inputs
from equiangular.training.model.classifier import Classifier

# Inputs by name, and logits and probabilities of them.
Samples = tuple[dict[str, Tensor], tuple[Tensor, Tensor]]


class Exported(nn.Module):
    """A classifier as it is written: inputs of one dtype in, a tuple of logits and probabilities out."""

    def __init__(self, classifier: Classifier, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier).cpu()
        self.encoder = encoder or nn.Identity()
        bake = getattr(self.classifier.head, "bake", None)
        if bake is not None:
            bake()  # a learned rotation becomes a fixed frame
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Corrected logits and probabilities, (B, K) each, of inputs (B, *input_shape)."""
        logits, probabilities = self.classifier(x)
        return logits, probabilities


class ExportedTexts(Exported):
    """The same behind an encoder of texts."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits and probabilities, (B, K) each, of token numbers and their mask, (B, T) int64 each."""
        return super().forward(self.encoder(input_ids, attention_mask))


class ExportedImages(Exported):
    """The same behind an encoder of images."""

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities, (B, K) each, of images that are prepared, (B, C, H, W) float32."""
        return super().forward(self.encoder(pixel_values))


@dataclass(frozen=True, eq=False)
class Subject:
    """What is written, and what tells whether the file is right.

    Attributes:
        module: what is written.
        axes: for each of its inputs, by name, its axes: ``"batch"``, ``"length"`` or a size.
        dtype: of the inputs.
        draw: inputs of a number of samples, by a seed, and what the model makes of them in PyTorch.
        max_length: largest ``"length"``, where there is a limit.
        metadata: by key, JSON texts.
    """

    module: Exported
    axes: dict[str, tuple[str | int, ...]]
    dtype: torch.dtype
    draw: Callable[[int, int], Samples]
    max_length: int | None
    metadata: dict[str, str]

    def described(self) -> dict[str, str]:
        """Dtype and shape of each input."""
        return {name: f"{self.dtype} ({', '.join(map(str, sizes))})" for name, sizes in self.axes.items()}


def plain_subject(classifier: Classifier, dtype: torch.dtype) -> Subject:
    """A classifier alone: images, table rows or vectors in."""
    module = Exported(classifier)

    def draw(batch: int, seed: int) -> Samples:
        x = _random_inputs(classifier, dtype, batch, seed=seed)
        return {"x": x}, module(x)

    return Subject(module, {"x": ("batch", *classifier.info.input_shape)}, dtype, draw, None, {})


def encoded_subject(classifier: Classifier, encoder: Encoder) -> Subject:
    """A classifier behind its encoder: token numbers, or images as the encoder's transform gives them, in.

    Raises:
        ValueError: an encoder that has no graph.
    """
    graph = encoder_graph(encoder.to("cpu"))
    texts = encoder.modality == "text"
    module = (ExportedTexts if texts else ExportedImages)(classifier, graph.module)
    on_cpu = module.classifier
    words = [word for name in classifier.info.class_names for word in name.replace("_", " ").split()]

    def draw(batch: int, seed: int) -> Samples:
        inputs = sample_inputs(encoder.modality, batch, seed=seed, words=words)
        logits, probabilities = on_cpu(encoder.encode(inputs).clone())
        return graph.prepare(inputs), (logits, probabilities)

    metadata = {"encoder": json.dumps(describe(encoder), ensure_ascii=False), **graph.files}
    dtype = torch.int64 if texts else torch.float32
    return Subject(module, graph.axes, dtype, draw, graph.max_length, metadata)


def _random_inputs(classifier: Classifier, dtype: torch.dtype, batch: int, *, seed: int) -> Tensor:
    """Random inputs (batch, *input_shape): bytes, or floats spread as the training data were."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, *classifier.info.input_shape)
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if classifier.info.kind == "image":
        return torch.rand(shape, generator=generator)
    scaling = classifier.standardize
    return torch.randn(shape, generator=generator) * scaling.std.cpu() + scaling.mean.cpu()
