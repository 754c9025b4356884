"""Models in folders and on the Hugging Face Hub: config.json, model.safetensors and a model card. Extra [hub]."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equiangular._extras import require
from equiangular._files import read_safetensors, write_safetensors
from equiangular.heads import find_head, make_head
from equiangular.longtail import SubsetManifest
from equiangular.measures import mean_ci
from equiangular.models import make_backbone

TEMPLATE = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")


def card_fields(
    *,
    data: str,
    protocol: str,
    seeds: Sequence[int],
    results: Mapping[str, Sequence[float]],
    seed: int,
    manifest: SubsetManifest | None = None,
) -> dict[str, Any]:
    """What a model card says of data, protocol and results, by field of its template; pass as ``model_card_kwargs``.

    Args:
        data: training and test data, such as ``"CIFAR-10-LT (imbalance 100), balanced test set"``.
        protocol: what was done: schedule, which epoch counts, what was tuned on what.
        seeds: training seeds.
        results: name of a measure, with its unit, to one value for each seed, in the order of ``seeds``.
        seed: the training seed of the weights that are saved.
        manifest: the long-tailed subset, if it was cut: its counts, seed and hash are put into the card.

    Raises:
        ValueError: a measure without a value for every seed, a value that is not finite, no seed, seeds that are
            repeated, or a ``seed`` that is not among them.
        ImportError: SciPy is missing.

    Example:
        >>> measured = {"balanced accuracy, %": [80.0, 82.0, 84.0]}
        >>> card_fields(data="digits", protocol="last epoch", seeds=[0, 1, 2], seed=0, results=measured)["results"]
        [['balanced accuracy, %', '82.00 ± 4.97', '80.00, 82.00, 84.00']]
    """
    seeds = list(seeds)
    if not seeds or len(set(seeds)) != len(seeds) or seed not in seeds:
        raise ValueError(f"seeds must be distinct and hold seed={seed!r}, that of the saved weights, got {seeds}.")
    return {
        "data": data,
        "protocol": protocol,
        "seeds": ", ".join(map(str, seeds)),
        "weights_of": f"seed {seed}",
        "results": [_row(name, values, seeds) for name, values in results.items()],
        "manifest": [] if manifest is None else _describe(manifest),
    }


def _row(name: str, values: Sequence[float], seeds: list[int]) -> list[str]:
    values = [float(value) for value in values]
    if len(values) != len(seeds) or not all(map(math.isfinite, values)):
        raise ValueError(
            f"the results of {name!r} must be one finite number for each of {len(seeds)} seeds, got {values}."
        )
    mean, half_width = mean_ci(values)
    interval = "" if math.isnan(half_width) else f" ± {half_width:.2f}"
    return [name, f"{mean:.2f}{interval}", ", ".join(f"{value:.2f}" for value in values)]


def _describe(manifest: SubsetManifest) -> list[str]:
    counts = list(manifest.counts.values())
    return [
        f"Subset of {manifest.source}: {len(manifest)} of {manifest.source_size} samples in {len(counts)} classes, "
        f"{max(counts)} to {min(counts)} a class, imbalance {manifest.imbalance_factor:g} asked for, protocol "
        f"{manifest.protocol!r}, subset seed {manifest.seed}",
        f"Hash of the subset (SHA-256): `{manifest.sha256}`",
    ]


_hub = require("huggingface_hub", extra="hub", purpose="HubMixin")
_safetensors = require("safetensors", extra="hub", purpose="HubMixin")
_of_torch = require("safetensors.torch", extra="hub", purpose="HubMixin")

__all__ = ["HubClassifier", "HubMixin", "card_fields"]

WEIGHTS = "model.safetensors"


class HubMixin(
    _hub.PyTorchModelHubMixin,
    library_name="equiangular",
    tags=["neural-collapse", "simplex-etf", "long-tailed-recognition"],
    paper_url="https://arxiv.org/abs/2203.09081",
    model_card_template=TEMPLATE,
):
    """``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` for a module with one head of this library inside.

    The arguments of ``__init__``, which have to be JSON-plain, become ``config.json``; all weights, the fixed class
    vectors among them, ``model.safetensors``; and ``README.md`` a model card with what :func:`card_fields` says of
    data, protocol, seeds and results. An existing card is kept. Loading is strict: every weight must find its place.

    Example::

        class Net(nn.Module, HubMixin):
            def __init__(self, width: int, num_classes: int) -> None:
                super().__init__()
                self.backbone = nn.Sequential(nn.Linear(8, width), nn.ReLU())
                self.head = ETFHead(width, num_classes, norm="batch")

            def forward(self, x):
                return self.head(self.backbone(x))


        Net(64, 10).save_pretrained("folder", model_card_kwargs=card_fields(...))
        model = Net.from_pretrained("folder")
    """

    def generate_model_card(self, **fields: Any) -> Any:
        """The card, from :func:`card_fields`; huggingface_hub calls this."""
        head, name = find_head(self), type(self).__name__
        learned = sum(p.numel() for p in self.parameters() if p.requires_grad)
        described = (
            f"{type(head).__name__} ({head.num_classes} classes, features of width {head.dim}; "
            f"{head.head_parameters()} of the model's {learned} learnable parameters are the head's)"
        )
        usage = f'from {type(self).__module__} import {name}\n\nmodel = {name}.from_pretrained("OWNER/NAME")'
        return super().generate_model_card(title=name, head=described, usage=usage, **fields)

    def _save_pretrained(self, save_directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=save_directory) as folder:  # which of shared weights stay is its choice
            _of_torch.save_model(self, f"{folder}/{WEIGHTS}")
            tensors, metadata = read_safetensors(Path(folder) / WEIGHTS, remedy="Save the model again.")
        write_safetensors(Path(save_directory) / WEIGHTS, tensors, metadata, extra="hub")

    @classmethod
    def _from_pretrained(cls, *, model_id: str, strict: bool = True, **options: Any) -> Any:
        folder = Path(model_id)
        if folder.is_dir() and not (folder / WEIGHTS).is_file():
            raise ValueError(f"there is no {WEIGHTS} in {model_id!r}. Save a model there with save_pretrained.")
        if folder.is_dir():  # what comes from the hub it has compared with its own hash
            read_safetensors(folder / WEIGHTS, remedy="Save the model again, or take another copy.", extra="hub")
        try:
            model = super()._from_pretrained(model_id=model_id, strict=strict, **options)
        except (TypeError, RuntimeError, _safetensors.SafetensorError) as error:
            raise ValueError(f"{model_id!r} does not hold a {cls.__name__}: {error}") from error
        return model.eval()  # which huggingface_hub before 1.0 promises, and forgets for safetensors


class HubClassifier(nn.Module, HubMixin):
    """A backbone by name with a head by name: what ``equiangular`` trains, as one module that can be published.

    Args:
        backbone: see :func:`equiangular.models.make_backbone`.
        input_shape: shape of one input, such as (3, 32, 32).
        num_classes: K.
        head: kind of the head, see :func:`equiangular.make_head`.
        head_options: its options, JSON-plain.
        width: multiplies the sizes of the backbone's layers.
        seed: seed of the initial weights.

    Raises:
        ValueError: a name that is not known, or an argument out of its range.

    Example:
        >>> import torch
        >>> model = HubClassifier(backbone="mlp", input_shape=[8], num_classes=3, head_options={"norm": "batch"})
        >>> model(torch.zeros(2, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        *,
        backbone: str,
        input_shape: Sequence[int],
        num_classes: int,
        head: str = "etf",
        head_options: Mapping[str, Any] | None = None,
        width: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        options = {"seed": seed, **(head_options or {})}
        try:
            json.dumps(options)
        except TypeError as error:
            raise ValueError(f"head_options must be JSON-plain, to fit into config.json: {error}.") from error
        self.backbone = make_backbone(backbone, tuple(input_shape), width=width, seed=seed)
        self.head = make_head(head, self.backbone.num_features, num_classes, **options)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of inputs (B, *input_shape)."""
        return self.head(self.backbone(x))
