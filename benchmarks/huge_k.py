"""Ten million classes on one core: a training step, and the nearest class of a feature, as K grows.

    python benchmarks/huge_k.py [--output FILE]

``steps``: forward and backward of dot-regression through a head, for features (128, 512) that need a gradient: the
time, the peak of what the tensor allocator handed out (the profiler's record of every allocation), the growth of the
process's peak resident memory, and the bytes that the head keeps. ``implicit``: :class:`ImplicitHead`, both
constructions; ``stored``: the same loss with a frozen table of random unit vectors; ``linear``: a learned linear
classifier with cross-entropy and SGD with momentum, what one would do without this library, up to K = 100,000.

``searches``: the nearest of K class vectors for 64 features at a given cosine to the vector of their class: in chunks
(``random``, class vectors computed on the way), by Walsh-Hadamard transforms (``quadratic``), both exact and with
nothing stored, and through an inverted file of FAISS at K = 100,000; with the share of features whose class is found.

``cross_entropies``: all classes at once, in chunks and with class vectors made on the way.

Every case runs in a process of its own, one thread; seconds are processor time, of a step the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.profiler import ProfilerActivity, profile

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.frames.implicit import CONSTRUCTIONS
from equiangular.heads import ImplicitHead, LinearHead, PrototypeIndex, RandomHead, nearest_prototypes
from equiangular.losses import cosine_cross_entropy, dot_regression_loss
from equiangular.losses.log_sum_exp import ChunkedLogSumExp

BATCH, DIM, QUERIES, COSINES = 128, 512, 64, (0.9, 0.7, 0.5)
OUTPUT = Path(__file__).parent / "results" / "huge_k.json"
STEPS = [
    *[(name, k) for name in ("implicit random", "implicit quadratic") for k in (10, 100_000, 10_000_000)],
    *[(name, k) for name in ("stored", "linear") for k in (10, 100_000)],
]
SEARCHES = [
    ("random", "chunks", 100_000),
    ("random", "IVF1264,Flat", 100_000),
    ("random", "chunks", 1_000_000),
    ("quadratic", "chunks", 100_000),
    ("quadratic", "chunks", 10_000_000),
]


def make_step(name: str, num_classes: int) -> tuple[Callable[[], None], int]:
    """A training step, and the bytes that the head and its optimiser keep between steps."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(BATCH, DIM, generator=generator).requires_grad_()
    labels = torch.randint(num_classes, (BATCH,), generator=generator)
    if name == "linear":
        head = LinearHead(DIM, num_classes)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)

        def step() -> None:
            optimizer.zero_grad()
            cross_entropy(head(features), labels).backward()
            optimizer.step()

        return step, 3 * size_of(head)  # the gradient and the momentum, too
    construction = name.removeprefix("implicit ")
    if name == "stored":
        head = RandomHead(DIM, num_classes)
    else:
        head = ImplicitHead(DIM, num_classes, construction=construction)

    def step() -> None:
        features.grad = None
        h = head(features, pre_logits=True)
        dot_regression_loss(h, torch.arange(BATCH), head.targets(labels)).backward()

    return step, size_of(head)


