"""The small tables: a run says what is told of it, what is finished is kept, rows hold means of their runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from equiangular._files import read_json
from experiments.questions import tables, worth


def test_worth_goes_on_and_tells_both_readings(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(worth.TRIALS, "calibration", {"epochs": 4})
    monkeypatch.setitem(worth.CELLS, "calibration", [("digits", 20.0), ("digits", 100.0)])
    monkeypatch.setitem(worth.METHODS, "calibration", {"etf-ce-pc": "ETF, corrected"})
    output = tmp_path / "worth.json"
    worth.main(["calibration", "--runs", "2", "--output", str(output)])
    kept = read_json(output)["calibration"]["digits 100"]["etf-ce-pc"]
    assert len(kept) == 2
    assert kept[0] != kept[1]
    # The accuracy without the correction is that of the plain method.
    assert worth.run("calibration", "digits", 100.0, "etf-ce", 0)["balanced_accuracy"] == kept[0]["without"]
    capsys.readouterr()
    worth.main(["calibration", "--runs", "2", "--output", str(output)])
    assert read_json(output)["calibration"]["digits 100"]["etf-ce-pc"] == kept
    mean = np.mean([run["balanced_accuracy"] for run in kept])
    assert f"→ {mean:.1f})" in capsys.readouterr().out


def test_a_table_of_models_has_means_of_its_folds() -> None:
    scores = {"accuracy": [90.0, 94.0], "log_loss": [0.2, 0.4]}
    lines = tables.table({"models": {"one": dict.fromkeys(tables.TABLES, scores)}}).splitlines()
    assert lines[0].count("accuracy, % / log loss") == len(tables.TABLES)
    assert lines[2].startswith("| one | 92.0 ± 25.4 / 0.300 ± 1.271 |")
