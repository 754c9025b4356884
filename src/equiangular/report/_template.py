"""The templates of the pages, all rendered under the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equiangular._extras import require


def template(name: str) -> Any:
    """A template by name, which escapes what it is given and refuses what it is not given.

    Raises:
        ImportError: jinja2 is missing.
    """
    jinja2 = require("jinja2", extra="plot", purpose="Writing the page")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
