"""All benchmarks of speed and memory, one after the other, and one table of goals beside what is measured now.

    python -m benchmarks [-o FOLDER] [--only NAME ...] [--table]

Each benchmark is a process of its own with one thread; its JSON, with hardware, versions and command, goes into FOLDER.
What FOLDER has of this commit is not measured again, so a run that was stopped goes on; changes that are not committed
are measured every time. ``--table`` measures nothing and prints what FOLDER has. Goals are those that were set when the
first figures were known; a goal that is not met says so, and dev/LOG.md says why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._provenance import provenance

HERE = Path(__file__).parent
# Name -> arguments of the script; what takes longest is last.
SCRIPTS: dict[str, list[str]] = {
    "head_step": [],
    "nearest": [],
    "tables": [],
    "frames": ["--only-against"],
    "training": ["--rounds", "8"],
    "huge_k": ["--only", "cross_entropies"],
    "codes": ["--skip-large"],
    "collapse": ["--sizes", "3", "--rounds", "3"],
    "closed_form": [],
    "scaling": [],
    "many_classes": [],
}


@dataclass(frozen=True)
class Goal:
    """A figure of a benchmark and what it is to be at most.

    Attributes:
        script: name of the benchmark.
        what: the figure in words.
        most: the goal.
        now: the figure, from the JSON of the benchmark.
    """

    script: str
    what: str
    most: float
    now: Callable[[Any], float]


def _ratio(name: str) -> Callable[[Any], float]:
    return lambda found: found["results"][name]["ratio"]


def _of_mlp(name: str) -> Callable[[Any], float]:
    return lambda found: found["results"]["MLP, batch 64"][name]["ratio"]


def _entropy(way: str) -> Callable[[Any], float]:
    return lambda found: next(c for c in found["cross_entropies"] if c["num_classes"] == 100_000)["ways"][way][
        "of full"
    ]


def _collapse(samples: int, classes: int) -> Callable[[Any], float]:
    """Time of all measures in one pass of float32 products over that of the three common ones in two passes of them."""

    def ratio(found: Any) -> float:
        row = next(row for row in found["rows"] if (row["samples"], row["classes"]) == (samples, classes))
        return float(row["share_of_two_single_single"])

    return ratio


def _frame(basis: str, key: str) -> Callable[[Any], float]:
    return lambda found: next(float(row[key]) for row in found["against"] if row["basis"] == basis)


def _predict(name: str) -> Callable[[Any], float]:
    """Time of ``predict_files`` over that of the bare network: rows a second are its inverse."""
    return lambda found: 1 / float(found["predict"][f"predict, {name}"]["bare network / predict"])


def _steeper(found: Any) -> float:
    return float(sum(curve["steeper"] for curve in found["curves"] if not curve["work"].startswith("memory fill")))


_LAST = "forward and backward with channels last, over plain formulas"
GOALS = (
    Goal("training", "step of a small MLP, linear + CE / bare loop", 1.05, _of_mlp("linear-ce")),
    Goal("training", "the same, ETF + logit adjustment", 1.15, _of_mlp("etf-la")),
    Goal("training", "the same, ETF + dot-regression", 1.05, _of_mlp("etf-dr")),
    Goal("training", f"ResNet-8, {_LAST}", 0.93, _ratio(f"ResNet-8, {_LAST}")),
    Goal("training", f"ResNet-20, {_LAST}", 0.96, _ratio(f"ResNet-20, {_LAST}")),
    Goal("head_step", "head step, ETF + CE / linear + CE + SGD", 1.0, _ratio("etf + ce")),
    Goal("head_step", "the same, ETF + dot-regression", 0.65, _ratio("etf + dr")),
    Goal("head_step", "head step, ETF + logit adjustment / bare", 1.15, _ratio("adjusted")),
    Goal(
        "head_step",
        "canonical logits, K = d = 10,000 / copy",
        2.0,
        lambda found: found["results"]["structured, canonical"]["inference / copies"],
    ),
    Goal(
        "head_step",
        "the same frame in memory and checkpoint, MB",
        0.001,
        lambda found: found["results"]["structured, canonical"]["stored_megabytes"],
    ),
    *(
        Goal("frames", f"{basis} frame, 1000 x 2048 / {beside}", most, _frame(basis, "ratio"))
        for basis, beside, most in (
            ("haar", "one QR factorisation", 1.25),
            ("dct", "SciPy's transform", 1.3),
            ("canonical", "memory fill", 2.0),
            ("minimal", "memory fill", 4.0),
        )
    ),
    Goal("frames", "grouped frame, 1000 x 2048, ms", 2.0, _frame("grouped", "ms")),
    Goal(
        "nearest", "nearest of 10^6 class vectors / faiss Flat", 0.75, lambda found: found["rows"][0]["ratio_to_faiss"]
    ),
    Goal(
        "huge_k",
        "chunked CE on a frozen frame, K = 100,000 / with logits made twice",
        0.5,
        lambda found: _entropy("chunked")(found) / _entropy("twice")(found),
    ),
    Goal("huge_k", "implicit head + CE, K = 100,000 / full", 1.5, _entropy("implicit random")),
    Goal("collapse", "collapse, N, K, d = 20,000, 10, 512 / two passes", 0.9, _collapse(20_000, 10)),
    Goal("collapse", "collapse, 20,000, 1,000, 1,024 / two passes", 0.3, _collapse(20_000, 1000)),
    Goal("collapse", "collapse, 20,000, 10,000, 256 / two passes", 0.2, _collapse(20_000, 10_000)),
    Goal("scaling", "curves steeper than their algorithm", 0.0, _steeper),
    *(
        Goal("scaling", f"predict, {name} / bare network", 1 / 0.9, _predict(name))
        for name in ("ResNet-8, 16 x 16", "MLP, 64 columns")
    ),
    Goal(
        "scaling",
        "first step on 20,000 images / listing and decoding",
        1.3,
        lambda found: float(found["first_step"]["ratio"]),
    ),
    Goal("scaling", "the same, JPEG", 1.3, lambda found: float(found["first_step"]["jpg"]["ratio"])),
    Goal("tables", "parquet of 1,000,000 x 20 to arrays / pyarrow + stack", 1.3, lambda found: found["ratio"]),
    Goal(
        "many_classes",
        "step of the recommended head, K = 10,000 / linear + CE",
        1.0,
        lambda found: found["steps"]["recommended to linear-ce"],
    ),
    Goal(
        "many_classes",
        "peak of train, K = 10,000, MiB",
        1500.0,
        lambda found: found["commands"]["recommended"]["train"]["peak_mib"],
    ),
    Goal(
        "many_classes",
        "largest file of that run, MB",
        20.0,
        lambda found: found["commands"]["recommended"]["files"]["largest_mb"],
    ),
)


def measure(name: str, folder: Path) -> None:
    """Run one benchmark, one thread, into the folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # A folder for the benchmark that keeps what it has of other cases, as training.py does.
    target = folder if name == "training" else folder / f"{name}.json"
    command = [sys.executable, str(HERE / f"{name}.py"), *SCRIPTS[name], "--output", os.path.relpath(target)]
    subprocess.run(command, check=True, env=environment)