def cross_entropies(num_classes: int, dim: int = 128, rounds: int = 5, scale: float = 16.0) -> dict[str, Any]:
    """Cross-entropy over all classes, forward and backward, of features that need a gradient, side by side.

    ``full``: the logits of a frozen table, PyTorch's cross-entropy. ``chunked``: the same table in chunks, logits made
    once; ``twice``: as a table that learns has it, made again in the backward pass, which is what this did before.
    ``implicit``: class vectors made in chunks; ``logits``: the same head's B x K logits and PyTorch's cross-entropy.
    Seconds, ratios to ``full`` (medians over rounds), and the peak of what was allocated in a step.
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(BATCH, dim, generator=generator).requires_grad_()
    labels = torch.randint(num_classes, (BATCH,), generator=generator)
    table = normalize(torch.randn(num_classes, dim, generator=generator))
    heads = {name: ImplicitHead(dim, num_classes, construction=name, scale=scale) for name in CONSTRUCTIONS}
    made: dict[str, Callable[[], Tensor]] = {
        "full": lambda: cross_entropy(normalize(features) @ table.T * scale, labels),
        "chunked": lambda: cosine_cross_entropy(features, labels, table, scale=scale, chunk_size=4096),
        "twice": lambda: _twice(features, labels, table, scale),
    }
    for name, head in heads.items():
        made[f"implicit {name}"] = lambda h=head: cosine_cross_entropy(features, labels, h, scale=scale)
        made[f"implicit {name}, logits"] = lambda h=head: cross_entropy(h(features), labels)

    def step(loss: Callable[[], Tensor]) -> None:
        features.grad = None
        loss().backward()

    seconds: dict[str, list[float]] = {name: [] for name in made}
    for name in list(made) * (rounds + 1):
        start = time.process_time()
        step(made[name])
        seconds[name].append(time.process_time() - start)
    results = {}
    for name, loss in made.items():
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            step(loss)
        times = list(zip(seconds[name][1:], seconds["full"][1:], strict=True))
        row = {"seconds": median(s for s, _ in times), "of full": median(s / full for s, full in times)}
        results[name] = row | {"allocated_mib": allocated_peak(recorded) / 2**20}
    table_mib = table.numel() * 4 / 2**20
    return {"num_classes": num_classes, "dim": dim, "table_mib": table_mib, "ways": results}


def _twice(features: Tensor, labels: Tensor, table: Tensor, scale: float) -> Tensor:
    scaled = scale * normalize(features)
    total: Tensor = ChunkedLogSumExp.apply(scaled, table, None, 4096)
    return (total - (scaled * table[labels]).sum(1)).mean()


def size_of(head: torch.nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in [*head.parameters(), *head.buffers()])


def step_case(name: str, num_classes: int, rounds: int = 15) -> dict[str, Any]:
    """Time and memory of a step, in this process."""
    small, _ = make_step(name, 10)
    small()  # what code loads on first use belongs to no case
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True):
        torch.zeros(1)
    step, kept = make_step(name, num_classes)
    before = peak_resident()
    step()
    resident = peak_resident() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    return {
        "head": name,
        "num_classes": num_classes,
        "seconds": median(seconds),
        "allocated_mib": allocated_peak(recorded) / 2**20,
        "resident_mib": resident / 2**20,
        "kept_mib": kept / 2**20,
    }


def search_case(construction: str, index: str, num_classes: int) -> dict[str, Any]:
    """Time, memory and recall of a search, in this process."""
    torch.randn(8, 8) @ torch.randn(8, 8)
    head = ImplicitHead(DIM, num_classes, construction=construction)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(num_classes, (QUERIES,), generator=generator)
    noise = normalize(torch.randn(QUERIES, DIM, generator=generator), dim=1)
    features = [c * head.rows(ids) + (1 - c * c) ** 0.5 * noise for c in COSINES]
    result: dict[str, Any] = {"construction": construction, "index": index, "num_classes": num_classes}
    before, start = peak_resident(), time.process_time()
    if index == "chunks":
        search: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda h: nearest_prototypes(h, head)  # noqa: E731
    else:
        import faiss

        faiss.omp_set_num_threads(1)
        search = PrototypeIndex(head, index=index).search
    result["build_seconds"] = time.process_time() - start
    start = time.process_time()
    found = search(features[0])[1][:, 0]
    result["seconds_per_feature"] = (time.process_time() - start) / QUERIES
    result["resident_mib"] = (peak_resident() - before) / 2**20
    answers = [found, *(search(h)[1][:, 0] for h in features[1:])]
    result["found"] = [float((answer == ids).float().mean()) for answer in answers]
    return result


def peak_resident() -> int:
    """Peak resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def allocated_peak(recorded: profile) -> int:
    """The largest running sum of the allocations and releases that the profiler saw, in bytes."""
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def in_its_own_process(case: list[Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--only", default="", help="run one part: cross_entropies")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.case:
        run = step_case if len(arguments.case) == 2 else search_case
        print(json.dumps(run(*arguments.case)))
        return
    results: dict[str, Any] = {"provenance": provenance(), "settings": {"batch": BATCH, "dim": DIM, "dtype": "float32"}}
    results["settings"] |= {"queries": QUERIES, "cosines": list(COSINES)}
    results |= {"steps": [], "searches": [], "cross_entropies": []}
    if arguments.only:
        results = read_json(arguments.output) | {"cross_entropies": [], "provenance_cross_entropies": provenance()}
    for size in (10_000, 100_000):
        results["cross_entropies"].append(cross_entropies(size))
        for name, row in results["cross_entropies"][-1]["ways"].items():
            told = f"{1000 * row['seconds']:8.1f} ms, {row['of full']:.2f} x full, {row['allocated_mib']:.1f} MiB"
            print(f"K = {size:<9,}{name:<28}{told}", flush=True)
        write_json(arguments.output, results)
    if arguments.only:
        return
    for case in STEPS:
        row = in_its_own_process(list(case))
        results["steps"].append(row)
        print(
            f"{row['head']:<20}K = {row['num_classes']:<11,}{1000 * row['seconds']:8.2f} ms  allocated "
            f"{row['allocated_mib']:8.2f} MiB, resident {row['resident_mib']:8.2f}, kept {row['kept_mib']:8.2f}",
            flush=True,
        )
        write_json(arguments.output, results)
    for case in SEARCHES:
        row = in_its_own_process(list(case))
        results["searches"].append(row)
        print(
            f"{row['construction']:<11}{row['index']:<14}K = {row['num_classes']:<11,}"
            f"{1000 * row['seconds_per_feature']:9.2f} ms a feature, found {row['found']}, "
            f"resident {row['resident_mib']:.0f} MiB, built in {row['build_seconds']:.1f} s",
            flush=True,
        )
        write_json(arguments.output, results)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
