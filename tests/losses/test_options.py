"""Every number that a loss is given is checked, and named in the message as the user wrote it."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.test_waits import LOSSES, TABLE_LOSSES, B, D, K

from equiangular import losses

COUNTS = [40, 20, 10, 5, 3]
# ignore_index may be any integer.
FREE = {"ignore_index"}


def numbers(function: Callable[..., Any]) -> list[str]:
    """The keyword arguments of a function that are numbers by default or without one."""
    found = inspect.signature(function).parameters.values()
    return [
        p.name
        for p in found
        if p.kind is p.KEYWORD_ONLY
        and p.name not in FREE
        and (type(p.default) in (int, float) or (p.default is p.empty and "float" in str(p.annotation)))
    ]


MADE = {type(make()): make for make in (LOSSES | TABLE_LOSSES).values()}
CLASSES = [(kind, name) for kind in MADE for name in numbers(kind.__init__)]
FUNCTIONS = [
    (function, name)
    for function in vars(losses).values()
    if inspect.isfunction(function) and function.__name__.endswith("_loss")
    for name in numbers(function)
]


def needed(function: Callable[..., Any]) -> dict[str, float]:
    found = inspect.signature(function).parameters.values()
    return {p.name: 1.0 for p in found if p.kind is p.KEYWORD_ONLY and p.default is p.empty}


def refused(name: str) -> Any:
    return pytest.raises(ValueError, match=rf"^{re.escape(name)} ")


@pytest.mark.parametrize("value", [float("nan"), -1.0, "much"])
@pytest.mark.parametrize(("kind", "name"), CLASSES, ids=lambda part: getattr(part, "__name__", part))
def test_of_a_module(kind: Any, name: str, value: Any) -> None:
    counts = (COUNTS,) if "class_counts" in inspect.signature(kind.__init__).parameters else ()
    with refused(name):
        kind(*counts, **{**needed(kind.__init__), name: value})


@pytest.mark.parametrize("value", [float("nan"), -1.0, "much"])
@pytest.mark.parametrize(("function", "name"), FUNCTIONS, ids=lambda part: getattr(part, "__name__", part))
def test_of_a_function(function: Any, name: str, value: Any) -> None:
    known = inspect.signature(function).parameters
    x, y = torch.zeros(B, D if "weight" in known else K), torch.arange(B) % K
    given = {"weight": torch.eye(K, D), "class_counts": COUNTS}
    with refused(name):
        function(x, y, **{n: v for n, v in given.items() if n in known}, **{**needed(function), name: value})