def rows(folder: Path) -> list[tuple[str, str, str, str]]:
    """The table: what, goal, now, whether it is met."""
    table = []
    for goal in GOALS:
        path = folder / f"{goal.script}.json"
        if not path.exists():
            table.append((goal.what, f"{goal.most:g}", "not measured", ""))
            continue
        try:
            now = goal.now(read_json(path))
        except (KeyError, StopIteration, IndexError, TypeError):
            table.append((goal.what, f"{goal.most:g}", "not in the file", ""))
            continue
        table.append((goal.what, f"{goal.most:g}", f"{now:.3g}", "yes" if now <= goal.most else "no"))
    return table


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    folder = prepare_folder(arguments.output)
    known, commit = folder / "bench.json", provenance()["commit"]
    done: dict[str, Any] = read_json(known)["done"] if known.exists() else {}
    for name in [] if arguments.table else arguments.only:
        if commit and not commit.endswith("+changes") and done.get(name, {}).get("commit") == commit:
            print(f"{name}: measured at {commit} already")
            continue
        print(f"{name} ...", flush=True)
        start, load = time.perf_counter(), os.getloadavg()[0]
        measure(name, folder)
        done[name] = {"commit": commit, "seconds": round(time.perf_counter() - start, 1), "load_before": round(load, 1)}
        write_json(known, {"done": done, "provenance": provenance()})
    table = rows(folder)
    width = max(len(what) for what, *_ in table)
    print(f"\n{'what':<{width}}  {'goal':>6}  {'now':>12}  met")
    for what, goal, now, met in table:
        print(f"{what:<{width}}  {goal:>6}  {now:>12}  {met}")


if __name__ == "__main__":
    main()
