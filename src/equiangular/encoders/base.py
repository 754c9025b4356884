"""What an encoder is: a frozen network that turns texts or images into vectors, with its own preprocessing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_int

if TYPE_CHECKING:
    from typing_extensions import Self

Modality = Literal["text", "image"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


@runtime_checkable
class Encoder(Protocol):
    """A frozen network with its own preprocessing.

    Attributes:
        name: what :func:`equiangular.encoders.load_encoder` calls it.
        revision: hash of its weights; None where it cannot be known, and then nothing is cached.
        dim: d, the length of a vector.
        modality: ``"text"`` or ``"image"``.
        preprocessing: what is done before and after the network, JSON-plain.
    """

    name: str
    revision: str | None
    dim: int
    modality: Modality
    preprocessing: dict[str, Any]

    def encode(self, batch: Sequence[Any]) -> Tensor:
        """Vectors (B, d) float32 on the CPU of B texts (str) or B images (``PIL.Image`` in RGB, of any size)."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """The same encoder, on another device."""
        ...


def describe(encoder: Encoder) -> dict[str, Any]:
    """Name, revision, dim, modality and preprocessing, JSON-plain: what a feature file and a model say of it.

    Example:
        >>> describe(CallableEncoder(lambda texts: torch.ones(len(texts), 2), dim=2, modality="text", name="ones"))
        {'name': 'ones', 'revision': None, 'dim': 2, 'modality': 'text', 'preprocessing': {}}
    """
    fields = ("name", "revision", "dim", "modality", "preprocessing")
    described: dict[str, Any] = json.loads(json.dumps({key: getattr(encoder, key) for key in fields}))
    return described


def same_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Why two descriptions are of different encoders, in words; empty where nothing in both of them differs.

    The name does not count: a folder may have moved.

    Example:
        >>> same_encoder({"dim": 2, "revision": "a"}, {"dim": 2, "revision": "b"})
        "revision 'a' against 'b'"
    """
    for key in ("modality", "dim", "revision", "preprocessing"):
        if key in one and key in other and one[key] != other[key]:
            if key == "preprocessing":
                return "its preprocessing has changed"
            return f"{key} {one.get(key)!r} against {other.get(key)!r}"
    return ""


def weights_revision(network: nn.Module, *, length: int = 16) -> str:
    """The first digits of a SHA-256 over names, dtypes, shapes and values of all weights.

    Example:
        >>> weights_revision(nn.ReLU())
        'e3b0c44298fc1c14'
    """
    hasher = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        hasher.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        hasher.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()[:length]


def checked_vectors(vectors: Any, count: int, dim: int | None, name: str) -> Tensor:
    """What an encoder returned, as (B, d) float32 on the CPU.

    Raises:
        ValueError: another shape, or NaN and infinite values (float16 weights overflow).
    """
    value = (vectors if isinstance(vectors, Tensor) else torch.from_numpy(np.asarray(vectors))).detach()
    if value.ndim != 2 or value.shape[0] != count or (dim is not None and value.shape[1] != dim):
        expected = f"({count}, {dim or 'd'})"
        raise ValueError(f"the encoder {name!r} must return vectors {expected}, got shape {tuple(value.shape)}.")
    if not value.is_floating_point():
        raise ValueError(f"the encoder {name!r} must return floating-point vectors, got {value.dtype}.")
    value = value.to(device="cpu", dtype=torch.float32)
    wrong = (~torch.isfinite(value).all(1)).nonzero().flatten()
    if len(wrong):
        raise ValueError(
            f"the encoder {name!r} made a vector with NaN or infinite values of input {int(wrong[0])} of the batch. "
            "Look at that input; an encoder with float16 weights may need float32."
        )
    return value


def encode_batch(encoder: Encoder, batch: Any, forward: Callable[[list[Any]], Any]) -> Tensor:
    """What ``forward`` makes of a batch, checked: (B, d) float32 on the CPU, (0, d) of an empty one.

    Raises:
        ValueError: one text or image in place of a list, an input that is no text for an encoder of texts, or vectors
            that :func:`checked_vectors` refuses.
    """
    if isinstance(batch, (str, bytes)) or not isinstance(batch, Iterable):
        raise ValueError(
            f"the encoder {encoder.name!r} takes a list of {encoder.modality}s, got one {type(batch).__name__}. "
            f"Give a list: encode([{encoder.modality}])."
        )
    inputs = list(batch)
    for i, value in enumerate(inputs):
        if encoder.modality == "text" and not isinstance(value, str):
            raise ValueError(
                f"the encoder {encoder.name!r} takes texts, got {type(value).__name__} at position {i} of the batch."
            )
    if not inputs:
        return torch.zeros(0, encoder.dim)
    return checked_vectors(forward(inputs), len(inputs), encoder.dim, encoder.name)


class CallableEncoder:
    """An encoder around a function of yours.

    Args:
        function: takes a list of B texts or of B images (``PIL.Image`` in RGB) and returns (B, d) vectors.
        dim: d.
        modality: ``"text"`` or ``"image"``.
        name: what to call it in files.
        revision: changes whenever the function's results would: with it, features are cached.

    Example:
        >>> encoder = CallableEncoder(lambda texts: torch.tensor([[float(len(t))] for t in texts]), dim=1)
        >>> encoder.encode(["four", "a"]).tolist()
        [[4.0], [1.0]]
    """

    def __init__(
        self,
        function: Callable[[Sequence[Any]], Any],
        *,
        dim: int,
        modality: Modality = "text",
        name: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.function = function
        self.dim = check_int(dim, "dim", minimum=1)
        self.modality: Modality = check_choice(modality, MODALITIES, "modality")
        self.name = str(name or getattr(function, "__qualname__", type(function).__name__))
        self.revision = revision
        self.preprocessing: dict[str, Any] = {}

    def encode(self, batch: Sequence[Any]) -> Tensor:
        """Vectors (B, d) float32 of a batch."""
        return encode_batch(self, batch, self.function)

    def to(self, device: torch.device | str) -> CallableEncoder:
        """Itself: where a function computes is its own business."""
        return self
