"""Every public name stands on a page of the API reference, and every name on a page exists."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import equiangular

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "equiangular"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md")}
OLD = {"best_frame", "best_head"}  # warn when called, and are listed nowhere
UNLISTED = {"cli"}  # commands: no names to import
PACKAGES = {p.parent.name: p.parent for p in SOURCE.glob("*/__init__.py") if p.parent.name not in UNLISTED}
PACKAGES["collapse"] = SOURCE / "measures" / "collapse"


def directives(text: str) -> list[str]:
    return re.findall(r"^::: (equiangular\.[\w.]+)$", text, flags=re.MULTILINE)


def public_names(package: Path) -> set[str]:
    """What a package re-exports: its `__all__`, or the imports of the form ``x as x``."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {a.name for node in imports for a in node.names if a.asname == a.name} - {"collapse"}


def modules(package: Path) -> list[Path]:
    return [path for path in sorted(package.glob("*.py")) if not path.stem.startswith("_")]


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"integrations"}))
def test_every_public_name_of_a_package_is_on_its_page(name: str) -> None:
    names = public_names(PACKAGES[name])
    assert names, "nothing is public here: mend this test"
    assert names - OLD == {path.rsplit(".", 1)[1] for path in directives(PAGES[name])}, f"mend docs/api/{name}.md"


def test_every_public_name_of_the_integrations_is_on_their_page() -> None:
    public = set()
    for path in modules(PACKAGES["integrations"]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = (ast.ClassDef, ast.FunctionDef)
        public |= {f"{path.stem}.{n.name}" for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")}
    assert public == {path.removeprefix("equiangular.integrations.") for path in directives(PAGES["integrations"])}


def test_every_name_of_the_library_is_in_the_index() -> None:
    listed = set(re.findall(r"^\| \[`(\w+)`\]\[equiangular\.", PAGES["index"], flags=re.MULTILINE))
    assert listed == set(equiangular.__all__) - {"__version__"}
    places = set(re.findall(r"\]\[(equiangular\.[\w.]+)\]", PAGES["index"]))
    assert places <= {path for text in PAGES.values() for path in directives(text)}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_renderer_finds_what_a_page_names(page: str) -> None:
    for path in directives(PAGES[page]):
        home, name = path.rsplit(".", 1)
        place = SOURCE.parent.joinpath(*home.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), f"no module {home}"
        assert not place.joinpath(f"{name}.py").is_file(), f"{path} is a module to the renderer: write {path}.{name}"


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"index", "integrations"}))
def test_what_a_page_names_is_described(page: str) -> None:
    for path in directives(PAGES[page]):
        home, name = path.rsplit(".", 1)
        thing = getattr(importlib.import_module(home), name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{path} has no docstring"
