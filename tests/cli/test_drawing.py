"""Without the extra [plot] a command says so before its work, writes its results, and ends well."""

import sys
from pathlib import Path

import pytest

from equiangular.cli import main

BRIEF = ("--epochs", "1", "--quiet")


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawing") / "run"
    assert called("train", "wine", *BRIEF, "-o", str(folder)) == 0
    return folder


@pytest.mark.parametrize("missing", ["matplotlib.figure", "vl_convert", "jinja2"])
@pytest.mark.parametrize(
    ("command", "result"),
    [
        (("compare", "wine", "--seeds", "2", "--tune", "none", "--methods", "linear-ce,etf-ce"), "results.json"),
        (("train", "wine"), "results.json"),
        (("evaluate", "RUN"), "evaluation.json"),
        (("measure", "RUN"), "measures.json"),
    ],
)
def test_what_is_missing_is_said_first(
    run: Path,
    tmp_path: Path,
    command: tuple[str, ...],
    result: str,
    missing: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if missing != "vl_convert" and command[0] in ("compare", "train"):
        pytest.skip("one of them is enough where it takes a training")
    monkeypatch.setitem(sys.modules, missing, None)
    words = [str(run) if word == "RUN" else word for word in command]
    own = BRIEF if command[0] in ("compare", "train") else ("--quiet",)
    assert called(*words, *own, "-o", str(tmp_path / "out")) == 0
    needed = command[0] != "measure" or missing != "matplotlib.figure"
    assert (tmp_path / "out" / result).is_file()
    assert (tmp_path / "out" / "report.html").is_file() != needed
    if needed:
        said = capsys.readouterr().err
        assert "equiangular: no page" in said
        assert "pip install 'equiangular[plot]'" in said


def test_a_page_asked_for_is_refused_at_once(
    run: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert called("report", str(run)) == 2
    assert "pip install 'equiangular[plot]'" in capsys.readouterr().err
