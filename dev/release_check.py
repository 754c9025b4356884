"""Builds wheel and sdist, checks both, and runs the wheel where nothing of the checkout can be imported.

python dev/release_check.py                                    # short: CI runs it, the tools come from the index
python dev/release_check.py --extras python3.10 python3.13     # and resolves each extra for these interpreters
python dev/release_check.py --install python3.10 python3.13    # and installs the core in an empty environment of each
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "release"
TOOLS = ("build", "twine", "check-wheel-contents")
TRIAL = """
import os, sys, equiangular as eq
assert os.environ["SITE"] in eq.__file__, eq.__file__
print(sys.version.split()[0], eq.__version__, eq.simplex_etf(3, 2).shape)
"""
PAGE = """
from equiangular.report.page import Figure, Page, Section, write
figure = Figure("f", "a figure", {"mark": "point"}, "nothing")
assert write(Page("title", "heading", [Section("s", "section", [figure])]), "page.html").stat().st_size > 500_000
"""


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints; it ends this program where it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment},
        cwd=environment.get("PWD", ROOT),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def environment(python: str, name: str) -> Path:
    """The interpreter of a new, empty environment."""
    run(python, "-m", "venv", "--clear", WORK / name)
    return WORK / name / "bin" / "python"


def build() -> tuple[Path, Path]:
    """A new wheel, built from the sdist, and the sdist."""
    tools = environment(sys.executable, "tools")
    run(tools, "-m", "pip", "install", "-q", *TOOLS)
    dist = WORK / "dist"
    for old in dist.glob("*"):
        old.unlink()
    run(tools, "-m", "build", "--outdir", dist)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run(tools, "-m", "twine", "check", "--strict", wheel, sdist)
    run(tools.with_name("check-wheel-contents"), wheel)
    return wheel, sdist


def look_inside(wheel: Path, sdist: Path) -> list[str]:
    """Both hold what they should and nothing else; the names of the extras."""
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
        metadata = Parser().parsestr(held.read(next(n for n in names if n.endswith("METADATA"))).decode())
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"equiangular"}, names
    sources = {
        str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*") if p.suffix in (".py", ".typed", ".js")
    }
    assert sources <= set(names), sources - set(names)
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert "](docs/" not in text, "a link of README.md leads nowhere on an index"
    with tarfile.open(sdist) as held:
        parts = {name.partition("/")[2].partition("/")[0] for name in held.getnames()}
    assert {"src", "tests", "docs", "examples", "LICENSE", "CITATION.cff", "README.md"} <= parts, parts
    return metadata.get_all("Provides-Extra") or []


def try_wheel(wheel: Path) -> None:
    """The wheel by itself, with the libraries of this interpreter, away from the checkout; a page has its templates."""
    site = WORK / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", site, wheel)
    with tempfile.TemporaryDirectory() as folder:
        there = {"PYTHONPATH": str(site), "SITE": str(site), "PWD": folder}
        print(run(sys.executable, "-c", TRIAL, **there).strip())
        run(sys.executable, "-c", PAGE, **there)


def main(arguments: Sequence[str] | None = None) -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="+", default=[], metavar="PYTHON", help="resolve each extra for these")
    parser.add_argument("--install", nargs="+", default=[], metavar="PYTHON", help="install the core for these")
    options = parser.parse_args(arguments)
    wheel, sdist = build()
    extras = look_inside(wheel, sdist)
    try_wheel(wheel)
    for python in options.extras:
        pip = environment(python, "resolve")
        for extra in extras:
            run(pip, "-m", "pip", "install", "-q", "--dry-run", f"{wheel}[{extra}]")
            print(f"{python}: equiangular[{extra}] can be had", flush=True)
    for python in options.install:
        own = environment(python, "empty")
        run(own, "-m", "pip", "install", "-q", wheel)
        print(run(own, "-c", TRIAL, SITE=str(WORK / "empty"), PWD=str(WORK)).strip(), flush=True)
    print(f"{wheel.name} and {sdist.name} are fit to be published")


if __name__ == "__main__":
    main()
