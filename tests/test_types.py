"""What a type checker and an editor see of the package."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import equiangular
import equiangular.measures
import equiangular.training
from equiangular import ETFHead, LinearHead, recommended_head
from equiangular.heads import HEADS, Head
from equiangular.heads.options import AnyHeadOptions, CommonOptions, ETFHeadOptions, HeadOptions

SOURCE = Path(equiangular.__file__).parents[1]


def names_for_a_checker(module: ModuleType) -> dict[str, str]:
    """Name → module of the imports under ``if TYPE_CHECKING``."""
    (block,) = (
        node
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    assert all(isinstance(node, ast.ImportFrom) and node.level == 0 for node in block.body)
    assert all(alias.asname == alias.name for node in block.body for alias in node.names)  # else it is not exported
    return {alias.name: node.module for node in block.body for alias in node.names}


LAZY = [equiangular, equiangular.measures, equiangular.training]


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_a_checker_sees_the_names_that_there_are(module: ModuleType) -> None:
    seen = names_for_a_checker(module)
    places = dict(zip(module.__getattr__.__code__.co_freevars, module.__getattr__.__closure__, strict=True))
    found = {
        name: f"{module.__name__}{place}" if place.startswith(".") else place
        for name, place in places["places"].cell_contents.items()
        if name != "__version__"
    }
    subpackages = places["subpackages"].cell_contents.split()
    assert seen == found | dict.fromkeys(subpackages, module.__name__)


def mypy(path: Path) -> list[str]:
    """The complaints about a file, with the project's settings, whose cache `make lint` has filled."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(path)]
    done = subprocess.run(command, cwd=SOURCE.parent, env={"PATH": ""}, capture_output=True, text=True)
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if path.name in line]


@pytest.mark.slow
def test_a_checker_reports_a_wrong_name_and_a_wrong_argument(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import equiangular as eq\n\n"
        "eq.dot_regression_lossy()\n"
        'eq.simplex_etf("nonsense", nothing=3)\n'
        "eq.training.Trail()\n"
    )
    text = "\n".join(mypy(wrong))
    assert 'wrong.py:3: error: Module has no attribute "dot_regression_lossy"' in text
    assert "wrong.py:4: error: " in text
    assert "nothing" in text
    assert "nonsense" in text or '"str"' in text
    assert 'wrong.py:5: error: Module has no attribute "Trail"' in text

    right = tmp_path / "right.py"
    right.write_text(
        "import equiangular as eq\n\n"
        "frame = eq.simplex_etf(10, 64)\n"
        "head = eq.ETFHead(64, 10)\n"
        "reveal_type(frame)\n"
        "reveal_type(head)\n"
        "reveal_type(eq.simplex_etf)\n"
        "reveal_type(eq.training.run_trial)\n"
        "reveal_type(eq.measures.collapse.self_duality)\n"
        "reveal_type(eq.NeuralCollapse(10, 64))\n"
    )
    lines = mypy(right)
    assert not [line for line in lines if ": error: " in line]
    assert [line.split('"')[1].split("(")[0] for line in lines] == [
        "torch._tensor.Tensor", "equiangular.heads.etf.ETFHead", "def ", "def ", "def ",
        "equiangular.measures.neural_collapse.NeuralCollapse",
    ]  # fmt: skip


def test_the_ratchet_lets_numbers_fall_and_not_rise() -> None:
    spec = importlib.util.spec_from_file_location("ratchet", SOURCE.parent / "dev" / "ratchet.py")
    ratchet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ratchet)
    allowed = {"cli": 2, "compare": 1, "compare/answer.py": 0}
    report = "\n".join(
        f"src/equiangular/{path}:{line}: {what}"
        for path, line, what in [
            ("cli/app.py", 3, "error: one"),
            ("cli/app.py", 3, "note: no error"),
            ("compare/answer.py", 4, "error: two"),
            ("compare/run.py", 5, "error: three"),
            ("frames/gram.py", 6, "error: four"),
        ]
    )
    found = ratchet.errors_by_package(report, allowed)
    assert {key: len(lines) for key, lines in found.items()} == dict.fromkeys([*allowed, "frames"], 1)
    wrong, lower = ratchet.judge(found, allowed)
    assert [line for line in wrong if "allowed are" in line] == [
        "compare/answer.py: 1 errors, allowed are 0",
        "frames: 1 errors, allowed are 0",
    ]
    assert lower == {"cli": 1, "compare": 1, "compare/answer.py": 0}


def keyword_arguments(function: Callable[..., Any]) -> set[str]:
    return {name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


def test_the_typed_options_of_heads_are_their_keyword_arguments() -> None:
    common = keyword_arguments(Head.__init__)
    assert set(HeadOptions.__annotations__) == common
    assert set(CommonOptions.__annotations__) == common - keyword_arguments(LinearHead.__init__)
    assert set(ETFHeadOptions.__annotations__) == common | keyword_arguments(ETFHead.__init__)
    special = [keyword_arguments(head.__init__) for head in HEADS.values()]
    everything = common.union(*special, keyword_arguments(recommended_head))
    assert set(AnyHeadOptions.__annotations__) == everything
