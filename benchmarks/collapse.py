"""One pass against two: NeuralCollapse beside a straightforward implementation, side by side in one run.

The straightforward one is what most code does: a first pass for the class means by a one-hot K x B product, a second
for the within-class covariance, then a d x d pseudo-inverse for NC1 and K x K cosines for NC2. Ours computes all its
measures, these three and ten more. Both get the same batches, drawn again from a seeded generator in each pass; the
time of drawing them is measured apart and taken off. Peak memory is that of a fresh process for each side, less what
it holds before.

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
from equiangular.measures.collapse import ClassMoments, collapse_measures

SIZES = ((50_000, 10, 512), (50_000, 1000, 2048), (200_000, 10_000, 512))
BATCH = 1000


def batches(n: int, k: int, d: int):
    """The same float32 batches every time."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(k, d, generator=generator)
    for _ in range(n // BATCH):
        labels = torch.randint(0, k, (BATCH,), generator=generator)
        yield means[labels] + 0.1 * torch.randn(BATCH, d, generator=generator), labels


def one_pass(n: int, k: int, d: int) -> dict[str, float]:
    moments = ClassMoments.empty(k, d)
    for features, labels in batches(n, k, d):
        moments.update(features, labels)
    return {key: float(v) for key, v in collapse_measures(moments).items()}


def two_passes(n: int, k: int, d: int) -> dict[str, float]:
    count, sums = torch.zeros(k, dtype=torch.float64), torch.zeros(k, d, dtype=torch.float64)
    for features, labels in batches(n, k, d):
        onehot = torch.nn.functional.one_hot(labels, k).double()
        count += onehot.sum(0)
        sums += onehot.T @ features.double()
    mean = sums / count.clamp(min=1)[:, None]
    within = torch.zeros(d, d, dtype=torch.float64)
    for features, labels in batches(n, k, d):
        deviation = features.double() - mean[labels]
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


def child(side: str, size: tuple[int, int, int]) -> None:
    """Run one side and print its seconds, peak memory and values."""
    torch.set_num_threads(1)
    n, k, d = size
    start = time.perf_counter()
    for _ in batches(n, k, d):
        pass
    drawing = time.perf_counter() - start
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    values = one_pass(*size) if side == "one" else two_passes(*size)
    seconds = time.perf_counter() - start - (1 if side == "one" else 2) * drawing
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "drawing_seconds": drawing, "peak_mib": peak, "values": values}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/collapse.json"))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--child", nargs=4, metavar=("SIDE", "N", "K", "D"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], tuple(map(int, options.child[1:])))
        return
    rows = []
    for size in SIZES:
        sides: dict[str, list[dict]] = {"one": [], "two": []}
        for _ in range(options.repeats):
            for side, runs in sides.items():
                command = [sys.executable, __file__, "--child", side, *map(str, size)]
                runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        best = {side: min(runs, key=lambda r: r["seconds"]) for side, runs in sides.items()}
        row = {
            "samples": size[0],
            "classes": size[1],
            "dim": size[2],
            "speed_ratio": best["two"]["seconds"] / best["one"]["seconds"],
            "memory_ratio": best["two"]["peak_mib"] / max(1.0, best["one"]["peak_mib"]),
            **best,
        }
        rows.append(row)
        seconds = {side: round(run["seconds"], 2) for side, run in best.items()}
        print({k: v for k, v in row.items() if k not in best}, seconds, flush=True)
    write_json(options.output, {"rows": rows, "batch": BATCH, "provenance": provenance()})


if __name__ == "__main__":
    main()
