"""A training step of a head, B = 128, K = 10, d = 64, and logits of large frames without a matrix, side by side.

    python benchmarks/head_step.py [--rounds 15] [--output FILE]

``linear`` is nn.Linear + cross-entropy + SGD with momentum; ``bare`` the cross-entropy of F.normalize(x) W^T s plus the
log prior, as anybody would write it. All features need a gradient. Every round runs each step 200 times, one after the
other, so that whatever else the machine does falls on all alike; a ratio is the median over the rounds. Times are
processor time of one thread. ``structured``: logits of 64 features by a frame of K = d = 10,000 that is not stored, and
their gradient, in copies of 64 x K numbers (one for inference, two for training), with the product beside them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.heads import ETFHead
from equiangular.losses import DotRegressionLoss, LogitAdjustedCrossEntropyLoss, soft_target_cross_entropy

OUTPUT = Path(__file__).parent / "results" / "head_step.json"
BATCH, CLASSES, DIM, STEPS = 128, 10, 64, 200
BESIDE = {"adjusted": "bare", "bare": "linear"}


def make_steps() -> dict[str, Callable[[], Any]]:
    """One forward and backward pass each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, DIM, generator=generator).requires_grad_()
    y = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    counts = torch.tensor([500 * 0.6**k for k in range(CLASSES)])
    linear = torch.nn.Linear(DIM, CLASSES)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1, momentum=0.9)
    head, adjusted, pull = ETFHead(DIM, CLASSES).train(), LogitAdjustedCrossEntropyLoss(counts), DotRegressionLoss()
    prior, scale = (counts / counts.sum()).log(), float(head.scale)

    def learned() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(linear(x), y).backward()
        optimizer.step()

    return {
        "linear": learned,
        "etf + ce": lambda: F.cross_entropy(head(x), y).backward(),
        "etf + soft ce": lambda: soft_target_cross_entropy(head(x), y).backward(),
        "etf + dr": lambda: pull(x, y, head).backward(),
        "etf + dr, of features": lambda: pull(head(x, pre_logits=True), y, head.weight).backward(),
        "adjusted": lambda: adjusted(head(x), y).backward(),
        "bare": lambda: F.cross_entropy(F.linear(F.normalize(x), head.weight) * scale + prior, y).backward(),
    }


def timed(step: Callable[[], Any], times: int) -> float:
    """Seconds of processor time of one call."""
    begun = time.thread_time()
    for _ in range(times):
        step()
    return (time.thread_time() - begun) / times


def structured(basis: Any, rounds: int, size: int = 10_000) -> dict[str, float]:
    """Times of logits and of their gradient in copies of their size, the product's too, and the head's megabytes."""
    head, bare = ETFHead(size, size, basis=basis), ETFHead(2, 2)
    h, room = head(torch.randn(64, size), pre_logits=True), torch.empty(64, size)
    learned, upstream = h.clone().requires_grad_(), torch.randn(64, size)

    def train() -> None:
        torch.autograd.grad(head.logits_from_features(learned), learned, upstream)

    def infer() -> None:
        with torch.no_grad():
            head.logits_from_features(h)

    ways: dict[str, Callable[[], Any]] = {
        "copy": lambda: h.clone(),
        "copy in place": lambda: room.copy_(h),
        "inference": infer,
        "training": train,
    }
    for way in ways.values():
        timed(way, 20)
    times = [{name: timed(way, 20) for name, way in ways.items()} for _ in range(rounds)]
    kept = sum(t.numel() * t.element_size() for t in head.state_dict().values())
    found = {f"{name}_ms": 1e3 * median(t[name] for t in times) for name in ways}
    found["stored_megabytes"] = kept / 1e6
    # A copy each for what a training makes: logits and gradient.
    for name, made in (("inference", 1), ("training", 2)):
        found[f"{name} / copies"] = median(t[name] / (made * t["copy"]) for t in times)
    product = timed(lambda: F.linear(h, head.weight) * bare.scale, 1)
    return found | {"product / copy": 1e3 * product / found["copy_ms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = make_steps()
    for step in steps.values():
        timed(step, 50)
    rounds = [{name: timed(step, STEPS) for name, step in steps.items()} for _ in range(options.rounds)]
    results: dict[str, Any] = {}
    for name in steps:
        other = BESIDE.get(name, "linear")
        ratio = median(r[name] / r[other] for r in rounds)
        results[name] = {"microseconds": 1e6 * median(r[name] for r in rounds), "beside": other, "ratio": ratio}
        print(f"{name:14s} {results[name]['microseconds']:7.1f} us, {ratio:.2f} x {other}", flush=True)
    for basis in ("canonical", "minimal"):
        results[f"structured, {basis}"] = found = structured(basis, 9)
        print(f"{basis:14s} {', '.join(f'{name} {value:.2f}' for name, value in found.items())}", flush=True)
    write_json(options.output, {"results": results, "load": os.getloadavg()[0], "provenance": provenance()})


if __name__ == "__main__":
    main()
