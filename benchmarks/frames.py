"""Time and exactness of the frames, beside two other ways to make them, measured in turns in one run.

    python benchmarks/frames.py [--classes 100 500 1000 2000] [--rounds 5] [--output FILE]

- ``document``: the function of the source document, sqrt(K/(K-1)) (I - 11^T/K) times the polar factor of a K x d
  Gaussian. It forms K x K matrices, and is wrong at d = K - 1, which is in the second table.
- ``recursion``: the minimal simplex from its recursive definition (n + 1 vectors in n dimensions from n vectors in
  n - 1), O(K^3).

Every round calls each construction once, so that a busy machine slows all of them; small frames get more rounds.
``seconds`` is the median over the rounds, ``times_ours`` its ratio to the construction of ours it stands beside:
``simplex_equiangular_tight_frame``, which is NumPy as well, for the document's function, ``minimal`` for the recursion.
``against`` has the frames of 1000 x 2048 in units of the least that they could cost: one QR factorisation of the
Gaussian matrix, SciPy's cosine transform of as many rows (both in float64), or a memory fill (float32).

The Gram error is the largest error of any inner product, in float64 from the entries as they are; the document's in
the tight case is the worst of five draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy import fft, linalg

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.frames import BASES, simplex_equiangular_tight_frame, simplex_etf

OUTPUT = Path(__file__).parent / "results" / "frames.json"
TIGHT = [(2, 1), (6, 5), (10, 9), (100, 99), (513, 512)]
TABLE = [*TIGHT, (1000, 2048), (4000, 4096)]
SLOW_LIMIT = 2000  # the rivals are left out beyond it
BESIDE = {"document": "simplex_equiangular_tight_frame", "recursion": "minimal"}


def document_frame(k: int, d: int, seed: int = 0) -> np.ndarray:
    """(K, d) by polar decomposition, as the source document has it, with a seed."""
    u, _ = linalg.polar(np.random.default_rng(seed).standard_normal((k, d)))
    return np.sqrt(k / (k - 1)) * (np.eye(k) - np.ones(k) / k) @ u


def recursive_simplex(k: int) -> np.ndarray:
    """(K, K-1): the simplex of n + 1 vectors is e_1 and, below -1/n e_1, a smaller simplex times sqrt(1 - 1/n^2)."""
    columns = np.array([[1.0, -1.0]])
    for n in range(2, k):
        larger = np.zeros((n, n + 1))
        larger[0, 0], larger[0, 1:] = 1, -1 / n
        larger[1:, 1:] = np.sqrt(1 - 1 / n**2) * columns
        columns = larger
    return columns.T


def gram_error(frame: np.ndarray | torch.Tensor) -> float:
    """Largest error of any inner product."""
    vectors = torch.as_tensor(frame).double()
    k = len(vectors)
    gram = vectors @ vectors.T
    gram.diagonal().sub_(1 + 1 / (k - 1))
    return float(gram.add_(1 / (k - 1)).abs_().max())


def time_case(k: int, rounds: int) -> list[dict[str, Any]]:
    """Each construction of K vectors, in turns: median seconds, ratio to ours, Gram error."""
    d = k  # every construction exists there
    makers: dict[str, Callable[[], Any]] = {
        basis: lambda basis=basis: simplex_etf(k, d, basis=basis, dtype=torch.float64) for basis in BASES
    }
    makers["simplex_equiangular_tight_frame"] = lambda: simplex_equiangular_tight_frame(k, d, seed=0)
    makers["document"] = lambda: document_frame(k, d)
    if k <= SLOW_LIMIT:
        makers["recursion"] = lambda: recursive_simplex(k)
    errors = {name: gram_error(make()) for name, make in makers.items()}  # the warm-up, too
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    rounds = max(rounds, 10_000 // k)
    for _ in range(rounds):
        for name, make in makers.items():
            start = time.perf_counter()
            make()
            seconds[name].append(time.perf_counter() - start)
    middle = {name: median(values) for name, values in seconds.items()}
    return [
        {
            "construction": name,
            "num_classes": k,
            "dim": d,
            "rounds": rounds,
            "seconds": middle[name],
            "beside": BESIDE.get(name),
            "times_ours": middle[name] / middle[BESIDE[name]] if name in BESIDE else None,
            "gram_error": errors[name],
        }
        for name in makers
    ]


def against(k: int, d: int, rounds: int) -> list[dict[str, Any]]:
    """Each frame beside what it cannot do without, in turns: processor time in milliseconds, ratio of medians."""
    gaussian = torch.randn(d, k - 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = np.random.default_rng(0).standard_normal((k, d))
    references: dict[str, Callable[[], Any]] = {
        "QR factorisation": lambda: torch.linalg.qr(gaussian),
        "cosine transform": lambda: fft.dct(rows, norm="ortho"),
        "memory fill": lambda: torch.full((k, d), 0.5),
    }
    pairs = {
        "haar": "QR factorisation",
        "dct": "cosine transform",
        "canonical": "memory fill",
        "minimal": "memory fill",
        "grouped": "memory fill",
    }
    makers: dict[str, Callable[[], Any]] = dict(references)
    for basis, beside in pairs.items():
        dtype = torch.float32 if beside == "memory fill" else torch.float64
        makers[basis] = lambda basis=basis, dtype=dtype: simplex_etf(k, d, basis=basis, dtype=dtype)
    times: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(4 * rounds + 1):
        for name, make in makers.items():
            if number > rounds and name in ("haar", "QR factorisation"):
                continue
            start = time.process_time()
            make()
            if number:  # the first call fetches code and memory
                times[name].append(1000 * (time.process_time() - start))
    middle = {name: median(values) for name, values in times.items()}
    return [
        {"basis": basis, "num_classes": k, "dim": d, "beside": beside, "ms": middle[basis],
         "beside_ms": middle[beside], "ratio": middle[basis] / middle[beside]}
        for basis, beside in pairs.items()
    ]  # fmt: skip


def told_against(rounds: int) -> list[dict[str, Any]]:
    references = against(1000, 2048, rounds)
    for row in references:
        print(f"{row['basis']:<12}{row['ms']:>9.2f} ms {row['ratio']:>6.2f} x {row['beside']}")
    return references


def error_case(k: int, d: int) -> dict[str, Any]:
    """Gram errors at one (K, d): ours in float64 and cast to float32, the document's code where it fits."""
    row: dict[str, Any] = {"num_classes": k, "dim": d}
    for basis in BASES:
        if basis in ("canonical", "grouped") and d < k:
            continue
        exact = simplex_etf(k, d, basis=basis, dtype=torch.float64)
        row[basis] = {"float64": gram_error(exact), "float32": gram_error(exact.float())}
    row["simplex_equiangular_tight_frame"] = {"float64": gram_error(simplex_equiangular_tight_frame(k, d, seed=0))}
    if k <= SLOW_LIMIT:
        draws = range(5 if (k, d) in TIGHT else 1)
        row["document"] = {
            "float64": max(gram_error(document_frame(k, d, seed)) for seed in draws),
            "draws": len(draws),
        }
    return row


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[100, 500, 1000, 2000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-against", action="store_true", help="measure that table, and keep the others of FILE")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if arguments.only_against:
        result = read_json(arguments.output) if arguments.output.exists() else {}
        result |= {"against": told_against(arguments.rounds), "provenance_against": provenance()}
        print(f"wrote {write_json(arguments.output, result)}")
        return
    timings = []
    print(f"{'construction':<33}{'K = d':>7}{'seconds':>12}{'x ours':>9}{'Gram error':>13}")
    for k in arguments.classes:
        for row in time_case(k, arguments.rounds):
            ratio = "" if row["times_ours"] is None else f"{row['times_ours']:.1f}"
            print(f"{row['construction']:<33}{k:>7}{row['seconds']:>12.5f}{ratio:>9}{row['gram_error']:>13.1e}")
            timings.append(row)
    errors = []
    print(f"\n{'(K, d)':<14}{'haar f64':>10}{'haar f32':>10}{'document':>10}")
    for k, d in TABLE:
        row = error_case(k, d)
        theirs = f"{row['document']['float64']:.1e}" if "document" in row else ""
        print(f"{f'({k}, {d})':<14}{row['haar']['float64']:>10.1e}{row['haar']['float32']:>10.1e}{theirs:>10}")
        errors.append(row)
    print()
    references = told_against(arguments.rounds)
    result = {"provenance": provenance(), "timings": timings, "gram_errors": errors, "against": references}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"wrote {write_json(arguments.output, result)}")


if __name__ == "__main__":
    main()
