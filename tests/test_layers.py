"""The table of CONTRIBUTING.md holds: a package imports those above it and the private modules, never those below."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "equiangular"
ORDER = re.findall(r"^\| `(\w+)/` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.MULTILINE)


def imported_packages(path: Path) -> set[str]:
    """Names of our packages that a file imports, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "equiangular":
            names += [f"equiangular.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    ours = {name.split(".")[1] for name in names if name.startswith("equiangular.")}
    return {name for name in ours if (SOURCE / name).is_dir()}


def test_every_package_has_a_row() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages == set(ORDER), "CONTRIBUTING.md says what each package holds and may import: add or drop a row"


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_above_it(package: str) -> None:
    allowed = set(ORDER[: ORDER.index(package) + 1])
    wrong = {
        str(path.relative_to(SOURCE)): below
        for path in (SOURCE / package).rglob("*.py")
        if (below := imported_packages(path) - allowed)
    }
    assert not wrong
