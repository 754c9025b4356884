"""Every run of a comparison: paired, resumable, one small JSON file for each training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._provenance import provenance
from equiangular.compare.config import CompareConfig
from equiangular.compare.protocol import run_training
from equiangular.compare.summary import summarise
from equiangular.data import Dataset, load_dataset
from equiangular.training.methods import Method, get_method

Progress = Callable[[str], None]


def planned_runs(config: CompareConfig) -> list[tuple[int, list[Method]]]:
    """Pairs of seed and methods that one training serves; seed by seed: an early stop leaves whole pairs."""
    groups: dict[str, list[Method]] = {}
    for method in map(get_method, dict.fromkeys(config.methods)):
        groups.setdefault(method.training_name, []).append(method)
    return [(seed, group) for seed in range(config.seeds) for group in groups.values()]


def run_study(config: CompareConfig, output: str | Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Run what is not there yet and write ``results.json``.

    Finished trainings are kept in ``output/trainings``; a killed comparison goes on from them, and a changed
    configuration trains again exactly what it changes.

    Args:
        config: the comparison.
        output: folder for the results.
        progress: called with a description before each training and with ``""`` after the last.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: bad configuration, unknown data, unwritable folder.
    """
    folder = prepare_folder(output)
    prepare_folder(folder / "trainings")
    dataset = load_dataset(config.data, root=config.root, size=config.size, memory=config.memory)
    records: list[dict[str, Any]] = []
    for seed, methods in planned_runs(config):
        if progress is not None:
            progress(f"{methods[0].label.partition(' + prior')[0]}, seed {seed}")
        records += _cached_training(dataset, config, methods, seed, folder / "trainings")
    if progress is not None:
        progress("")
    results = {
        "format": 1,
        "config": config.as_dict(),
        "data": {"name": dataset.name, "classes": list(dataset.class_names), "source": dataset.source},
        "backbone": records[0]["backbone"],
        **summarise(records, config),
        "runs": records,
        "provenance": provenance(),
    }
    write_json(folder / "results.json", results)
    return results


def _cached_training(
    dataset: Dataset, config: CompareConfig, methods: list[Method], seed: int, folder: Path
) -> list[dict[str, Any]]:
    """The records of one training: read where the same configuration has left them, else made and written."""
    name = methods[0].training_name
    path = folder / f"{name}-seed{seed}.json"
    wanted = [m.name for m in methods]
    if path.exists():
        found = {r["method"]: r for r in read_json(path)["records"]}
        same = all(r["fingerprint"] == config.run_fingerprint(name) for r in found.values())
        if same and set(wanted) <= set(found):
            return [found[m] for m in wanted]
    records = run_training(dataset, config, methods, seed)
    write_json(path, {"records": records})
    return read_json(path)["records"]
