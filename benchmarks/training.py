"""Training throughput against a bare PyTorch loop over the same network, data and steps, side by side.

Epochs of both alternate in one process, so that whatever else the machine does falls on both alike; the ratio is the
median over the rounds of (time of the bare loop) / (time of ours): 1 means no overhead. On the CPU the time is that of
the process's own thread, on a GPU it is the clock's.

    python benchmarks/training.py                       # CPU
    python benchmarks/training.py --accelerator cuda    # GPU: precision and torch.compile on and off as well
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.models import registry
from equiangular.training import Budget, Hardware, Task, Training, build_task, get_method

# Name -> backbone, image shape, images, batch size, hardware.
CPU = {
    "digits network, 8 x 8, batch 64": ("digits", (1, 8, 8), 4096, 64, {}),
    "ResNet-8, 32 x 32, batch 128": ("resnet8", (3, 32, 32), 1280, 128, {}),
    "ResNet-20, 32 x 32, batch 128, channels last": ("resnet20", (3, 32, 32), 512, 128, {"channels_last": True}),
}
CHANNELS_LAST = {"ResNet-8": 8, "ResNet-20": 20}
GPU = {
    f"ResNet-32, 32 x 32, batch {batch}, {precision}{', compiled' if compiled else ''}": (
        "resnet32", (3, 32, 32), 51_200, batch,
        {"precision": precision, "compile": compiled, "channels_last": True},
    )
    for batch in (128, 1024)
    for precision in ("32-true", "bf16-mixed")
    for compiled in (False, True)
}  # fmt: skip


def bare_loop(
    task: Task, images: Tensor, labels: Tensor, prepare: Callable[[Tensor], Tensor], batch_size: int, hardware: Hardware
) -> Callable[[], None]:
    """One epoch as anybody would write it: shuffle, index, standardise, forward, backward, SGD step."""
    device = images.device
    model = torch.nn.Sequential(task.backbone, task.head).to(device).train()
    if hardware.channels_last:
        model.to(memory_format=torch.channels_last)
    if hardware.compile:
        task.backbone.compile()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    mixed = hardware.precision == "bf16-mixed"

    def epoch() -> None:
        for index in torch.randperm(len(labels)).to(device).split(batch_size):
            x = prepare(images[index])
            if hardware.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext():
                loss = F.cross_entropy(model(x), labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def measure(case: tuple[Any, ...], rounds: int, accelerator: str) -> dict[str, Any]:
    """Seconds of each epoch of both, and the ratio."""
    backbone, shape, num, batch_size, options = case
    hardware = Hardware(accelerator=accelerator, **options)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, *shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (num,), generator=generator)
    device = torch.device("cuda" if accelerator == "cuda" else "cpu")
    mean, std = (torch.full((1, shape[0], 1, 1), value, device=device) for value in (0.5, 0.25))

    def prepare(x: Tensor) -> Tensor:
        return (x.float() / 255 - mean) / std

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.thread_time()

    def task() -> Task:
        return build_task(get_method("linear-ce"), backbone, shape, 10, seed=0)

    plain = bare_loop(task(), images.to(device), labels.to(device), prepare, batch_size, hardware)
    ours = Training(
        task(), images, labels, Budget(epochs=rounds + 1, batch_size=batch_size), seed=0, prepare=prepare,
        hardware=hardware,
    )  # fmt: skip
    times: list[tuple[float, float]] = []
    begun = now()

    def alternate(_: Training) -> None:
        nonlocal begun
        middle = now()
        plain()
        end = now()
        times.append((middle - begun, end - middle))
        begun = now()

    ours.run(on_epoch=alternate)
    times = times[1:]  # the first has set-up and compilation in it
    ratios = [b / a for a, b in times]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "images_per_second": num / statistics.median(a for a, _ in times),
        "images_per_second_bare": num / statistics.median(b for _, b in times),
    }


def small_steps(rounds: int, batch_size: int = 64, num: int = 1024) -> dict[str, dict[str, float]]:
    """Microseconds of a training step of a small MLP by method, and over a bare loop of linear and cross-entropy.

    Epochs of 16 steps alternate; a ratio is the median over the rounds, a time the least.
    """
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(num, 30, generator=generator), torch.randint(0, 10, (num,), generator=generator)

    def task(name: str) -> Task:
        return build_task(get_method(name), "mlp", (30,), 10, seed=0)

    plain = torch.nn.Sequential(task("linear-ce").backbone, torch.nn.Linear(64, 10)).train()
    sgd = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def bare() -> None:
        for index in torch.randperm(num).split(batch_size):
            loss = F.cross_entropy(plain(x[index]), labels[index])
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()

    times: dict[str, list[float]] = {"bare": []}
    hardware, budget = Hardware(accelerator="cpu"), Budget(epochs=rounds, batch_size=batch_size)
    trainings = {
        name: Training(task(name), x, labels, budget, seed=0, prepare=lambda x: x, hardware=hardware)
        for name in ("linear-ce", "etf-la", "etf-dr")
    }
    runs = {name: _by_epochs(training) for name, training in trainings.items()}
    for _ in range(rounds):
        for name, run in {"bare": bare, **runs}.items():
            begun = time.thread_time()
            run()
            times.setdefault(name, []).append(time.thread_time() - begun)
    steps = num / batch_size
    return {
        name: {
            "microseconds": 1e6 * min(some) / steps,
            "ratio": statistics.median(a / b for a, b in zip(some[1:], times["bare"][1:], strict=True)),
        }
        for name, some in times.items()
    }


def _by_epochs(training: Training) -> Callable[[], None]:
    """One epoch of a training, as its ``run`` takes it."""

    def epoch() -> None:
        training.module.train()
        for batch in training.batches.epoch(training.epoch):
            training._take_step(batch)
        training._end_epoch()

    return epoch


def channels_last(depth: int, rounds: int) -> dict[str, float]:
    """Forward and backward of a ResNet with channels last, over the same with a plain mean and a sliced shortcut."""
    model = registry.CifarResNet(depth).to(memory_format=torch.channels_last).train()
    x = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    upstream, ours = torch.randn(128, 64), (registry.ResidualBlock._shortcut, registry.mean_over_positions)

    def sliced(block: Any, x: Tensor) -> Tensor:
        half = block.added // 2
        x = x[:, :, :: block.stride, :: block.stride]
        return F.pad(x, (0, 0, 0, 0, half, block.added - half)) if block.added else x

    def step(shortcut: Any, mean: Any) -> float:
        registry.ResidualBlock._shortcut, registry.mean_over_positions = shortcut, mean
        model.zero_grad()
        begun = time.thread_time()
        model(x).backward(upstream)
        return time.thread_time() - begun

    plain = (sliced, lambda x: x.mean((2, 3)))
    times = [(step(*plain), step(*ours)) for _ in range(rounds + 1)][1:]
    return {"ratio": statistics.median(b / a for a, b in times), "seconds": statistics.median(b for _, b in times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", default="", help="run the cases whose names contain this text")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    if options.accelerator == "cpu":
        torch.set_num_threads(1)
    cases = {n: c for n, c in (GPU if options.accelerator == "cuda" else CPU).items() if options.only in n}
    results = {}
    for name, case in cases.items():
        results[name] = measure(case, options.rounds, options.accelerator)
        ours, bare = results[name]["images_per_second"], results[name]["images_per_second_bare"]
        print(f"{name}: ratio {results[name]['ratio']:.3f}; {ours:,.0f} images/s, bare {bare:,.0f}", flush=True)
    if options.accelerator == "cpu":
        title = "MLP, batch 64"
        if options.only in title:
            results[title] = small_steps(10 * options.rounds)
            told = ", ".join(f"{name} {row['ratio']:.2f}" for name, row in results[title].items())
            print(f"{title}: {told} x the bare loop", flush=True)
        for name, depth in CHANNELS_LAST.items():
            title = f"{name}, forward and backward with channels last, over plain formulas"
            if options.only in title:
                results[title] = channels_last(depth, options.rounds)
                print(f"{title}: {results[title]['ratio']:.3f}", flush=True)
    name = "training.json" if options.accelerator == "cpu" else "training_gpu.json"
    if options.only and (options.output / name).exists():  # the other cases stay as they are
        results = json.loads((options.output / name).read_text())["results"] | results
    write_json(options.output / name, {"results": results, "provenance": provenance(), "load": os.getloadavg()[0]})


if __name__ == "__main__":
    main()
