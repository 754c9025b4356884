"""Files below folders: the order of their paths, as pathlib sorts and tells them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.image_files import png16

from equiangular.data.encoded import _headers
from equiangular.data.listing import SUFFIXES, NamesBelow, find_files, folders_in


def test_files_are_those_of_pathlib_in_its_order(tmp_path: Path) -> None:
    for name in (
        "b.png",
        "b/1.PNG",
        "b/a/2.jpg",
        "b-a/3.png",
        "b.a/x.y.gif",
        "a",
        "a.",
        ".png",
        "..png",
        "e.txt",
        "é.png",
    ):
        file = tmp_path / "top" / (name if name != "a" else "a.d/a")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    top = tmp_path / "top"
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "4.png").touch()
    (top / "linked").symlink_to(tmp_path / "far")
    (top / "file.png").symlink_to(tmp_path / "far" / "4.png")
    (top / "gone.png").symlink_to(tmp_path / "nothing")
    (top / "round.png").symlink_to(top / "round.png")
    every = [p for p in top.rglob("*") if not p.is_dir() and p.parent != top / "linked"]
    images = sorted(p for p in every if p.suffix.lower() in SUFFIXES)
    found = find_files(top, SUFFIXES)
    assert list(found.files) == [p for p in images if not p.name.startswith(".")]
    assert found.hidden == [p for p in images if p.name.startswith(".")]
    assert found.nested == sum(p.parent != top for p in found.files) == 4
    others = [p.suffix.lower() for p in every if p.suffix.lower() not in SUFFIXES and not p.name.startswith(".")]
    assert sorted(found.others.elements()) == sorted(others)
    assert folders_in(top) == [top / name for name in ("a.d", "b", "b-a", "b.a", "linked")]


def test_of_a_file_of_png_the_header_is_enough(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4, 1) * 5000
    deep = png16(values)
    turned = png16(values, (b"eXIf", b"MM\0*" + bytes(8)))
    files = {"deep.png": deep, "turned.png": turned, "short.png": deep[:20], "long.png": deep[:40], "empty.png": b""}
    files["text.png"] = b"no image at all, but a text" * 9
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (4, 3)).save(tmp_path / "plain.png")
    Image.fromarray(values[..., 0]).save(tmp_path / "deep.tif")
    paths = [*sorted(tmp_path.iterdir()), tmp_path / "gone.png"]
    blobs = [path.read_bytes() if path.exists() else None for path in paths]
    wide = _headers(paths, sizes=False).wide
    assert wide == _headers(blobs, sizes=False).wide == _headers(blobs, sizes=True).wide
    assert [paths[row].name for row in wide] == ["deep.png", "deep.tif", "long.png", "turned.png"]


@pytest.mark.parametrize("here", [".", "x/..", "x"])
def test_names_are_those_below_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / here
    (folder / "a" / "b").mkdir(parents=True)
    (tmp_path / "x").mkdir(exist_ok=True)
    for name in ("a/1.png", "a/b/2.png", "3.png"):
        (folder / name).touch()
    for given in (Path(here), folder):
        files = find_files(given, SUFFIXES).files
        assert list(NamesBelow(given, files)) == [file.relative_to(given).as_posix() for file in files]
        assert len(files) == 3
