"""Whether a command can draw what it finds; where it cannot, that is said before the work and not after it."""

from __future__ import annotations

import sys

from equiangular._extras import require


def can_draw(*, figures: bool = True, later: str = "equiangular report then makes the page of this run") -> bool:
    """Whether the extra ``[plot]`` is there; where it is not, a line on standard error says so and what goes on.

    Args:
        figures: whether pictures are drawn beside the page, which needs matplotlib.
        later: how to have the page once it is.
    """
    modules = ["jinja2", "vl_convert", *(["matplotlib.figure"] if figures else [])]
    try:
        for module in modules:
            require(module, extra="plot", purpose="Drawing the results")
    except ImportError as error:
        print(f"equiangular: no page{' and no figures' * figures}. {error}; {later}.", file=sys.stderr)
        return False
    return True
