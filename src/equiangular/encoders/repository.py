"""What a repository of Hugging Face states of its model, in a folder or on the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from equiangular._extras import require
from equiangular._guarded import parse_json

Pooling = Literal["mean", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# How sentence-transformers before version 5 wrote them into 1_Pooling/config.json.
_FLAG = "pooling_mode_"
_FLAGS = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}


def need_config(library: Any, where: str) -> None:
    """Raise unless there is a model at all."""
    if repository_json(library, where, "config.json") is None:
        raise ValueError(
            f"no model in {where!r}: it is neither a folder with a config.json nor a repository of Hugging Face's hub "
            "that can be reached from here."
        )


def stated_pooling(config: dict[str, Any] | None, where: str) -> str:
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


def repository_json(library: Any, where: str, file: str) -> Any:
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
            raise ValueError(
                f"no model in {where!r}: it is no folder, and the hub does not give it: {reason}"
            ) from error
    try:
        return None if found is None else parse_json(Path(found).read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {file} of {where!r}: {error}") from error


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
