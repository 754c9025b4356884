"""Where things are in the checkout, and the parser of a command that brings arguments of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RECIPE = RESULTS / "recipe"
QUESTIONS = RESULTS / "questions"
DOCS = HERE.parent / "docs"
FIGURES = DOCS / "figures"


def command_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written, under the name by which one runs it."""
    return argparse.ArgumentParser(
        prog=f"python -m experiments {command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
