"""The leaderboard is what the committed results say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from equiangular._files import read_json, write_json
from experiments.tests.synthetic import ETF, LINEAR, LINEAR_CE, drawn, part_of, results_of

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "experiments", "leaderboard", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_committed_leaderboard_is_up_to_date():
    done = run("--check")
    assert done.returncode == 0, done.stderr


def test_results_are_added_by_data_set_and_checked(tmp_path):
    (tmp_path / "kept" / "results" / "studies").mkdir(parents=True)
    scores = {f"{ETF[:-10]}/{c}/{m}": [80.0 + i, 82.0 + i] for i, (c, m) in enumerate([("la", "none"), ("pc", "none")])}
    scores |= {LINEAR_CE: [70.0, 72.0], LINEAR: [71.0, 74.0]}
    study = results_of("tiny", part_of(scores), part_of(scores, 10), data="digits")
    write_json(tmp_path / "tiny.json", study)
    assert run("--folder", tmp_path / "kept", "--add", tmp_path / "tiny.json").returncode == 0
    files = sorted(path.name for path in (tmp_path / "kept" / "results" / "studies").iterdir())
    assert files == ["tiny_imbalance1.json", "tiny_imbalance10.json"]
    assert "runs" not in read_json(tmp_path / "kept" / "results" / "studies" / files[0])["parts"][0]
    page = tmp_path / "kept" / "LEADERBOARD.md"
    text = page.read_text()
    assert re.findall(r"^## (.*)", text, flags=re.MULTILINE) == ["digits", "digits, imbalance 10"]
    assert "55 training samples in 2 classes, backbone mlp, 3 epochs of batches of" in text
    assert "Commit abc123, `python -m experiments reproduce tiny`, 2026-01-02" in text
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [row[3] for row in rows[:4]] == ["82.0 ± 12.7", "81.0 ± 12.7", "72.5 ± 19.1", "71.0 ± 12.7"]
    assert rows[0][9] == "best fixed, by validation; best fixed or mapped, by validation |"
    assert rows[2][9] == "best learnable, by validation; best learnable, by test |"
    assert rows[3][9] == "learnable linear + CE |"
    assert [row[7:9] for row in rows[:2]] == [["2", "2.0"]] * 2
    assert run("--folder", tmp_path / "kept", "--check").returncode == 0
    page.write_text(text.replace("82.0", "92.0"))
    done = run("--folder", tmp_path / "kept", "--check")
    assert done.returncode == 1
    assert "run: python -m experiments leaderboard" in done.stderr


def test_the_best_rows_and_those_that_are_named(tmp_path):
    (tmp_path / "results" / "studies").mkdir(parents=True)
    write_json(tmp_path / "r.json", drawn("a", 0, imbalances=(1,)))
    assert run("--folder", tmp_path, "--add", tmp_path / "r.json").returncode == 0
    rows = [line for line in (tmp_path / "LEADERBOARD.md").read_text().splitlines() if re.match(r"\| \d", line)]
    places = [int(row.split(" | ")[0][2:]) for row in rows]
    assert places[:12] == list(range(1, 13))
    assert sum("learnable linear + CE" in row.rpartition(" | ")[2] for row in rows) == 1
    assert all(not row.endswith("|  |") for row in rows[12:])
