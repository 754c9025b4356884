"""The results of studies as files: found, read, and made small enough to be committed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from equiangular._files import json_plain, read_json
from experiments.studies.cells import Cell
from experiments.studies.summary import summarise_study

_DIGITS = 4
_KEYS = ("settings", "table", "effects", "contrast")


def compact(results: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a study: its summary with the values of every run, its settings and where it comes from.

    The records of the runs are dropped, after the summary has been made anew from them; numbers of the summary are
    rounded to four significant digits. Settings stay as they are: rounding must not change what validation
    data choose.

    Args:
        results: the content of ``results.json``, or what this function made of it.

    Returns:
        A dictionary of the same form, its parts without ``runs`` and with ``trained``: the backbone, and how many
        classes and samples the first run was trained on.

    Raises:
        ValueError: not the results of a study.

    Example:
        >>> part = {"imbalance": 1, "settings": {}, "table": {}, "effects": [{"ci95": 0.123456}], "contrast": None}
        >>> compact({"format": 1, "study": {"name": "a", "data": "a"}, "parts": [part]})["parts"][0]["effects"]
        [{'ci95': 0.1235}]
    """
    _check(results, "this dictionary")
    return {**results, "parts": [_compact_part(part) for part in results["parts"]]}


def read_studies(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """The results of several studies.

    Args:
        paths: files, or folders. Of a folder: its ``results.json`` if there is one, else every ``.json`` file in it
            and the ``results.json`` of every folder in it, by name.

    Returns:
        The content of every file, in the order given.

    Raises:
        ValueError: no paths, a missing file, one that is not the results of a study, or a folder without any.
    """
    files = [file for path in paths for file in _files(Path(path))]
    if not files:
        raise ValueError("no results were given; name the results.json of a study, or its folder.")
    found = []
    for file in files:
        results = read_json(file)
        _check(results, repr(str(file)))
        found.append(results)
    return found


def _compact_part(part: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in part.items() if key != "runs"}
    if "runs" in part:
        kept |= summarise_study(part, tuple(Cell.parse(name) for name in part["settings"]))
        kept["trained"] = next((_trained(record) for record in part["runs"] if "class_counts" in record), None)
    return {key: value if key == "settings" else _rounded(json_plain(value)) for key, value in kept.items()}


def _trained(record: dict[str, Any]) -> dict[str, Any]:
    counts = record["class_counts"]
    return {"backbone": record["backbone"], "classes": len(counts), "samples": sum(counts)}


def _rounded(value: Any) -> Any:
    """Every float in plain values, to four significant digits."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    own = path / "results.json"
    files = [own] if own.exists() else sorted([*path.glob("*.json"), *path.glob("*/results.json")])
    if not files:
        raise ValueError(f"no results in the folder {str(path)!r}; a study writes results.json.")
    return files


def _check(results: Any, name: str) -> None:
    """Raise if this is not the results of a study."""
    lacking = [key for key in ("study", "parts") if not (isinstance(results, dict) and key in results)]
    if not lacking and results.get("format") != 1:
        raise ValueError(f"{name} has format {results.get('format')!r}; this version reads format 1.")
    if not lacking:
        lacking = [key for key in ("name", "data") if key not in results["study"]]
        lacking += [key for part in results["parts"] for key in _KEYS if key not in part]
    if lacking:
        raise ValueError(
            f"{name} is not the results of a study: it has no {lacking[0]!r}. Give a results.json of "
            "'python -m experiments reproduce'."
        )
