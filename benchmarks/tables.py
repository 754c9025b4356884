"""A table from parquet to arrays and to the first step, against pyarrow reading it into NumPy.

A file of N rows and d columns of float64 and a column of labels is drawn at random. The ways are gone in turns, in
rounds, each on one thread; the processor time of each is its median over the rounds:

- ``pyarrow``: ``read_table``, and its columns as one (N, d) float32 array, with the labels.
- ``arrays``: ``load_dataset``: what the columns are, a test part, arrays of both.
- ``equiangular``: the same, ``make_split`` (a validation part, standardisation) and a first batch.

Nothing is trained.

    python benchmarks/tables.py --output benchmarks/results/tables.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.data.split import make_split


def write(path: Path, rows: int, columns: int) -> None:
    draw = np.random.default_rng(0)
    table = {f"x{i}": draw.normal(size=rows) for i in range(columns)}
    pq.write_table(pa.table({**table, "label": draw.integers(0, 10, rows)}), path)


def by_pyarrow(path: Path) -> Any:
    table = pq.read_table(path)
    labels = table.column("label").to_numpy()
    columns = [table.column(name).to_numpy() for name in table.column_names if name != "label"]
    return np.stack(columns, axis=1, dtype=np.float32, casting="same_kind"), labels


def to_arrays(path: Path) -> Any:
    return load_dataset(path)


def by_equiangular(path: Path) -> Any:
    split = make_split(load_dataset(path))
    return split.standardise(split.train_x[torch.arange(256)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/tables.json"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    ways: dict[str, Callable[[Path], Any]] = {"pyarrow": by_pyarrow, "arrays": to_arrays, "equiangular": by_equiangular}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        write(path, options.rows, options.columns)
        for number in range(options.rounds + 1):
            for name, way in ways.items():
                start = time.process_time()
                way(path)
                if number:  # the first round imports and warms up
                    seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    ratio, arrays = (medians[way] / medians["pyarrow"] for way in ("equiangular", "arrays"))
    shown = ", ".join(f"{name} {median:.2f} s" for name, median in medians.items())
    print(f"{shown}: {ratio:.2f} times, arrays alone {arrays:.2f}")
    settings = {key: value for key, value in vars(options).items() if key != "output"}
    rows = {"processor_seconds": medians, "ratio": ratio, "ratio_arrays": arrays, "goal_arrays": 1.3, "runs": seconds}
    write_json(options.output, {**rows, "settings": settings, "provenance": provenance()})


if __name__ == "__main__":
    main()
