import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from equiangular._atomic import write_atomically
from equiangular._files import (
    DamagedError,
    json_plain,
    prepare_folder,
    read_json,
    read_numpy,
    read_safetensors,
    write_json,
    write_safetensors,
)
from tests.damage import flip_each_bit


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


def test_no_flipped_bit_of_a_json_file_is_unseen(tmp_path: Path) -> None:
    value = {"accuracy": 91.25, "note": "x\u00e9", "epochs": [1, 2], "none": None, "more": {"a": -1e-7}}
    path = write_json(tmp_path / "a.json", value, durable=True)
    content, told = path.read_bytes(), []
    for _ in flip_each_bit(path):
        try:
            found = read_json(path, remedy="Make it again.")
        except ValueError as error:
            told.append(str(error))
        else:
            assert value.items() <= found.items()  # of the entry "checksum" itself a bit was hit, or of a space
    assert len(told) > 6 * len(content)
    assert all(str(path) in text and text.endswith("Make it again.") for text in told)
    for length in range(len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is not a JSON file"):
            read_json(path)


def test_json_of_others_is_taken_as_it_is(tmp_path: Path) -> None:
    for value in ({"checksum": "abc"}, {"checksum": 5}, [1], {"a": 1}):
        (tmp_path / "a.json").write_text(json.dumps(value))
        assert read_json(tmp_path / "a.json") == value


def test_plain_values_stay() -> None:
    assert json_plain({"a": (1, "b", None, True)}) == {"a": [1, "b", None, True]}


EVERY_DTYPE = {
    str(dtype): torch.arange(6).reshape(2, 3).to(dtype)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
}


def test_tensors_and_strings_come_back(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    shared = {
        "whole": whole,
        "part": whole[2:4],
        "turned": whole.view(2, 3).T,
        "none": torch.from_numpy(np.zeros(0)),
        "one": whole[3],
    }
    tensors = {**EVERY_DTYPE, **shared}
    path = write_safetensors(tmp_path / "a.safetensors", tensors, {"name": "\u00e9"}, durable=True)
    found, metadata = read_safetensors(path, remedy="")
    assert metadata == {"name": "\u00e9"}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_no_flipped_bit_is_unseen(tmp_path: Path) -> None:
    """Every bit of a small file: what can still be read has the content that was written, or is refused by name."""
    path = write_safetensors(tmp_path / "a.safetensors", {"a": torch.tensor([1.0, 2.0])}, {"name": "x"})
    content, told = path.read_bytes(), []
    for _ in flip_each_bit(path):
        try:
            tensors, metadata = read_safetensors(path, remedy="Make it again.")
        except ValueError as error:
            told.append(str(error))
        else:
            assert {"name": "x"}.items() <= metadata.items()  # the word "checksum" itself was hit: one of before
            assert tensors["a"].tolist() == [1.0, 2.0]
    assert len(told) > 7 * len(content)
    assert all(str(path) in text and text.endswith("Make it again.") for text in told)


def test_a_file_without_a_hash_is_taken_as_it_is(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"name": "x"})
    tensors, metadata = read_safetensors(tmp_path / "a.safetensors", remedy="")
    assert (tensors["a"].tolist(), metadata) == ([1.0, 1.0], {"name": "x"})
    with pytest.raises(ValueError, match="does not exist"):
        read_safetensors(tmp_path / "b.safetensors", remedy="")


def test_arrays_are_read_and_pickles_are_not(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "b.npz", x=np.eye(2), names=np.array(["p", "q"]))
    assert read_numpy(tmp_path / "a.npy")["x"].tolist() == [0, 1, 2]
    assert [v.tolist() for v in read_numpy(tmp_path / "b.npz").values()] == [[[1, 0], [0, 1]], ["p", "q"]]
    np.save(tmp_path / "c.npy", np.array([None]))
    np.savez(tmp_path / "d.npz", x=np.array([None]))
    for name in ("c.npy", "d.npz"):
        with pytest.raises(DamagedError, match=rf"{name}' is not a readable .*Object arrays .* Write it again"):
            read_numpy(tmp_path / name)
    with pytest.raises(ValueError, match="does not exist"):
        read_numpy(tmp_path / "e.npy")


# What NumPy and zipfile make of damaged files: a TokenError, a NotImplementedError, a MemoryError, bytes for an array.
@pytest.mark.parametrize("name", ["header.npy", "shape.npy", "version.npz", "foreign.npz", "text.npy", "text.npz"])
def test_damaged_arrays_are_a_message_whatever_numpy_raises(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3.0))
    np.savez(tmp_path / "a.npz", x=np.arange(3.0))
    array, archive = (tmp_path / "a.npy").read_bytes(), (tmp_path / "a.npz").read_bytes()
    place = archive.index(b"PK\1\2") + 6  # the version that is needed to extract, in the list of files
    with zipfile.ZipFile(tmp_path / "foreign.npz", "w") as file:
        file.writestr("x", "no array")
    content = {
        "header.npy": array.replace(b"(3,), }", b"(3,  (("),
        "shape.npy": array.replace(b"(3,), }" + b" " * 14, b"(9" + b"9" * 14 + b",), }"),
        "version.npz": archive[:place] + b"\xd4\0" + archive[place + 2 :],
        "foreign.npz": (tmp_path / "foreign.npz").read_bytes(),
    }.get(name, b"text")
    assert content not in (array, archive)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{name}' is not a readable .{name[-3:]} file \(.+\)\. Write it again\."):
        read_numpy(tmp_path / name)
