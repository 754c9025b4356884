"""Peak memory of one training step (forward and backward), over the class table itself, as the classes grow.

    python benchmarks/dot_regression_memory.py [--output FILE]

Each case runs in a fresh process: features (1024, 64) that need a gradient, a frozen table of random unit vectors
(K, 64), one loss, one backward pass. Two measurements:

- ``allocated``: the peak of what the tensor allocator had handed out during the step, from the profiler's record of
  every allocation. Exact; the table, made before, is not in it.
- ``resident``: the growth of the process's peak resident memory (``ru_maxrss``) over the step. What the system sees,
  in pages and with whatever code is loaded on first use, after a small warm-up step.

Plain cross-entropy stops at K = 100,000: at a million its logits alone would take 4.1 GB.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.losses import cosine_cross_entropy, dot_regression_loss

BATCH, DIM, SCALE, CHUNK = 1024, 64, 8.0, 4096
CLASSES = (10, 1000, 100_000, 1_000_000)
DENSE_LIMIT = 100_000
OUTPUT = Path(__file__).parent / "results" / "dot_regression_memory.json"


def plain_cross_entropy(features: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """What one writes without this library."""
    return F.cross_entropy(SCALE * F.linear(features, weight), target)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "dot-regression": dot_regression_loss,
    "dot-regression, balance=batch": lambda f, t, w: dot_regression_loss(f, t, w, balance="batch"),
    "dot-regression, mixup": lambda f, t, w: dot_regression_loss(f, (t, t.flip(0), 0.3), w),
    f"cross-entropy on cosines, chunks of {CHUNK}": lambda f, t, w: cosine_cross_entropy(
        f, t, w, scale=SCALE, chunk_size=CHUNK
    ),
    "cross-entropy on cosines, plain": plain_cross_entropy,
}


def unit_rows(rows: int, generator: torch.Generator) -> Tensor:
    """Random unit vectors (rows, DIM), made in place so that making them needs no memory beside the result."""
    table = torch.empty(rows, DIM).normal_(generator=generator)
    for block in table.split(4096):
        block.div_(torch.linalg.vector_norm(block, dim=1, keepdim=True))
    return table


def measure(name: str, num_classes: int) -> dict[str, float]:
    """One case, in this process."""
    loss = LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    loss(unit_rows(2, generator).requires_grad_(), torch.tensor([0, 1]), unit_rows(2, generator)).backward()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True):
        torch.zeros(1)  # the profiler's own first use
    table = unit_rows(num_classes, generator)
    features = unit_rows(BATCH, generator).requires_grad_()
    target = torch.randint(num_classes, (BATCH,), generator=generator)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss(features, target, table).backward()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    features.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        loss(features, target, table).backward()
    unit = 1 if platform.system() == "Darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return {
        "allocated_mib": allocated_peak(recorded) / 2**20,
        "resident_mib": resident * unit / 2**20,
        "table_mib": table.numel() * table.element_size() / 2**20,
    }


def allocated_peak(recorded: profile) -> int:
    """The largest running sum of the allocations and releases that the profiler saw, in bytes."""
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def run_case(name: str, num_classes: int) -> dict[str, object]:
    """One case, in a fresh process."""
    command = [sys.executable, __file__, "--case", name, str(num_classes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"loss": name, "num_classes": num_classes, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--case", nargs=2, metavar=("LOSS", "K"), help="measure one case in this process, print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.case:
        print(json.dumps(measure(arguments.case[0], int(arguments.case[1]))))
        return
    cases = []
    print(f"{'loss':42} {'K':>9} {'allocated MiB':>14} {'resident MiB':>13} {'table MiB':>10}")
    for name in LOSSES:
        for num_classes in CLASSES:
            if name.endswith("plain") and num_classes > DENSE_LIMIT:
                continue
            case = run_case(name, num_classes)
            cases.append(case)
            figures = f"{case['allocated_mib']:14.2f} {case['resident_mib']:13.2f} {case['table_mib']:10.2f}"
            print(f"{name:42} {num_classes:9} {figures}")
    settings = {"batch": BATCH, "dim": DIM, "dtype": "float32", "chunk_size": CHUNK, "plain_limit": DENSE_LIMIT}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    print("written:", write_json(arguments.output, {"settings": settings, "cases": cases, **provenance()}))


if __name__ == "__main__":
    main()
