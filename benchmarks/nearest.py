"""The nearest of 10^6 stored class vectors (d = 64), exactly: ours beside FAISS's flat index and one product with topk.

In turns, one thread, medians of processor time; all must name the same classes.

    python benchmarks/nearest.py --output benchmarks/results/nearest.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.heads import nearest_prototypes

DIM = 64
CASES = ((64, 1), (64, 10), (1000, 1))  # features, classes asked for


def search(num_classes: int, features: int, k: int, rounds: int = 5) -> dict[str, Any]:
    import faiss

    faiss.omp_set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(num_classes, DIM, generator=generator), dim=1)
    x = torch.nn.functional.normalize(torch.randn(features, DIM, generator=generator), dim=1)
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors.numpy())
    ways: dict[str, Callable[[], Any]] = {
        "equiangular": lambda: nearest_prototypes(x, vectors, k=k)[1],
        "faiss Flat": lambda: torch.from_numpy(index.search(x.numpy(), k)[1]),
    }
    if features * num_classes < 10**8:
        ways["matmul and topk"] = lambda: (x @ vectors.T).topk(k, dim=1)[1]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        answers = []
        for name, way in ways.items():
            start = time.process_time()
            answers.append(way())
            if number:
                seconds[name].append(time.process_time() - start)
        if not all(torch.equal(answer, answers[0]) for answer in answers):
            raise SystemExit("the searches differ")
    medians = {name: median(runs) for name, runs in seconds.items()}
    ratio = medians["equiangular"] / medians["faiss Flat"]
    return {"classes": num_classes, "features": features, "k": k, "seconds": medians, "ratio_to_faiss": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/nearest.json"))
    parser.add_argument("--classes", type=int, default=10**6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for features, k in CASES:
        rows.append(search(options.classes, features, k, rounds=5 if features < 1000 else 2))
        print(rows[-1], flush=True)
        write_json(options.output, {"rows": rows, "goal": 0.75, "provenance": provenance()})


if __name__ == "__main__":
    main()
