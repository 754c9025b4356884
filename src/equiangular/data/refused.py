"""Why a file or a folder is no data set, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from equiangular._counted import counted
from equiangular.data.listing import SUFFIXES, is_left_out, why_no_image_folder
from equiangular.data.reading import listed
from equiangular.data.table_files import TABLE_FILES

_LATER = (
    "Read it in Python and write a table, as with frame.to_parquet('data.parquet'), or give the frame to load_dataset."
)
# What files are by their suffix, and what to do.
_FOREIGN = {
    **dict.fromkeys(
        (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z", ".rar"), "it is packed. Unpack it first."
    ),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "it is a spreadsheet. Save its sheet as CSV."),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), f"JSON is not read. {_LATER}"),
    **dict.fromkeys(
        (".arff", ".mat", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth", ".dta", ".sav", ".rds", ".sqlite", ".db"),
        f"this format is not read. {_LATER}",
    ),
    **dict.fromkeys((".txt", ".tab", ".dat", ".data"), "a table as text is called .csv, or .tsv with tabs. Rename it."),
    **dict.fromkeys((".pq", ".parq"), "a parquet file is called .parquet. Rename it."),
    **dict.fromkeys((".arrow", ".ipc"), "an Arrow file is called .feather. Rename it."),
}
EXPECTED = (
    f"Expected a table ({', '.join(TABLE_FILES)}), .npz arrays, features as .safetensors or .npy, a folder with "
    "train.csv or train.parquet, or an image folder CLASS/*.png or train/CLASS/*.png."
)


def foreign_file(path: Path) -> str:
    """What a file is that nothing here reads, and what to do; "" where its name does not say.

    Example:
        >>> foreign_file(Path("birds.csv.gz")), foreign_file(Path("birds"))
        ('it is packed. Unpack it first.', '')
    """
    return _FOREIGN.get(path.suffix.lower(), "")


def why_no_data(path: Path) -> str:
    """Why there is no data set at a path that exists, as the rest of a sentence, and what to do."""
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            return "it is one image. Name the folder that has a folder of images for each class."
        return foreign_file(path) or f"{_what(path)} is not read. {EXPECTED}"
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_file() and not is_left_out(entry.name))
    except OSError as error:
        return f"the folder cannot be read ({error.strerror})."
    images = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    tables = [name for name in names if Path(name).suffix.lower() in (*TABLE_FILES, ".npz", ".npy", ".safetensors")]
    if images:
        beside = f" What {listed(tables, 2)} says of them is not read: sort them into folders by it." if tables else ""
        return (
            f"it has {counted(len(images), 'image')} and no class folders. An image is of the class whose folder it "
            f"lies in: CLASS/{images[0]}.{beside} A trained model predicts them as they are: equiangular predict RUN "
            f"{path}"
        )
    if tables:
        train = f"train{Path(tables[0]).suffix.lower()}"
        return f"it has {listed(tables, 4)} and no {train}. Name the file, or call the training part {train}."
    foreign = next((name for name in names if foreign_file(Path(name))), None)
    if foreign is not None:
        return f"it has {foreign}: {foreign_file(Path(foreign))}"
    return f"{why_no_image_folder(path)} {EXPECTED}"


def _what(path: Path) -> str:
    return f"a {path.suffix} file" if path.suffix else "a file without a suffix"
