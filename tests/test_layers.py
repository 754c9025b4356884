"""The tables of CONTRIBUTING.md hold: imports go up in them, never down, and nowhere in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "equiangular"
TABLES = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ORDER = re.findall(r"^\| `(\w+)/` \|", TABLES, flags=re.MULTILINE)
ROOMS = re.findall(r"^\| `training/(\w+)/` \|", TABLES, flags=re.MULTILINE)


def imported(source: str, *, types: bool) -> set[str]:
    """Every name that a source text imports, wherever in it; with ``types`` also what only a type checker reads."""
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if not types and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def graph(folder: Path, *, types: bool = False) -> dict[str, set[str]]:
    """The modules of a package and what each imports of it; of ``from package import module`` the module alone."""
    files = {path: path.relative_to(folder.parent).with_suffix("").parts for path in folder.rglob("*.py")}
    modules = {".".join(parts).removesuffix(".__init__"): path for path, parts in files.items()}
    edges: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = imported(path.read_text(encoding="utf-8"), types=types)
        edges[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & set(modules)
        edges[module].discard(module)
    return edges


IMPORTS = graph(SOURCE, types=True)


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, or none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def inside(package: str) -> list[str]:
    """The modules of a package, itself among them."""
    return [name for name in IMPORTS if f"{name}.".startswith(f"equiangular.{package}.")]


def below(module: str, order: list[str], depth: int) -> set[str]:
    """What a module imports from lower rows of a table; the name of the row is at ``depth`` in that of a module."""
    own = module.split(".")[depth]
    places = {name: (name.split(".") + [""] * depth)[depth] for name in IMPORTS[module]}
    shared = module.split(".")[:depth]
    return {
        name
        for name, place in places.items()
        if name.split(".")[:depth] == shared and place in order and order.index(place) > order.index(own)
    }


def test_every_package_and_every_room_has_a_row() -> None:
    for folder, order in ((SOURCE, ORDER), (SOURCE / "training", ROOMS)):
        packages = {path.parent.name for path in folder.glob("*/__init__.py")}
        assert packages == set(order), "CONTRIBUTING.md says what each holds and may import: add or drop a row"


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_above_it(package: str) -> None:
    assert {name: low for name in inside(package) if (low := below(name, ORDER, 1))} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_training_imports_only_those_above_it(room: str) -> None:
    assert {name: low for name in inside(f"training.{room}") if (low := below(name, ROOMS, 2))} == {}


def test_config_and_augment_know_nothing_of_each_other() -> None:
    for one, other in (("config", "augment"), ("augment", "config")):
        names = set().union(*(IMPORTS[name] for name in inside(f"training.{one}")))
        assert not names & set(inside(f"training.{other}"))


def test_reports_import_records_and_nothing_that_computes() -> None:
    names = set().union(*(IMPORTS[name] for name in inside("report"))) - set(inside("report"))
    assert names <= {"equiangular.records", "equiangular._extras", "equiangular._files"}


def test_no_circle() -> None:
    assert circle(graph(SOURCE)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from pack.a import f", True),
        ("from pack import a", True),
        ("def f():\n    import pack.a", True),
        ("if typing.TYPE_CHECKING:\n    import pack.a\nelse:\n    from pack.a import f", True),
        ("if TYPE_CHECKING:\n    from pack.a import f", False),
        ("from pack import b", False),
    ],
)
def test_a_circle_is_seen(tmp_path: Path, text: str, found: bool) -> None:
    folder = tmp_path / "pack"
    folder.mkdir()
    for name, source in {"__init__": "from pack.a import f", "a": "import pack.b", "b": text}.items():
        (folder / f"{name}.py").write_text(source)
    assert ("pack.a" in circle(graph(folder))) == found
