"""The one listing of folders: which files count, which folders are parts of a data set, which are classes."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from equiangular._counted import counted
from equiangular.data.reading import listed

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
# What systems and programs leave beside the data; hidden names are left out too, the "._x.png" of macOS among them.
LEFT_BY_SYSTEMS = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__")
PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
_PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}
_DEPTH = 3  # folders with nothing but one folder in them that are gone through
_LOOK = 5000  # entries that are looked at to tell an image folder


def is_left_out(name: str) -> bool:
    """Whether a file or folder is hidden, or one that systems leave.

    Example:
        >>> is_left_out("._cat.png"), is_left_out("__MACOSX"), is_left_out("cat.png")
        (True, True, False)
    """
    return name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS


def _suffix(name: str) -> str:
    """What ``Path(name).suffix.lower()`` gives, without a path."""
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def class_name(folder: str) -> str:
    """A folder's name as a class name: in Unicode's composed form, as file systems differ in it."""
    return unicodedata.normalize("NFC", folder)


@dataclass(eq=False)
class Paths(Sequence[Path]):
    """Files, each a path when it is asked for.

    Of twenty thousand paths the making, and the collector of garbage that counts them, take a quarter of a second.

    Attributes:
        texts: the paths as texts.

    Example:
        >>> Paths(["cat/1.png"])[0].suffix
        '.png'
    """

    texts: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: Any) -> Any:
        return Paths(self.texts[row]) if isinstance(row, slice) else Path(self.texts[row])


@dataclass
class Found:
    """Files below folders.

    Attributes:
        files: those of the suffixes asked for, in the order of their paths.
        hidden: files of those suffixes that are hidden or in folders that systems leave.
        others: number of other files by suffix.
        nested: how many of the files lie in folders within the one that was looked through.
    """

    files: Paths = field(default_factory=Paths)
    hidden: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    nested: int = 0

    def __iadd__(self, other: Found) -> Found:
        self.files.texts += other.files.texts
        self.hidden += other.hidden
        self.others += other.others
        self.nested += other.nested
        return self

    def notes(self, what: str = "images") -> list[str]:
        """What was left out, for the summary."""
        notes = []
        if self.hidden:
            names = listed(sorted({file.name for file in self.hidden}), 3)
            notes.append(f"left out {counted(len(self.hidden), 'file')} that systems leave or hide ({names})")
        if self.others:
            kinds = listed([f"{kind or 'no suffix'} {n}" for kind, n in sorted(self.others.items())], 5)
            total = sum(self.others.values())
            notes.append(f"left out {counted(total, 'file')} of other kinds than {what} ({kinds})")
        return notes


@dataclass(frozen=True, eq=False)
class NamesBelow(Sequence[str]):
    """The names of files below a folder, each made when it is asked for.

    Example:
        >>> NamesBelow(Path("animals"), Paths([os.path.join("animals", "cat", "1.png")]))[0]
        'cat/1.png'
    """

    folder: Path
    files: Paths

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: Any) -> Any:
        return self.files.texts[row].removeprefix(os.path.join(self.folder, "")).replace(os.sep, "/")


def find_files(folder: Path, suffixes: Sequence[str]) -> Found:
    """All files of these suffixes below a folder, at any depth."""
    found = Found()
    _walk(str(folder), frozenset(suffixes), found, hidden=False, top=True)
    return found


def _walk(folder: str, suffixes: frozenset[str], found: Found, *, hidden: bool, top: bool = False) -> None:
    """Go through a folder in the order of its paths."""
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: os.path.normcase(entry.name))
    for entry in inside:
        out = hidden or is_left_out(entry.name)
        if entry.is_dir(follow_symlinks=False):
            _walk(entry.path, suffixes, found, hidden=out)
        elif _is_linked_folder(entry):
            continue  # a link to a folder above would never end
        elif (suffix := _suffix(entry.name)) not in suffixes:
            found.others.update([suffix] * (not out))
        elif out:
            found.hidden.append(Path(entry.path))
        else:
            found.files.texts.append(entry.path)
            found.nested += not top


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and Path(entry.path).is_dir()  # unlike that of an entry, no error for a link to itself


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder but for those that are left out, in alphabetical order; links to folders count."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_dir(follow_symlinks=False) or _is_linked_folder(e)]
    return sorted(folder / name for name in names if not is_left_out(name))


@dataclass(frozen=True)
class Layout:
    """Where the parts of an image folder are.

    Attributes:
        parts: the folders of ``"train"``, ``"validation"`` and ``"test"``, those that there are; ``"train"`` is the
            folder itself where it holds the class folders. Several folders of one part count as one.
        notes: what was taken for what.
    """

    parts: dict[str, list[Path]]
    notes: list[str] = field(default_factory=list)

    def is_trained_on(self, path: Path) -> bool:
        """Whether a path lies in the training part, the part itself and the whole folder among them."""

        def holds(part: str) -> bool:
            folders = [folder.resolve() for folder in self.parts.get(part, [])]
            return any(folder == path.resolve() or folder in path.resolve().parents for folder in folders)

        return holds("train") and not any(holds(part) for part in self.parts if part != "train")


def find_layout(folder: Path) -> Layout:
    """The parts of an image folder by the names of its folders, also where all lie in one folder more.

    ``train`` (``training``) is the training part, ``validation`` (``val``, ``valid``, ``dev``) the validation part,
    ``test`` (``testing``) the test part, in any case of the letters. Without ``train`` the folder's own folders are the
    classes, but for a ``test`` or ``validation`` beside them with folders of the same names. A ``train`` that holds
    images and no folder, beside other folders that do, is the class of trains. A folder that holds one
    folder and no images is gone through, down to three of them, if that one holds parts or two folders and more.
    """
    inner = _without_wrappers(folder)
    notes = []
    if inner != folder:
        notes.append(f"classes and parts are those in its folder {inner.relative_to(folder).as_posix()}/")
    inside = folders_in(inner)
    parts: dict[str, list[Path]] = {}
    for entry in inside:
        if (part := _part(entry)) is not None:
            parts.setdefault(part, []).append(entry)
    of_trains = parts.get("train", [])
    if all(map(_is_class, of_trains)) and any(_is_class(entry) for entry in inside if _part(entry) is None):
        parts.pop("train", None)
    beside = [f"{entry.name}/" for entry in inside if _part(entry) is None]
    if "train" in parts and beside:
        notes.append(f"not used, beside train/: {listed(beside, 5)}")
    if "train" in parts or (parts and not beside):
        return Layout(parts, notes)
    names = {class_name(entry.name) for entry in inside if _part(entry) is None}
    held = {
        part: [f for f in folders if any(class_name(c.name) in names for c in folders_in(f))]
        for part, folders in parts.items()
    }
    classes = [f"{f.name}/" for part, folders in parts.items() for f in folders if f not in held[part]]
    if classes := sorted([*classes, *(f"{f.name}/" for f in of_trains)]):
        notes.append(f"read as a class, as it has no class folders: {listed(classes, 5)}")
    return Layout({"train": [inner], **{part: folders for part, folders in held.items() if folders}}, notes)


def _without_wrappers(folder: Path, known: Collection[str] = ()) -> Path:
    """The folder, or the one below it that holds the parts or classes, if each on the way holds nothing else.

    A folder called like a class that is ``known`` is that class.
    """
    inner = folder
    for _ in range(_DEPTH):
        inside = folders_in(inner)
        if len(inside) != 1 or _part(inside[0]) or class_name(inside[0].name) in known or _has_images(inner):
            break
        inner = inside[0]
    inside = folders_in(inner)
    return inner if len(inside) > 1 or (inside and _part(inside[0])) else folder


def _has_images(folder: Path) -> bool:
    return any(e.suffix.lower() in SUFFIXES and not is_left_out(e.name) and e.is_file() for e in folder.iterdir())


def _is_class(folder: Path) -> bool:
    """Whether a folder holds images itself and no folder."""
    return not folders_in(folder) and _has_images(folder)


def _part(folder: Path) -> str | None:
    return _PART_OF.get(folder.name.lower())


@dataclass
class Classes:
    """The images of one part by class.

    Attributes:
        files: all images, class after class, in the order of their paths within one.
        names: the class of each.
        empty: class folders without images.
        nested: number of images in folders within class folders.
        loose: images beside the class folders, which have no class.
        found: what was left out.
    """

    files: Paths = field(default_factory=Paths)
    names: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    nested: int = 0
    loose: list[Path] = field(default_factory=list)
    found: Found = field(default_factory=Found)

    def notes(self, part: str) -> list[str]:
        """What of this part a user should know."""
        notes = []
        if self.empty:
            notes.append(f"{part}: class folders without images, left out: {listed(sorted(self.empty), 6)}")
        if self.nested:
            notes.append(f"{part}: {counted(self.nested, 'image')} in folders within class folders, read as that class")
        if self.loose:
            notes.append(
                f"{part}: {counted(len(self.loose), 'image')} beside the class folders have no class, left out"
            )
        return notes


def list_classes(folders: Sequence[Path], known: Collection[str] = (), leave: Collection[Path] = ()) -> Classes:
    """The images below the class folders of a part; folders whose names Unicode writes alike are one class.

    Args:
        folders: of the part; the class folders may lie in one folder more, such as ``train/images/CLASS``.
        known: names of classes; a lone folder of such a name is a class.
        leave: folders that are no classes, such as other parts.
    """
    classes = Classes()
    by_name: dict[str, list[Path]] = {}
    for folder in folders:
        for entry in sorted(_without_wrappers(folder, known).iterdir()):
            if entry in leave:
                continue
            if is_left_out(entry.name):
                inside = find_files(entry, SUFFIXES) if entry.is_dir() else Found(Paths([str(entry)]))
                classes.found.hidden += [f for f in inside.files if f.suffix.lower() in SUFFIXES] + inside.hidden
            elif entry.is_dir():
                by_name.setdefault(class_name(entry.name), []).append(entry)
            elif entry.suffix.lower() in SUFFIXES:
                classes.loose.append(entry)
            else:
                classes.found.others[entry.suffix.lower()] += 1
    for name in sorted(by_name):
        own = Found()
        for folder in by_name[name]:
            own += find_files(folder, SUFFIXES)
        if not own.files:
            classes.empty.append(name)
        classes.nested += own.nested
        classes.files.texts += own.files.texts
        classes.names += [name] * len(own.files)
        own.files = Paths()
        classes.found += own
    return classes


def is_image_folder(folder: Path) -> bool:
    """Whether there is a part for training, or a class folder with images, by names alone.

    Images deeper than in class folders count where two folders and more have some.
    """
    layout = find_layout(folder)
    inner = layout.parts.get("train", [folder])[0]
    if "train" in layout.parts and _part(inner) and inner != folder:
        return True
    looked, with_images = 0, 0
    for entry in folders_in(inner):
        for file in _files(entry):
            looked += 1
            if looked > _LOOK:
                return False
            if file.suffix.lower() in SUFFIXES:
                if file.parent == entry:
                    return True
                with_images += 1
                break
    return with_images > 1


def why_no_image_folder(folder: Path) -> str:
    """What a folder without a data set, and without images at its top, has in place of one: the rest of a sentence."""
    layout = find_layout(folder)
    if "train" not in layout.parts:
        has = " and ".join(f"{p.name}/" for parts in layout.parts.values() for p in parts)
        return f"it has {has} and no train/. Name the training part train, or the folder that has the classes."
    files = list(islice(_files(folder), _LOOK))
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if images:
        return f"all its images are in {images[0].relative_to(folder).parts[0]}/, and a classifier needs two classes."
    kinds = Counter(file.suffix.lower() or "no suffix" for file in files)
    found = listed([f"{kind} {n}" for kind, n in kinds.most_common()], 5)
    return f"its files are of other kinds: {found}." if files else "it has no files."


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, those of the folder itself first."""
    inside = [e for e in folder.iterdir() if not is_left_out(e.name)]
    yield from (e for e in inside if e.is_file())
    for entry in inside:
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
