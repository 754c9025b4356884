"""The table of the search for the recipe is what the committed results say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.common import RECIPE
from experiments.recipe.table import difference, table

ROOT = Path(__file__).parents[2]


def test_the_committed_table_is_up_to_date():
    command = [sys.executable, "-m", "experiments", "recipe-table", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_differences_are_paired_and_bold_beyond_their_interval():
    scores = {
        "etf: recipe": [70.0, 80.0, 90.0],
        "learnable: recipe": [71.0, 81.0, 91.0],
        "etf: mixup": [72.0, 82.1, 91.9],
        "learnable: mixup": [61.0, 91.0, 91.5],
        "etf: bare": [70.0, 80.0, 90.0],
        "etf: once": [1.0],
        "learnable: start": [72.0, 82.0, 92.1],
        "etf: short": [65.0, 75.2],
    }
    base = {name: values for name, values in scores.items() if "recipe" in name}
    grid = table({"digits": {"scores": scores}, "wine": {"scores": base}})
    assert grid.rows == [
        ("recipe / rival, %", "80.0 / 81.0", "80.0 / 81.0"),
        ("runs", "3", "3"),
        ("mixup", "**+2.0** / +0.2", ""),  # 2.0, 2.1, 1.9; -10, 10, 0.5
        ("bare", "0", ""),
        ("short", "**−4.9**", ""),
        ("start", "/ **+1.0**", ""),
    ]
    assert difference(scores, "etf", "once") == ""


@pytest.mark.parametrize("name", ["digits", "letter"])
def test_the_first_round_is_kept(name):
    assert (RECIPE / f"{name}.json").exists()
