"""More classes than dimensions: what each construction reaches beside the bounds, its time and its memory.

    python benchmarks/codes.py [--output FILE] [--skip-large]

Two tables:

- ``known_optima``: the optimiser, which never looks at the table of closed forms, against proved optima: the largest
  cosine it reaches less the optimum, for the restarts that ``spread_frame`` would give it at most.
- ``large``: (1000, 512), (10000, 512) and (100000, 512). ``random``: Gaussian directions, the baseline;
  ``optimised``: ``spherical_code``, the number of steps as given - for 100,000 classes it is the stochastic method,
  which looks at few of the pairs; ``spread``: what ``spread_frame`` returns the first time, and what it took.

Every case runs in a process of its own, one thread. ``seconds`` is the time to build; ``cpu_seconds`` the processor
time of the same, which is the figure to read on a busy machine; ``peak_mib`` the peak resident memory of the process
while it builds less that of one which has only imported the library, to be held against ``frame_mib``, the size of
the frame. Cosines are measured afterwards over every pair, in float32 (the known optima in float64).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.frames.bounds import levenshtein_bound, rankin_bound, welch_bound
from equiangular.frames.code_objectives import cosine_range
from equiangular.frames.known_codes import KNOWN_CODES
from equiangular.frames.spherical_code import spherical_code
from equiangular.frames.spread import explain_frame, spread_frame

OUTPUT = Path(__file__).parent / "results" / "codes.json"
TAMMES = {13: 57.1367031, 14: 55.6705700}  # degrees, proved by Musin and Tarasov 2012 and 2015
OPTIMA = [
    *[(k, d, c.max_cosine) for (k, d), c in KNOWN_CODES.items() if k <= 240 and k * k * d <= 500_000],
    *[(k, 3, math.cos(math.radians(angle))) for k, angle in TAMMES.items()],
]
LARGE = [
    {"num_classes": 1000, "dim": 512, "steps": 400},
    {"num_classes": 10_000, "dim": 512, "steps": 60},
    {"num_classes": 100_000, "dim": 512, "steps": 8},
]


def known_optimum(num_classes: int, dim: int, optimum: float, restarts: int) -> dict[str, Any]:
    """The optimiser's largest cosine less the optimum; restarts 1, 2, 4, ... until it is below 1e-4, or the limit."""
    used, error = 0, math.inf
    while used < restarts and error > 1e-4:
        used = min(restarts, max(1, 2 * used))
        started, processor = time.perf_counter(), time.process_time()
        weight = spherical_code(num_classes, dim, restarts=used, seed=0, dtype=torch.float64)
        best = cosine_range(weight)[1]
        error = best - optimum
    return {
        "num_classes": num_classes,
        "dim": dim,
        "optimum": optimum,
        "max_cosine": best,
        "error": error,
        "restarts": used,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - processor,
    }


def large_case(method: str, num_classes: int, dim: int, steps: int) -> dict[str, Any]:
    """Build one frame, in this process, and measure it."""
    torch.randn(8, 8).matmul(torch.randn(8, 8))  # the libraries' own memory belongs to the import
    before = peak_mib()
    started, processor = time.perf_counter(), time.process_time()
    result: dict[str, Any] = {"method": method, "num_classes": num_classes, "dim": dim}
    if method == "random":
        weight = torch.randn(num_classes, dim, generator=torch.Generator().manual_seed(0))
        weight = torch.nn.functional.normalize(weight, dim=1)
    elif method == "optimised":
        weight = spherical_code(num_classes, dim, steps=steps, progress=show)
        result["steps"] = steps
    else:
        folder = tempfile.mkdtemp()
        weight = spread_frame(num_classes, dim, cache=folder, progress=show)
    result["seconds"] = time.perf_counter() - started
    result["cpu_seconds"] = time.process_time() - processor
    result["peak_mib"] = peak_mib() - before
    result["frame_mib"] = weight.numel() * weight.element_size() / 2**20
    if method == "spread":  # a second call, which reads the cache, to be told what was built
        report = explain_frame(num_classes, dim, cache=folder)
        shutil.rmtree(folder)
        names = ("construction", "optimal", "max_cosine", "min_cosine", "coherence", "pairs_measured", "bounds")
        return result | {name: report[name] for name in names}
    low, high = cosine_range(weight)
    result |= {"max_cosine": high, "min_cosine": low, "coherence": max(-low, high), "pairs_measured": 1.0}
    result["bounds"] = {
        "rankin": rankin_bound(num_classes, dim),
        "levenshtein": levenshtein_bound(num_classes, dim),
        "welch": welch_bound(num_classes, dim),
    }
    return result


def peak_mib() -> float:
    """Peak resident memory of this process so far (kilobytes on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def show(done: int, total: int, value: float) -> None:
    """Progress on standard error."""
    print(f"  {done}/{total}: {value:.5f}", file=sys.stderr, flush=True)


def in_its_own_process(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in a fresh interpreter."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--restarts", type=int, default=40, help="limit for the known optima")
    parser.add_argument("--skip-large", action="store_true", help="the known optima only")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.case is not None:
        print(json.dumps(large_case(**arguments.case)))
        return
    results: dict[str, Any] = {"provenance": provenance(), "known_optima": [], "large": []}
    for k, d, optimum in OPTIMA:
        row = known_optimum(k, d, optimum, arguments.restarts)
        results["known_optima"].append(row)
        print(f"({k}, {d}): optimum {optimum:.6f}, error {row['error']:.1e}, restarts {row['restarts']}", flush=True)
        write_json(arguments.output, results)
    for sizes in [] if arguments.skip_large else LARGE:
        for method in ("random", "optimised", "spread"):
            row = in_its_own_process({"method": method, **sizes})
            results["large"].append(row)
            print(
                f"({row['num_classes']}, {row['dim']}) {method}: max cosine {row['max_cosine']:.5f}, coherence "
                f"{row['coherence']:.5f}, {row['seconds']:.0f} s, {row['peak_mib']:.0f} MiB for {row['frame_mib']:.0f}",
                flush=True,
            )
            write_json(arguments.output, results)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
