"""Optional dependencies: imported where they are used, and named by extra where they are missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from equiangular._deferred import import_part


def require(module: str, *, extra: str | None, purpose: str, part: bool = False) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: dotted name of the module, such as ``"matplotlib.pyplot"``.
        extra: the extra of this package that installs it, such as ``"plot"``; None for a library that none installs.
        purpose: what needs it, in a few words; becomes part of the message.
        part: import this module alone, and its package when more of it is asked for, see :func:`import_part`.

    Returns:
        The imported module.

    Raises:
        ImportError: the module cannot be imported; the message says what to install.

    Example:
        >>> require("json", extra="train", purpose="reading results").__name__
        'json'
    """
    try:
        return import_part(module) if part else import_module(module)
    except (ImportError, RuntimeError) as error:  # torchvision for another torch raises RuntimeError
        name = module.partition(".")[0]
        wanted = f"'equiangular[{extra}]'" if extra else name
        raise ImportError(
            f"{purpose} needs {name!r}, which could not be imported ({error}). Install it with: pip install {wanted}"
        ) from error
