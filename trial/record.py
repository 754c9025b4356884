"""What a trial has found so far, in one JSON file: a case that is in it is not run again."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance

_SECONDS = 5.0  # between two writings


class Record:
    """Cases by part and name, each with what came out: ``"good"``, or what was wrong.

    Args:
        path: the file; a trial that was stopped goes on from it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cases: dict[str, dict[str, str]] = read_json(path)["cases"] if path.exists() else {}
        self._written = time.monotonic()

    def case(self, part: str, name: str, run: Callable[..., str], *args: Any, **options: Any) -> str:
        """What came of a case: known already, or run now."""
        known = self.cases.setdefault(part, {})
        if name not in known:
            try:
                known[name] = run(*args, **options)
            except Exception as error:  # a case that fails is a finding, not the end
                known[name] = f"{type(error).__name__}: {error}"
            if time.monotonic() - self._written > _SECONDS:
                self.write()
        return known[name]

    def write(self) -> None:
        """Write the file."""
        write_json(self.path, {"figures": self.figures(), "provenance": provenance(), "cases": self.cases})
        self._written = time.monotonic()

    def figures(self) -> dict[str, Any]:
        """For each part the number of cases, how many came out in which good way, and what was wrong."""
        found: dict[str, Any] = {}
        for part, cases in self.cases.items():
            good = Counter(text for text in cases.values() if text.startswith("good"))
            wrong = {name: text for name, text in cases.items() if not text.startswith("good")}
            found[part] = {"cases": len(cases), **dict(sorted(good.items())), "wrong": wrong}
        return found

    def summary(self) -> dict[str, Any]:
        """The figures, and where they come from."""
        return {"figures": self.figures(), "provenance": provenance()}

    def __str__(self) -> str:
        return json.dumps({part: {k: v for k, v in f.items() if k != "wrong"} | {"wrong": len(f["wrong"])}
                           for part, f in self.figures().items()}, indent=1)  # fmt: skip
