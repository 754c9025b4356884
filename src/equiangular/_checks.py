"""Checks of plain numbers and names, without torch: what a command line needs before anything is loaded."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Choice = TypeVar("Choice", bound=str)


ROOT_VARIABLE = "EQUIANGULAR_DATA"  # the folder of named data sets


def check_int(value: Any, name: str, *, minimum: int, hint: str = "") -> int:
    """Return ``value`` as an int of at least ``minimum``; a bool or a fraction is refused."""
    integral = isinstance(value, int) or (hasattr(value, "__index__") and not hasattr(value, "requires_grad"))
    if isinstance(value, bool) or not integral or int(value) < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}.{' ' + hint if hint else ''}")
    return int(value)


def check_positive(value: Any, name: str, *, hint: str = "") -> float:
    """Return ``value`` as a finite float above zero; a bool or a string is refused."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.{' ' + hint if hint else ''}")
    return number


def check_non_negative(value: Any, name: str, *, hint: str = "") -> float:
    """Return ``value`` as a finite float of at least zero; a bool or a string is refused."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.{' ' + hint if hint else ''}")
    return number


def check_imbalance_factor(value: Any) -> float:
    """Return an imbalance factor n_max / n_min as a finite float of at least 1; for one below, name its reciprocal."""
    try:
        factor = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if 0 < factor < 1:
        raise ValueError(
            f"imbalance_factor is n_max / n_min and at least 1, got {value!r}: "
            f"{value!r} looks like the reciprocal; use {1 / factor:g}."
        )
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(
            f"imbalance_factor is n_max / n_min, a finite number of at least 1, got {value!r}. "
            "Use 1 for balanced classes and, for instance, 100 for a hundred to one."
        )
    return factor


def check_choice(value: Any, choices: Iterable[Choice], name: str) -> Choice:
    """Return ``value`` if it is one of ``choices``; else name the closest one."""
    options = list(choices)
    if value in options:
        return options[options.index(value)]
    listed = ", ".join(map(repr, options))
    raise ValueError(f"{name} must be one of {listed}, got {value!r}{did_you_mean(value, options)}")


def did_you_mean(value: Any, options: Sequence[str]) -> str:
    """``"; did you mean 'x'?"`` for the option closest to ``value``, else a full stop."""
    close = difflib.get_close_matches(str(value), [str(o) for o in options], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def unknown_data(name: str, names: Sequence[str], *, rooted: bool) -> str:
    """That a name of data is neither known nor a path, and what there is; ``rooted``: a folder of named data is set."""
    name = name if len(name) <= 200 else f"{name[:200]}..."
    hint = "" if rooted else f" Folders of data are looked for under root= or ${ROOT_VARIABLE}."
    return (
        f"unknown data set {name!r}: neither a name nor a path that exists{did_you_mean(name, names)} "
        f"Names: {', '.join(names)}.{hint}"
    )


def called(value: Any) -> str:
    """The type of a value as its users call it.

    Example:
        >>> called([]), called(ValueError), called(difflib.SequenceMatcher())
        ('list', 'type', 'difflib.SequenceMatcher')
    """
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"


def check_data_name(value: Any, name: str = "data") -> None:
    """Raise where something else than a name or a path was given to what keeps the name of its data.

    Example:
        >>> check_data_name("digits")
        >>> check_data_name([1, 2])
        Traceback (most recent call last):
        ValueError: data must be the name of a data set or a path, got list...
    """
    if not (isinstance(value, str) or hasattr(value, "__fspath__")):
        raise ValueError(
            f"{name} must be the name of a data set or a path, got {called(value)}. Write a table to a file, as with "
            "frame.to_parquet('data.parquet') or, in polars, frame.write_parquet('data.parquet'), and name the file."
        )


def path_exists(path: Path) -> bool:
    """Whether there is something at a path; what is too long for a path, or has a character that none has, is none.

    Example:
        >>> path_exists(Path("x" * 5000)), path_exists(Path("/"))
        (False, True)
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
