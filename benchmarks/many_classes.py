"""Ten thousand classes from ``train`` to the page: memory, files, and steps a second beside the learned linear head.

``commands``: ``equiangular train`` and ``equiangular evaluate``, each a process of its own with one thread, on features
(d = 64) of K classes, five samples of each to train on and two to test on: peak resident memory, processor time, and
the size of all files and of the largest. ``steps``: a training step of an MLP with either head, in turns, medians of
processor time. ``million``: the recommended head of 10^6 classes: made, and one step.

    python benchmarks/many_classes.py --output benchmarks/results/many_classes.json
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from equiangular import recommended_head
from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.training.methods import Context, get_method
from equiangular.training.model.task import build_task

DIM, BATCH = 64, 64
METHODS = ("linear-ce", "recommended")


def write_data(path: Path, num_classes: int) -> None:
    draw = np.random.default_rng(0)
    means = draw.normal(size=(num_classes, DIM)).astype(np.float32)
    parts: dict[str, Any] = {}
    for part, samples in (("train", 5), ("test", 2)):
        labels = np.repeat(np.arange(num_classes), samples)
        noise = draw.normal(size=(len(labels), DIM)).astype(np.float32)
        parts |= {f"{part}_x": means[labels] + 0.7 * noise, f"{part}_y": labels}
    np.savez(path, **parts)


def command(*words: str) -> dict[str, float]:
    """Processor seconds and peak memory of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import resource, sys; from equiangular.cli import main; import atexit; "
        "atexit.register(lambda: print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)); main()"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "peak_mib": int(done.stdout.rsplit("PEAK", 1)[1]) / 1024}


def commands(num_classes: int, methods: tuple[str, ...] = METHODS) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_data(data, num_classes)
        for method in methods:
            run = Path(folder) / method
            row: dict[str, Any] = {
                "train": command(
                    "train", str(data), "--method", method, "--epochs", "1", "--batch-size", "512", "-q", "-o", str(run)
                ),
                "evaluate": command("evaluate", str(run), "-q"),
            }
            sizes = {str(f.relative_to(run)): f.stat().st_size / 1e6 for f in run.rglob("*") if f.is_file()}
            largest = max(sizes, key=lambda name: sizes[name])
            row["files"] = {"largest": largest, "largest_mb": sizes[largest], "all_mb": sum(sizes.values())}
            result[method] = row
    return result


def steps(num_classes: int, rounds: int = 21) -> dict[str, Any]:
    labels = torch.arange(BATCH)
    x = torch.randn(BATCH, DIM)

    def make(name: str) -> Any:
        task = build_task(get_method(name), "mlp", (DIM,), num_classes, seed=0).train()
        task.context = Context(torch.full((num_classes,), 5.0), 0, 2, labels)
        optimizer = torch.optim.SGD(task.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            task(x, labels)["losses"].mean().backward()
            optimizer.step()

        return step

    ways = {name: make(name) for name in (*METHODS, "linear-la")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, step in ways.items():
            start = time.process_time()
            step()
            if number > 1:
                seconds[name].append(time.process_time() - start)
    medians = {name: median(runs) for name, runs in seconds.items()}
    ratios = {f"recommended to {name}": medians["recommended"] / medians[name] for name in ("linear-ce", "linear-la")}
    return {"seconds": medians, **ratios}


def million() -> dict[str, float]:
    start = time.process_time()
    head = recommended_head(DIM, 10**6)
    made = time.process_time() - start
    start = time.process_time()
    torch.nn.functional.cross_entropy(head(torch.randn(8, DIM)), torch.arange(8)).backward()
    return {"made_seconds": made, "step_seconds": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/many_classes.json"))
    parser.add_argument("--classes", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # The commands first: a child's peak is never below what this process held when it was started.
    result: dict[str, Any] = {"classes": options.classes, "commands": commands(options.classes)}
    result |= {"steps": steps(options.classes), "million": million(), "provenance": provenance()}
    print({key: value for key, value in result.items() if key != "provenance"})
    write_json(options.output, result)


if __name__ == "__main__":
    main()
