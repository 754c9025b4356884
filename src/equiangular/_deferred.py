"""Part of a large package at the price of that part: its own ``__init__`` runs when more of it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from logging import getLogger
from threading import RLock
from types import ModuleType
from typing import Any

_lock = RLock()  # other threads wait while a part, or the rest, is imported


class _Deferred(ModuleType):
    """A package that so far is some of its submodules; it becomes itself on the first look at anything else of it."""

    def __getattribute__(self, name: str) -> Any:
        known = ModuleType.__getattribute__(self, "__dict__")
        # ``__path__`` is what an import of a further submodule looks at.
        if name == "__path__" or (name not in known and not hasattr(ModuleType, name)):
            with _lock:
                if known.get("_waiting"):
                    _finish(self)
        return ModuleType.__getattribute__(self, name)  # of another class by now, perhaps

    def __dir__(self) -> list[str]:
        _ = self.__path__
        return sorted(ModuleType.__dir__(self))


def _finish(package: ModuleType) -> None:
    """Run the package's ``__init__``."""
    loader: Any = package.__spec__.loader if package.__spec__ else None
    vars(package)["_waiting"] = False  # what it asks of itself meanwhile is answered as by any half-imported package
    try:
        loader.exec_module(package)
    except BaseException:
        vars(package)["_waiting"] = True
        raise
    object.__setattr__(package, "__class__", ModuleType)


def import_part(module: str) -> ModuleType:
    """The module ``PACKAGE.MODULE`` without what else ``import PACKAGE`` would load.

    ``import torchmetrics`` takes seconds, for it loads transformers and scipy.signal, and a metric of one's own needs
    a hundredth of it. Whoever then uses more of the package finds it whole, as after an ordinary import:
    its ``__init__`` runs when another name or submodule of it is first asked for. A package that is already imported is
    left as it is.

    Args:
        module: dotted name, such as ``"torchmetrics.utilities"``.

    Raises:
        ImportError: there is no such package or module, or it cannot be imported.

    Example:
        >>> import_part("json.decoder").__name__
        'json.decoder'
    """
    package = module.partition(".")[0]
    with _lock:
        spec = None if package in sys.modules else find_spec(package)
        if spec is None or spec.loader is None:
            return import_module(module)
        loading = module_from_spec(spec)
        # What its submodules, and others, look up in a package before anything else.
        vars(loading).update(__version__=version(package), _logger=getLogger(package), _waiting=False)
        object.__setattr__(loading, "__class__", _Deferred)
        sys.modules[package] = loading
        try:
            part = import_module(module)
        except BaseException:
            for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
                del sys.modules[name]
            return import_module(module)  # as ever, or the reason why not
        vars(loading)["_waiting"] = True
        return part
