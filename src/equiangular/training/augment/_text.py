"""The text form of steps: names separated by commas, each with its parameters after colons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from equiangular._validate import did_you_mean


def parse_steps(text: str, steps: Mapping[str, Callable[..., Any]], *, what: str) -> tuple[tuple[str, Any], ...]:
    """Read ``"name:1:2,other"`` with the given dataclasses; their fields say what the parameters are.

    Args:
        text: the text; ``"none"`` or empty for no step.
        steps: dataclass by name.
        what: what a step is called in messages.

    Raises:
        ValueError: an unknown or repeated name, or a parameter that does not fit.
    """
    words = [word.strip() for word in str(text).split(",")]
    if words in (["none"], [""]):
        return ()
    parsed: dict[str, Any] = {}
    for word in words:
        name, *given = (part.strip() for part in word.split(":"))
        if name == "none":
            raise ValueError(f"{what} 'none' stands alone, got {text!r}. Leave it out, or the others.")
        if name not in steps:
            known = [*steps, "none"]
            hint = did_you_mean(name, known)
            raise ValueError(
                f"unknown {what} {name!r} in {text!r}{hint} There are: {', '.join(known)}; separated by commas."
            )
        if name in parsed:
            raise ValueError(f"{what} {name!r} is named twice in {text!r}; once is enough.")
        parsed[name] = _make(steps[name], name, given, what)
    return tuple(parsed.items())


def step_text(name: str, step: Any) -> str:
    """The shortest text that gives this step.

    Trailing parameters at their defaults are left out.
    """
    values = [(getattr(step, field.name), field.default) for field in fields(step)]
    while values and values[-1][0] == values[-1][1]:
        values.pop()
    return ":".join([name, *(f"{value:g}" if isinstance(value, float) else str(value) for value, _ in values)])


def _make(step: Callable[..., Any], name: str, given: list[str], what: str) -> Any:
    known = fields(step)  # type: ignore[arg-type]
    if len(given) > len(known):
        listed = ":".join([name, *(field.name.upper() for field in known)])
        raise ValueError(f"{what} {name!r} takes at most {len(known)} parameter(s), got {len(given)}. Write {listed}.")
    values = []
    for field, text in zip(known, given, strict=False):
        kind = type(field.default)
        try:
            values.append(kind(text))
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise ValueError(f"{what} {name!r}: {field.name} must be {number}, got {text!r}.") from None
    return step(*values)
