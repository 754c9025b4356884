"""The table of promises in docs/integrations.md: every row has tests, and versions that were run."""

import re
from importlib import metadata
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrations.md"
PROJECT = DOCUMENT.parents[1] / "pyproject.toml"
ROWS = re.findall(r"^\| ([\w-]+) ([\d.]+) \| ([\w. ]+) \| (.+) \| (.+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
PACKAGES = {"PyTorch": "torch", "PEFT": "peft"}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def test_the_table_has_all_that_is_promised() -> None:
    libraries = {row[0].lower() for row in ROWS}
    assert len(ROWS) == 23
    assert {
        "transformers",
        "peft",
        "timm",
        "torchmetrics",
        "lightning",
        "datasets",
        "scikit-learn",
        "skrub",
    } <= libraries


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[3][:30]}")
def test_every_row_is_borne_out(row: tuple[str, ...]) -> None:
    library, version, oldest, _, tests = row
    links = re.findall(r"\]\(([^)]+)\)", tests)
    assert links
    for link in links:
        file = (DOCUMENT.parent / link).resolve()
        assert re.search(r"^def test_", file.read_text("utf-8"), re.MULTILINE), file
    name = PACKAGES.get(library, library.lower())
    bounds = set(re.findall(rf'"{name.replace("_", "[-_]")}>=([\d.]+)"', PROJECT.read_text("utf-8")))
    if oldest != "not tried":  # the extras ask for what was tried
        assert bounds == {oldest}
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return
    assert numbers(installed) >= numbers(version), "a version that nobody has run is no promise"
