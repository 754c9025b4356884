"""Experiments import the library, never the other way; documents name commands and files that there are."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from equiangular.cli import main
from experiments.commands.app import QUESTIONS, SCRIPTS, app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/*.md")]
# "experiments" as the name of a module, in an import or in a string that import_module may be given.
MODULE = re.compile(r"experiments(\.\w+)*")


def imported(source: str) -> set[str]:
    """Every module that a source text imports, and every string in it that is the name of one of experiments."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            found.add(node.value)
    return {name for name in found if name.partition(".")[0] == "experiments"}


@pytest.mark.parametrize(
    "source",
    ["import experiments", "def f():\n    from experiments.studies import Study", "load('experiments.common')"],
)
def test_an_import_of_experiments_is_seen(source: str) -> None:
    assert imported(source)
    assert not imported(source.replace("experiments", "equiangular"))


def test_the_library_does_not_import_experiments() -> None:
    files = sorted(ROOT.glob("src/**/*.py"))
    assert files
    assert [str(path) for path in files if imported(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_documents_name_commands_that_there_are(path: Path) -> None:
    command = get_command(app)
    for line in re.findall(r"python -m experiments\b([^`#\n\]]*)", path.read_text(encoding="utf-8")):
        words = shlex.split(line.partition("(")[0])
        if words and words[0][0].islower():
            assert words[0] in command.commands
            if words[0] == "questions" and words[1:]:
                assert words[1] in QUESTIONS


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/*.md")), ids=lambda p: p.name)
def test_links_to_files_exist(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("command", [*SCRIPTS, *(f"questions {name}" for name in QUESTIONS)])
def test_every_command_says_what_it_takes(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"], commands="experiments.commands.app", program="python -m experiments")
    assert not stop.value.code
    assert f"usage: python -m experiments {command} [-h]" in " ".join(capsys.readouterr().out.split())
