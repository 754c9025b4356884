"""Old names that go on working for one release."""

from __future__ import annotations

import sys
import warnings


def warn_renamed(old: str, new: str) -> None:
    """Warn that ``old`` is written ``new`` now, from the line of the caller outside this library.

    Example:
        >>> import pytest
        >>> with pytest.warns(DeprecationWarning, match="tall is written high now"):
        ...     warn_renamed("tall", "high")
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "equiangular":
        level, frame = level + 1, frame.f_back
    message = f"{old} is written {new} now; the old form goes with the next release."
    warnings.warn(message, DeprecationWarning, stacklevel=level)
