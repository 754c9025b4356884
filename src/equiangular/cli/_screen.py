"""What a command says: for people, or with ``--json`` one JSON document on standard output and the rest beside it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output; all else goes to standard error.")
]


class Screen:
    """Where tables and lines of a command go: standard output, or standard error if that has a JSON document.

    Args:
        as_json: whether ``--json`` was given.
        width: characters of a line where there is no terminal.

    Example:
        >>> Screen(False).print("wrote", "results.json")
        wrote results.json
        >>> Screen(True).document({"accuracy": float("nan")})
        {"accuracy": null}
    """

    def __init__(self, as_json: bool = False, *, width: int = 150) -> None:
        from rich.console import Console

        self.as_json = as_json
        terminal = Console(stderr=as_json).is_terminal
        self.console = Console(stderr=as_json, width=None if terminal else width)
        self.width = self.console.width

    def print(self, *objects: Any, style: str | None = None) -> None:
        """Print tables, or text as it is, however long its lines are."""
        text = all(isinstance(one, str) for one in objects)
        self.console.print(*objects, style=style, highlight=False, markup=False, soft_wrap=text and style is None)

    def document(self, value: Any) -> None:
        """Print the one document, where it was asked for; what JSON does not have, NaN and infinity, is null."""
        from equiangular._files import json_plain

        if self.as_json:
            print(json.dumps(json_plain(value), ensure_ascii=False, allow_nan=False), file=sys.stdout)
