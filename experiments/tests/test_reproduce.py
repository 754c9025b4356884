"""``python -m experiments reproduce`` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from equiangular._files import read_json
from equiangular.cli import main
from experiments.studies import registry
from experiments.tests.synthetic import TINY

SMALLEST = TINY.changed(
    levels=(), only=("learnable/free/ce/none/none", "etf/normalised/dr/pc/none"), learning_rates=(0.1,)
)


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", *arguments], commands="experiments.commands.app", program="python -m experiments")
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_study_from_beginning_to_end(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.STUDIES, "tiny", SMALLEST)
    code, out, error = run(capsys, "tiny", "-o", str(tmp_path), "--seeds", "2", "--imbalance", "20", "-q")
    assert code == 0, error
    assert "imbalance 20" in out
    assert "fixed, chosen on validation" in out
    part = read_json(tmp_path / "results.json")["parts"][0]
    assert set(part["table"]) == set(SMALLEST.only)
    assert part["table"]["learnable/free/ce/none/none"]["n"] == 2
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digts",), "did you mean 'digits'"),
        (("digits", "--accelerator", "gpu"), "accelerator must be one of"),
        (("digits", "--imbalance", "0.5"), "imbalance"),
        (("digits", "--seeds", "1"), "seeds"),
    ],
)
def test_bad_input_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, error = run(capsys, *arguments, "-o", str(tmp_path))
    assert code == 2
    assert message in out + error
    assert "Traceback" not in out + error
