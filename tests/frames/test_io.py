import contextlib
import errno
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.damage import flip_last_bit

from equiangular import simplex_etf
from equiangular._files import cache_folder
from equiangular.frames import load_frame, save_frame
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


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_round_trip(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    frame = simplex_etf(5, 7, dtype=dtype)
    path = save_frame(tmp_path / f"f{suffix}", frame, metadata={"seed": "0"})
    assert torch.equal(load_frame(path), frame)
    assert load_frame(path).dtype == dtype
    if suffix == ".npy":
        assert np.load(path).shape == (5, 7)
        assert json.loads((tmp_path / "f.npy.json").read_text())["seed"] == "0"


def test_bfloat16_needs_safetensors(tmp_path: Path) -> None:
    frame = simplex_etf(5, 7, dtype=torch.bfloat16)
    assert torch.equal(load_frame(save_frame(tmp_path / "f.safetensors", frame)), frame)
    with pytest.raises(ValueError, match="no bfloat16"):
        save_frame(tmp_path / "f.npy", frame)
    assert os.listdir(tmp_path) == ["f.safetensors"]


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3))
    with pytest.raises(ValueError, match=r"exists\. Choose another name"):
        save_frame(path, simplex_etf(4))
    assert load_frame(path).shape == (3, 2)
    assert load_frame(save_frame(path, simplex_etf(4), overwrite=True)).shape == (4, 3)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.npy or \.safetensors"):
        save_frame(tmp_path / "f.txt", simplex_etf(3))
    with pytest.raises(ValueError, match=r"does not exist\. Create it"):
        save_frame(tmp_path / "none" / "f.npy", simplex_etf(3))
    with pytest.raises(ValueError, match="does not exist"):
        load_frame(tmp_path / "none.npy")
    for suffix in (".npy", ".safetensors"):
        (tmp_path / f"bad{suffix}").write_bytes(b"not a frame")
        with pytest.raises(ValueError, match="is not a readable"):
            load_frame(tmp_path / f"bad{suffix}")
        whole = save_frame(tmp_path / f"cut{suffix}", simplex_etf(9))
        whole.write_bytes(whole.read_bytes()[:-40])
        with pytest.raises(ValueError, match=r"is not a readable .* Write it again"):
            load_frame(whole)
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"not a floating \(K, d\) frame"):
        load_frame(tmp_path / "cube.npy")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="is not a readable"):
        load_frame(tmp_path / "object.npy")


