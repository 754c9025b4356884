import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular._files import cache_folder
from equiangular.frames.io import cached_frame

KEY = {"construction": "test", "num_classes": 3, "seed": 0}
FRAME = torch.arange(12, dtype=torch.float64).reshape(3, 4)


class Builder:
    """Counts how often the frame was built."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> torch.Tensor:
        self.calls += 1
        return FRAME.clone()


@pytest.fixture
def build() -> Builder:
    return Builder()


def stored(folder: Path) -> Path:
    (path,) = folder.glob("*.npz")
    return path


def test_built_once_and_read_bit_for_bit(tmp_path: Path, build: Builder) -> None:
    folder = tmp_path / "new" / "folder"
    for _ in range(3):
        frame = cached_frame(KEY, build, cache=folder)
        assert torch.equal(frame, FRAME)
        assert frame.dtype == torch.float64
    assert build.calls == 1
    assert os.listdir(folder) == [stored(folder).name]  # no temporary file is left


def test_the_order_of_the_key_does_not_matter_its_values_do(tmp_path: Path, build: Builder) -> None:
    cached_frame(KEY, build, cache=tmp_path)
    cached_frame(dict(reversed(KEY.items())), build, cache=tmp_path)
    assert build.calls == 1
    cached_frame({**KEY, "seed": 1}, build, cache=tmp_path)
    assert build.calls == 2


def test_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Builder) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path))
    for _ in range(2):
        cached_frame(KEY, build, cache=False)
    assert build.calls == 2
    assert not list(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    cached_frame(KEY, build)
    assert build.calls == 3
    assert not list(tmp_path.iterdir())


def test_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Builder) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    cached_frame(KEY, build)
    assert stored(tmp_path).exists()
    monkeypatch.delenv("EQUIANGULAR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "equiangular"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "equiangular"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(np.float64(5).tobytes())
    content[place + 6] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not an archive at all")


def other_content(path: Path) -> None:
    with np.load(path) as archive:
        header = archive["header"]
    with path.open("wb") as handle:
        np.savez(handle, frame=FRAME.numpy() + 1, header=header)


def other_key(path: Path) -> None:
    with np.load(path) as archive:
        header, frame = json.loads(archive["header"].tobytes()), archive["frame"]
    header["key"] = "{}"
    with path.open("wb") as handle:
        np.savez(handle, frame=frame, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8))


def pickled(path: Path) -> None:
    with np.load(path) as archive:
        header = archive["header"]
    with path.open("wb") as handle:
        np.savez(handle, frame=np.array([{"a": 1}], dtype=object), header=header)


def foreign(path: Path) -> None:
    with path.open("wb") as handle:
        np.savez(handle, something=np.zeros(2))


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, text, other_content, other_key, pickled, foreign])
def test_a_corrupt_file_is_named_built_again_and_replaced(tmp_path: Path, build: Builder, damage: object) -> None:
    cached_frame(KEY, build, cache=tmp_path)
    path = stored(tmp_path)
    damage(path)
    with pytest.warns(UserWarning, match=rf"cached frame .*{path.name}' is corrupt \(.+\). It is being built again"):
        frame = cached_frame(KEY, build, cache=tmp_path)
    assert torch.equal(frame, FRAME)
    assert build.calls == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(cached_frame(KEY, build, cache=tmp_path), FRAME)
    assert build.calls == 2


def test_a_folder_that_cannot_be_written_does_not_lose_the_result(tmp_path: Path, build: Builder) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.warns(UserWarning, match=r"could not be kept in the cache folder .*taken.*EQUIANGULAR_CACHE"):
        frame = cached_frame(KEY, build, cache=tmp_path / "taken")
    assert torch.equal(frame, FRAME)
