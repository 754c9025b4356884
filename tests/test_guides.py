"""The guides from end to end: their Python and their commands run, in order, in one folder."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from equiangular.cli.app import app
from tests.command_line import run

GUIDES = sorted((Path(__file__).parents[1] / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?: {4})?(?:torchrun .* -m )?equiangular .*$", flags=re.MULTILINE)


def blocks(path: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def words(line: str) -> list[str]:
    return shlex.split(line[line.index("equiangular ") :], comments=True)[1:]


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in GUIDES if any(k == "sh" for k, _ in blocks(p))], ids=lambda p: p.stem)
def test_a_guide_runs_from_end_to_end(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "cache"))
    namespace: dict = {}
    for kind, code in blocks(path):
        if kind == "python":
            exec(compile(code, str(path), "exec"), namespace)  # the documents' own code is what is tested
        else:
            for line in code.splitlines():
                status, _, told = run(capsys, *words(line))
                assert status == 0, f"{line}\n{told}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: p.stem)
def test_commands_and_options_exist(path: Path) -> None:
    commands = typer.main.get_command(app).commands
    for line in COMMAND.findall(path.read_text(encoding="utf-8")):
        name, *rest = words(line)
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= options, line


def test_every_guide_is_on_the_start_page() -> None:
    start = (GUIDES[0].parents[1] / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in GUIDES if f"(guides/{path.name})" not in start] == []
