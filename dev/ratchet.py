"""mypy --strict, package by package: as many errors as ``mypy_ratchet.json`` allows, which only falls.

A package that is not in the file is allowed none. A key with a path, such as ``compare/answer.py``, counts that file
apart from its package. ``python dev/ratchet.py`` fails on more errors than are allowed and shows those of the package;
``python dev/ratchet.py --update`` writes the numbers down where they have fallen.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "dev" / "mypy_ratchet.json"


def errors_by_package(report: str, allowed: dict[str, int]) -> dict[str, list[str]]:
    """The lines of mypy's report that are errors, by the key that they count for."""
    found: dict[str, list[str]] = {}
    for line in report.splitlines():
        if match := re.match(r"src/equiangular/([^:]+):\d+: error: ", line):
            path = match[1]
            found.setdefault(path if path in allowed else path.split("/")[0], []).append(line)
    return found


def judge(found: dict[str, list[str]], allowed: dict[str, int]) -> tuple[list[str], dict[str, int]]:
    """What is wrong, in lines to print, and the numbers to allow from now on."""
    wrong: list[str] = []
    for key, lines in sorted(found.items()):
        if len(lines) > allowed.get(key, 0):
            wrong += [*lines, f"{key}: {len(lines)} errors, allowed are {allowed.get(key, 0)}"]
    return wrong, {key: min(number, len(found.get(key, []))) for key, number in allowed.items()}


def main() -> int:
    """0, or 1 where a package has more errors than are allowed."""
    allowed: dict[str, int] = json.loads(FILE.read_text(encoding="utf-8"))
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # mypy itself broke, and reported on nothing
        print(done.stdout + done.stderr)
        return 1
    wrong, lower = judge(errors_by_package(done.stdout, allowed), allowed)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if lower != allowed and "--update" in sys.argv:
        FILE.write_text(json.dumps(lower, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    elif lower != allowed:
        print("fewer type errors than allowed: write it down with python dev/ratchet.py --update")
    print(f"mypy --strict: {sum(lower.values())} errors allowed, {len(wrong)} lines of complaint")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
