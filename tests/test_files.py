import math
import os
from pathlib import Path

import numpy as np
import pytest

from equiangular._files import json_plain, prepare_folder, read_json, write_atomically, write_json


def test_json_round_trip_turns_nan_into_null(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"x": np.float64(1.5), "y": [math.nan, math.inf], "z": np.arange(2)})
    assert read_json(path) == {"x": 1.5, "y": [None, None], "z": [0, 1]}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", 1)

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert read_json(path) == 1
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ValueError, match=r"cannot write to the output folder .*taken.*--output"):
        prepare_folder(tmp_path / "taken" / "inside")


def test_a_broken_json_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a.json' is not a JSON file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"cannot read .*none.json"):
        read_json(tmp_path / "none.json")


def test_plain_values_stay() -> None:
    assert json_plain({"a": (1, "b", None, True)}) == {"a": [1, "b", None, True]}