def test_metadata_never_describes_another_frame(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata={"seed": "0"})
    save_frame(path, simplex_etf(4), overwrite=True)
    assert os.listdir(tmp_path) == ["f.npy"]
    (tmp_path / "g.npy.json").write_text("{}")
    with pytest.raises(ValueError, match=r"g\.npy\.json' exists"):
        save_frame(tmp_path / "g.npy", simplex_etf(3), metadata={"seed": "0"})


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_frame(tmp_path / f"f{suffix}", simplex_etf(3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match=r"cannot write .*: No space left on device\. Choose another folder"):
        save_frame(path, simplex_etf(4), overwrite=True)
    assert os.listdir(tmp_path) == [path.name]
    assert torch.equal(load_frame(path), simplex_etf(3))


def test_an_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", denied)
    with pytest.raises(ValueError, match=r"cannot write .*: Permission denied\. Choose another folder"):
        save_frame(tmp_path / "f.npy", simplex_etf(3))


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_what_is_no_frame_is_not_saved(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        save_frame(tmp_path / f"f{suffix}", torch.full((2, 2), float("nan")))
    with pytest.raises(ValueError, match=r"holds torch\.int64 of shape \(3,\), not a floating"):
        save_frame(tmp_path / f"f{suffix}", torch.arange(3))
    assert os.listdir(tmp_path) == []


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (Path(self.path),)


def test_no_pickle_is_ever_run(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.array([[Payload(str(tmp_path / "ran"))]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="is not a readable"):
        load_frame(tmp_path / "f.npy")
    assert not (tmp_path / "ran").exists()


def test_a_file_of_several_tensors_must_say_which(tmp_path: Path) -> None:
    frame = simplex_etf(3)
    save_file({"only": frame}, tmp_path / "one.safetensors")
    assert torch.equal(load_frame(tmp_path / "one.safetensors"), frame)
    save_file({"weight": frame, "bias": torch.zeros(3)}, tmp_path / "named.safetensors")
    assert torch.equal(load_frame(tmp_path / "named.safetensors"), frame)
    save_file({"a": frame, "b": frame.clone()}, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match="holds 'a', 'b': which is the frame"):
        load_frame(tmp_path / "two.safetensors")


def test_the_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("safetensors", "safetensors.torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'equiangular\[train\]'"):
        save_frame(tmp_path / "f.safetensors", simplex_etf(3))
    with pytest.raises(ImportError, match=r"pip install 'equiangular\[train\]'"):
        load_frame(tmp_path / "f.safetensors")


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.safetensors", simplex_etf(3))
    with pytest.raises(ValueError, match=r"f\.safetensors' is damaged: .* Write it again"):
        load_frame(flip_last_bit(path))


def test_a_damaged_npy_is_known_by_what_lies_beside_it(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata={"seed": "0"})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"f.npy' is damaged: 'f.npy.json' has another hash of it. Write it again"):
        load_frame(path)
    save_frame(path, simplex_etf(4), overwrite=True)
    assert load_frame(path).shape[0] == 4


def test_a_full_disk_leaves_a_frame_and_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata={"a": "old"})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    make, made = tempfile.mkstemp, []

    def full(*args: Any, **options: Any) -> Any:
        made.append(1)
        if len(made) == steps:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return make(*args, **options)

    for steps in (1, 2, 3):  # noqa: B007 -- full() looks at it
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.mkstemp", full)
            with pytest.raises(ValueError, match="No space left"):
                save_frame(path, simplex_etf(4), metadata={"a": "new"}, overwrite=True)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    save_frame(path, simplex_etf(4), metadata={"a": "new"}, overwrite=True)
    assert load_frame(path).shape == (4, 3)
    assert json.loads((tmp_path / "f.npy.json").read_text())["a"] == "new"


@pytest.mark.parametrize("metadata", [{"a": "new"}, None])
@pytest.mark.parametrize("kept", [{"a": "old"}, None])
@pytest.mark.parametrize("steps", range(1, 6))
@pytest.mark.parametrize("lasting", [True, False])
def test_wherever_a_rename_fails_a_frame_belongs_to_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: Any, kept: Any, steps: int, lasting: bool
) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata=kept)
    beside = tmp_path / "f.npy.json"
    replace, count = os.replace, []

    def full(*args: Any) -> None:
        count.append(1)
        if len(count) == steps or (lasting and len(count) > steps):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with contextlib.suppress(ValueError):
            save_frame(path, simplex_etf(4), metadata=metadata, overwrite=True)
    classes = load_frame(path).shape[0]  # whichever it is, it is not taken for damaged
    said = json.loads(beside.read_text()) if beside.exists() else {}
    if len(count) < steps:
        assert classes == 4
        assert said.get("a") == (metadata or {}).get("a")
    elif kept:
        assert said["a"] == ("old" if classes == 3 or "replaced by" in said else "new")
    save_frame(path, simplex_etf(5), metadata={"a": "last"}, overwrite=True)
    assert load_frame(path).shape[0] == 5
    last = json.loads(beside.read_text())
    assert last["a"] == "last"
    assert "replaced by" not in last


def test_what_lies_beside_no_frame_is_not_taken_for_a_description_of_the_next(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata={"a": "old"})
    path.unlink()
    with pytest.raises(ValueError, match=r"f\.npy\.json' exists"):
        save_frame(path, simplex_etf(4))
    assert load_frame(save_frame(path, simplex_etf(4), overwrite=True)).shape[0] == 4
    assert os.listdir(tmp_path) == ["f.npy"]


def test_cut_short_twice_the_frame_in_the_middle_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3), metadata={"a": "0"})
    replace = os.replace

    def but_to(*names: str) -> Any:
        def tried(source: Any, to: Any) -> None:
            described = "replaced by" in Path(source).read_text("latin-1")
            if Path(to).name in names and not described and "eq" in Path(source).name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(source, to)

        return tried

    for classes, names in ((4, ("f.npy.json",)), (5, ("f.npy",))):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", but_to(*names))
            with pytest.raises(ValueError, match="No space left"):
                save_frame(path, simplex_etf(classes), metadata={"a": str(classes)}, overwrite=True)
    assert load_frame(path).shape[0] == 4
    flip = bytearray(path.read_bytes())
    flip[-1] ^= 1
    path.write_bytes(flip)
    with pytest.raises(ValueError, match="is damaged"):
        load_frame(path)


def test_json_of_others_beside_an_npy_says_nothing_of_its_hash(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", simplex_etf(3).numpy())
    (tmp_path / "f.npy.json").write_text('{"made by": "hand"}', encoding="utf-8")
    assert torch.equal(load_frame(tmp_path / "f.npy"), simplex_etf(3))
