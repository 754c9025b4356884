"""Public names of a package, resolved on first use (PEP 562), so that importing the package imports nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str], *, renamed: Mapping[str, str] | None = None, subpackages: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are resolved on first use.

    A checker knows nothing of them. So the package imports the same names under ``TYPE_CHECKING`` and calls this
    otherwise: in a module that has a ``__getattr__``, a checker takes any name for granted.

    Args:
        package: the package's ``__name__``.
        names: module, absolute or relative to the package (``".frames"``) → its public names, separated by spaces.
        renamed: the same for old names, which are found and not listed.
        subpackages: modules below the package, found as its attributes and not in ``__all__``.
    """
    places = {name: module for table in (renamed or {}, names) for module in table for name in table[module].split()}
    public = sorted(name for group in names.values() for name in group.split())

    def get(name: str) -> Any:
        if name in places:
            value = getattr(import_module(places[name], package), name)
        elif name in subpackages.split():
            value = import_module(f".{name}", package)
        else:
            listed = ", ".join(modules[package].__all__)
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has: {listed}")
        setattr(modules[package], name, value)
        return value

    return get, lambda: sorted([*public, *subpackages.split()]), public
