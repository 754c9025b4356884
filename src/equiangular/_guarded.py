"""The one reader of text that others wrote, JSON and YAML: it ends with plain values or with a ValueError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from equiangular._extras import require

Kind = TypeVar("Kind")

DEPTH = 40  # levels of lists and mappings inside each other
YAML_SIZE = 2**20  # characters; of JSON, which takes a thousandth of the time, as much as there is


def parse_json(text: str | bytes) -> Any:
    """The values in a JSON text.

    Raises:
        ValueError: it is not JSON, or nested more than 40 deep.

    Example:
        >>> parse_json(b'{"a": [1]}')
        {'a': [1]}
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_DEEP) from None
    check_depth(value)
    return value


def json_in(metadata: Mapping[str, str], key: str, kind: type[Kind], where: str) -> Kind | None:
    """A value that a file's metadata has as JSON; None where it has none.

    Args:
        metadata: strings by name.
        key: name of the value.
        kind: what it must be: ``dict`` or ``list``.
        where: the file, for messages.

    Raises:
        ValueError: it is not JSON or of another kind.

    Example:
        >>> json_in({"class_names": '["a", "b"]'}, "class_names", list, "demo")
        ['a', 'b']
    """
    if not metadata.get(key):
        return None
    try:
        value = parse_json(metadata[key])
    except ValueError as error:
        raise ValueError(f"{where}: {key!r} in its metadata is not JSON ({error}). Write the file again.") from error
    if isinstance(value, kind):
        return value
    wanted = "a list" if issubclass(kind, list) else "an object"
    raise ValueError(f"{where}: {key!r} in its metadata must be {wanted} in JSON, got {value!r}. Write the file again.")


def parse_yaml(text: str, *, what: str) -> Any:
    """The values in a YAML text; JSON is YAML.

    Args:
        text: at most 2**20 characters that are no JSON.
        what: the text is, for messages.

    Raises:
        ValueError: it is not YAML (the line is named), too large or nested too deeply, or has aliases.
        ImportError: PyYAML is missing.

    Example:
        >>> parse_yaml("a: [1]", what="the text")
        {'a': [1]}
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            return parse_json(text)
        except ValueError:
            pass  # YAML has brackets too
    yaml = require("yaml", extra="train", purpose="Reading YAML")
    try:
        if len(text) > YAML_SIZE:
            raise ValueError(f"it has {len(text):,} characters, and the limit is {YAML_SIZE:,}; write it as JSON")
        depth = 0
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for more than a memory holds
                raise ValueError(f"it has the alias *{event.anchor}; write out what it stands for")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH:
                raise ValueError(_DEEP)
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{what} is not YAML that can be read: {' '.join(str(error).split())}.") from error


def check_depth(value: Any) -> None:
    """Raise a ValueError if lists and mappings are nested more than 40 deep."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH):
        inner = (child for one in level for child in (one.values() if isinstance(one, dict) else one))
        level = [child for child in inner if isinstance(child, (dict, list))]
    if level:
        raise ValueError(_DEEP)


_DEEP = f"it is nested more than {DEPTH} deep"
