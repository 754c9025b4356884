"""One pass against two: NeuralCollapse beside a straightforward implementation, side by side in one run.

The straightforward one is what most code does: a first pass for the class means by a one-hot K x B product, a second
for the within-class covariance, then a d x d pseudo-inverse for NC1 and K x K cosines for NC2: three measures. Ours is
run for the same three, which compares like with like, for all its measures, and for all of them with float32 products;
the straightforward one in float64 and in float32, as published packages have it. All get the same batches, drawn
again from a seeded generator in each pass; the time of drawing them is measured apart and taken off. Seconds are
processor time of one thread, which other work on the machine disturbs least, after a warm-up on few samples. Each run
is a process of its own; short runs are repeated and the fastest counts. Peak memory is that of the process, less what
it holds after the warm-up.

    python benchmarks/collapse.py --output benchmarks/results/collapse.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.measures.collapse import ClassMoments, centred_means, collapse_measures, equiangular, nc1_pinv

SIZES = ((20_000, 10, 512), (20_000, 1000, 1024), (20_000, 10_000, 256), (50_000, 1000, 2048), (200_000, 10_000, 512))
GOALS = (0.9, 0.3, 0.2)  # of the time of two passes in float32, at the first sizes
BATCH = 1000


def batches(n: int, k: int, d: int):
    """The same float32 batches every time."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(k, d, generator=generator)
    # Every class has samples: those without any are left out here, and zero means there.
    for labels in (torch.randperm(n, generator=generator) % k).split(BATCH):
        yield means[labels] + 0.1 * torch.randn(BATCH, d, generator=generator), labels


def one_pass(n: int, k: int, d: int) -> dict[str, float]:
    moments = ClassMoments.empty(k, d)
    for features, labels in batches(n, k, d):
        moments.update(features, labels)
    return {key: float(v) for key, v in collapse_measures(moments).items()}


def single(n: int, k: int, d: int) -> dict[str, float]:
    moments = ClassMoments.empty(k, d)
    for features, labels in batches(n, k, d):
        moments.update(features, labels, dtype=torch.float32)
    return {key: float(v) for key, v in collapse_measures(moments, dtype=torch.float32).items()}


def same_three(n: int, k: int, d: int) -> dict[str, float]:
    moments = ClassMoments.empty(k, d)
    for features, labels in batches(n, k, d):
        moments.update(features, labels)
    means = centred_means(moments)
    angles = equiangular(means)
    nc1 = nc1_pinv(moments.scatter.sum(0) / moments.count.sum(), means)
    return {"nc1": float(nc1), "nc2_std": float(angles["std"]), "nc2_equiangular": float(angles["deviation"])}


def two_passes(n: int, k: int, d: int, dtype: torch.dtype = torch.float64) -> dict[str, float]:
    count, sums = torch.zeros(k, dtype=dtype), torch.zeros(k, d, dtype=dtype)
    for features, labels in batches(n, k, d):
        onehot = torch.nn.functional.one_hot(labels, k).to(dtype)
        count += onehot.sum(0)
        sums += onehot.T @ features.to(dtype)
    mean = sums / count.clamp(min=1)[:, None]
    within = torch.zeros(d, d, dtype=dtype)
    for features, labels in batches(n, k, d):
        deviation = features.to(dtype) - mean[labels]
        within += deviation.T @ deviation / n
    centred = mean - mean.mean(0)
    between = centred.T @ centred / k
    unit = torch.nn.functional.normalize(centred, dim=1)
    cosines = (unit @ unit.T)[~torch.eye(k, dtype=torch.bool)]
    return {
        "nc1": float(torch.trace(within @ torch.linalg.pinv(between, hermitian=True)) / k),
        "nc2_std": float(cosines.std(correction=0)),
        "nc2_equiangular": float((cosines + 1 / (k - 1)).abs().mean()),
    }


def two_single(n: int, k: int, d: int) -> dict[str, float]:
    return two_passes(n, k, d, torch.float32)


RUNS = {"same": same_three, "all": one_pass, "single": single, "two": two_passes, "two_single": two_single}
TWO_PASSES = ("two", "two_single")


def child(side: str, size: tuple[int, int, int]) -> None:
    """Run one side and print its seconds, peak memory and values."""
    torch.set_num_threads(1)
    n, k, d = size
    RUNS[side](BATCH, 10, 64)
    start = time.process_time()
    for _ in batches(n, k, d):
        pass
    drawing = time.process_time() - start
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    values = RUNS[side](*size)
    seconds = time.process_time() - start - (2 if side in TWO_PASSES else 1) * drawing
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "drawing_seconds": drawing, "peak_mib": peak, "values": values}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/collapse.json"))
    parser.add_argument("--rounds", type=int, default=5, help="at most so many")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="the first so many sizes")
    parser.add_argument("--child", nargs=4, metavar=("SIDE", "N", "K", "D"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], tuple(map(int, options.child[1:])))
        return
    rows = []
    for size in SIZES[: options.sizes]:
        sides: dict[str, list[dict]] = {side: [] for side in RUNS}
        spent = 0.0
        while not spent or (spent < 15 and len(sides["two"]) < options.rounds):
            for side, runs in sides.items():
                command = [sys.executable, __file__, "--child", side, *map(str, size)]
                runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
                spent += runs[-1]["seconds"]
        best = {side: min(runs, key=lambda r: r["seconds"]) for side, runs in sides.items()}
        row = {"samples": size[0], "classes": size[1], "dim": size[2], "runs": len(sides["two"]), **best}
        for side in ("same", "all", "single"):
            row[f"share_of_two_single_{side}"] = best[side]["seconds"] / best["two_single"]["seconds"]
        for side in ("same", "all"):
            row[f"speed_ratio_{side}"] = best["two"]["seconds"] / best[side]["seconds"]
            row[f"memory_ratio_{side}"] = best["two"]["peak_mib"] / max(1.0, best[side]["peak_mib"])
        for key, value in best["two"]["values"].items():  # the sides must agree on what they measured
            for side, error in (("same", 1e-6), ("all", 1e-6), ("single", 1e-4)):
                if abs(best[side]["values"][key] - value) > error * abs(value):
                    raise SystemExit(f"{key} differs at {size}: {best[side]['values'][key]} and {value}")
        rows.append(row)
        seconds = {side: round(run["seconds"], 2) for side, run in best.items()}
        print({k: v for k, v in row.items() if k not in best}, seconds, flush=True)
    write_json(options.output, {"rows": rows, "batch": BATCH, "goals": GOALS, "provenance": provenance()})


if __name__ == "__main__":
    main()
