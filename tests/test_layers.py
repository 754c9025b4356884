"""The table of CONTRIBUTING.md holds: a package imports those above it and the private modules, never those below."""

import ast
import re
import subprocess
import sys
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


def modules() -> dict[str, Path]:
    """Every module of the library by its dotted name."""
    names = {}
    for path in SOURCE.rglob("*.py"):
        parts = ("equiangular", *path.relative_to(SOURCE).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that a file imports, inside functions too.

    What only a type checker sees does not count, except in a package's own file, where it is imported on first use.
    """
    found: set[str] = set()
    lazy = path.name == "__init__.py"

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not lazy:
            for other in node.orelse:
                look(other)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            names = {f"{node.module}.{alias.name}" for alias in node.names} - {"equiangular.__version__"}
            found.update(name if name in known else node.module for name in names)
        for child in ast.iter_child_nodes(node):
            look(child)

    look(ast.parse(path.read_text(encoding="utf-8")))
    return found


def test_no_module_imports_itself_through_others() -> None:
    known = modules()
    graph = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    done: set[str] = set()
    circles: list[list[str]] = []

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            circles.append([*way[way.index(name) :], name])
            return
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, [*way, name])
        done.add(name)

    for name in sorted(graph):
        visit(name, [])
    assert not circles


ROOMS = ("run", "engine", "model", "methods", "augment", "config")


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_training_import_rightwards_only(room: str) -> None:
    apart = {"model": {"augment"}, "augment": {"config"}}
    allowed = set(ROOMS[ROOMS.index(room) :]) - apart.get(room, set())
    known = modules()
    rooms = {name: f"{name}.".split(".")[2] for name in known if name.startswith("equiangular.training")}
    wrong = {
        name: others
        for name, path in known.items()
        if rooms.get(name) == room
        and (others := {o for o in imported_modules(path, known) if rooms.get(o, room) not in allowed})
    }
    assert not wrong


def test_reports_read_records_and_compute_nothing() -> None:
    known = modules()
    private = tuple(
        f"equiangular.{name}" for name in ("_files", "_atomic", "_extras", "_checks", "_counted", "_notebook")
    )
    allowed = ("equiangular.report", "equiangular.records", *private)
    wrong = {
        name: others
        for name, path in known.items()
        if name.startswith("equiangular.report")
        and (others := {o for o in imported_modules(path, known) if not o.startswith(allowed)})
    }
    assert not wrong
    text = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "report").glob("*.py"))
    assert not re.search(r"^\s*(import|from) (torch|numpy|scipy)", text, flags=re.MULTILINE)


def test_a_run_reaches_its_step_through_few_files(tmp_path: Path) -> None:
    """Files of ours on the call stack from the command line to the criterion of the first step: at most 12."""
    code = f"""
import sys
from pathlib import Path
passed = []
def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.endswith("criteria.py"):
        steps = 0
        while frame is not None:
            steps += frame.f_code.co_name == "_take_step"
            if "/src/equiangular/" in frame.f_code.co_filename:
                passed.append(frame.f_code.co_filename)
            frame = frame.f_back
        if steps:
            sys.setprofile(None)
        else:
            passed.clear()
import equiangular.training.run.train  # before the watch, under which importing takes long
from equiangular.cli import main
sys.setprofile(watch)
try:
    main(["train", "digits", "--epochs", "1", "-q", "-o", {str(tmp_path / "run")!r}])
except SystemExit as end:
    assert not end.code
print(len(set(passed)), [Path(name).name for name in dict.fromkeys(passed)])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    number, files = run.stdout.strip().splitlines()[-1].split(" ", 1)
    assert files.startswith("['criteria.py', 'task.py', 'loop.py', ")
    assert int(number) <= 12, files
