"""Closed-form classifiers beside the product they cannot avoid and beside scikit-learn's, in one run.

Processor time of one thread, in rounds that alternate: every ratio is the median over the rounds of what was measured
next to each other. A fit is all of it: statistics of float32 features, regularisation and scale by leave-one-out, class
vectors. The product X^T X is PyTorch's, in float32, as the features are, and in float64, as the sums are.

- *Leave-one-out*: what choosing the regularisation adds to a fit whose regularisation is given; both set the scale of
  the logits by left-out samples. Ridge regression has 20 values, a Gaussian 13, of which it looks at 9.
- *Memory*: peak of a process of its own, less what it holds before the fit with the features in it, in numbers of
  8 bytes, as a multiple of d^2 + K d: features in one call, and in batches that are drawn one after the other.
- *Rivals*, with ``--rivals``, once each, beside ours on the same features. LogisticRegression is the seconds of an
  iteration on all samples, times the iterations of a tenth of them, at the default tolerance of 1e-4 and at 1e-6; at
  most 100. RidgeClassifierCV (20 alphas) has a fifth of the samples: more would take N K numbers several times over.
  LinearDiscriminantAnalysis has shrinkage="auto", by both of its solvers that have shrinkage, on all and on a fifth.

    python benchmarks/closed_form.py --rivals --output benchmarks/results/closed_form.json
    python benchmarks/closed_form.py --rivals --size 4000 48 20   # N, d and K, to see that it runs
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.closed_form import ClosedForm
from equiangular.closed_form.statistics import ClassStatistics

KINDS = ("class-means", "gaussian", "ridge")
GIVEN: dict[str, Any] = {"class-means": {}, "gaussian": {"regularization": 0.1}, "ridge": {"regularization": 0.1}}
LOGISTIC, RIDGE, DISCRIMINANT = "LogisticRegression(C=1)", "RidgeClassifierCV", "LinearDiscriminantAnalysis"
GOALS = {
    "fit / X^T X": "at most 2.5",
    "solve with leave-one-out / without": "at most 1.5",
    "fit / removing 100, fit / adding a class": "at least 50",
    "memory": "at most 4, and the same for any N streamed",
    LOGISTIC: "at least 100", RIDGE: "at least 10", DISCRIMINANT: "at least 10",
}  # fmt: skip
ROUNDS = 5
Sizes = tuple[int, int, int]  # N, d, K


def features(sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of classes that overlap, float32."""
    n, d, k = sizes
    generator = torch.Generator().manual_seed(0)
    means = 0.1 * torch.randn(k, d, generator=generator)
    labels = torch.randint(0, k, (n,), generator=generator)
    labels[:k] = torch.arange(k)
    x = torch.randn(n, d, generator=generator)
    for rows in torch.arange(n).split(n // 10):
        x[rows] += means[labels[rows]]
    return x, labels


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def solve(seen: Any, sizes: Sizes, kind: str, **options: Any) -> None:
    model = ClosedForm(*sizes[1:], kind=kind, **options)  # type: ignore[arg-type]
    model.seen = seen
    model.solve()


def in_rounds(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of every run in every round, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            taken = seconds(run)
            if i:
                found[name].append(taken)
    return found


def ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def fit(*sizes: int) -> dict[str, Any]:
    n, d, k = sizes
    x, y = features((n, d, k))
    parts = [rows.double() for rows in x[: n // 5].split(1000)]  # a fifth, for memory's sake
    seen = ClassStatistics.empty(k, d).update(x, y)  # the same for every kind here
    changing, new = seen.copy(), torch.full((100,), k)
    runs: dict[str, Callable[[], object]] = {
        "X^T X, float32": lambda: x.T @ x,
        "a fifth of X^T X, float64": lambda: [part.T @ part for part in parts],
        "update": lambda: ClassStatistics.empty(k, d).update(x, y),
        "remove 100 and add them": lambda: changing.remove(x[:100], y[:100]).update(x[:100], y[:100]),
        "copy": lambda: seen.copy(),
        "copy and add a class of 100": lambda: seen.copy().grow(k + 1).update(x[:100], new),
    }
    for kind in KINDS:
        runs[f"solve {kind}"] = lambda kind=kind: solve(seen, (n, d, k), kind)
        runs[f"solve {kind}, regularization given"] = lambda kind=kind: solve(seen, (n, d, k), kind, **GIVEN[kind])
    taken = in_rounds(runs)
    found: dict[str, Any] = {}
    for kind in KINDS:
        whole = [a + b for a, b in zip(taken["update"], taken[f"solve {kind}"], strict=True)]
        added = [max(b - a, 1e-9) for a, b in zip(taken["copy"], taken["copy and add a class of 100"], strict=True)]
        found[kind] = {
            "fit, s": statistics.median(whole),
            "fit / X^T X, float32": ratio(whole, taken["X^T X, float32"]),
            "fit / X^T X, float64": ratio(whole, taken["a fifth of X^T X, float64"]) / 5,
            "solve with leave-one-out / without": ratio(
                taken[f"solve {kind}"], taken[f"solve {kind}, regularization given"]
            ),
            "fit / removing 100": 2 * ratio(whole, taken["remove 100 and add them"]),
            "fit / adding a class": ratio(whole, added),
        }
    return {**found, "seconds": taken}


def of_process(name: str) -> int:
    """``VmHWM``, the peak memory of the process in bytes since the last ``reset_peak``, or ``VmRSS``, what it holds."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(n: int, d: int, k: int, streamed: bool) -> dict[str, float]:
    """Peak memory of an update, in batches of 10,000 that are drawn one after the other or in one call, and of fits."""
    batch = min(n, 10_000)
    x, y = features((batch if streamed else n, d, k))
    for kind in KINDS:  # libraries take their working memory
        ClosedForm(d, k, kind=kind).update(x[:batch], y[:batch]).solve()  # type: ignore[arg-type]
    before = of_process("VmRSS")
    reset_peak()
    seen = ClassStatistics.empty(k, d)
    for seed in range(n // batch if streamed else 1):
        if streamed:
            x.normal_(generator=torch.Generator().manual_seed(seed))
        seen.update(x, y)
    peaks = {"update": of_process("VmHWM") - before}
    for kind in KINDS:
        reset_peak()
        solve(seen, (n, d, k), kind)
        peaks[kind] = max(peaks["update"], of_process("VmHWM") - before)
    return {name: value / 8 / (d * d + k * d) for name, value in peaks.items()}


def rival(n: int, d: int, k: int, name: str) -> dict[str, float]:
    """Seconds of a rival's fit and of ours, and of the bare product, on the same features."""
    import numpy as np
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, RidgeClassifierCV

    x, y = features((n, d, k))
    table, labels = x.numpy(), y.numpy()
    kind = "ridge" if name == RIDGE else "gaussian"

    def ours() -> None:
        ClosedForm(d, k, kind=kind).update(x, y).solve()  # type: ignore[arg-type]

    found = {"ours": statistics.median(in_rounds({"fit": ours}, 3)["fit"])}
    found["X^T X, float32"] = statistics.median(in_rounds({"product": lambda: x.T @ x}, 3)["product"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after so few iterations
        if name == LOGISTIC:
            iteration, part = seconds(lambda: LogisticRegression(max_iter=3).fit(table, labels)) / 3, n // 10
            for tolerance in (1e-4, 1e-6):  # the first is the default
                whole = LogisticRegression(tol=tolerance).fit(table[:part], labels[:part])
                found[f"iterations at {tolerance:g}"] = float(whole.n_iter_[0])
                found[f"theirs at {tolerance:g}"] = iteration * found[f"iterations at {tolerance:g}"]
        else:
            alphas = np.logspace(-2, 4, 20)
            model: Any = RidgeClassifierCV(alphas=alphas)
            if name != RIDGE:
                model = LinearDiscriminantAnalysis("lsqr" if "lsqr" in name else "eigen", shrinkage="auto")
            found["theirs"] = seconds(lambda: model.fit(table, labels))
    ratios = {key.replace("theirs", "ratio"): found[key] / found["ours"] for key in found if "theirs" in key}
    floor = {
        key.replace("theirs", "theirs / X^T X"): found[key] / found["X^T X, float32"]
        for key in found
        if "theirs" in key
    }
    return found | ratios | floor


RUNS: dict[str, Callable[..., dict[str, Any]]] = {"fit": fit, "memory": memory, "rival": rival}


def measure(name: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--run", json.dumps([name, *arguments])]
    # Freed memory goes back to the system at once, so that a peak is what was in use.
    extra = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"} if name == "memory" else {}
    threads = {variable: "1" for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    start = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **extra, **threads}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} {arguments}, {time.monotonic() - start:.0f} s: {rounded(found)}", flush=True)
    return found


def rounded(found: dict[str, Any]) -> str:
    inner = {
        key: f"[{rounded(v)}]" if isinstance(v, dict) else f"{v:.3g}" for key, v in found.items() if key != "seconds"
    }
    return ", ".join(f"{key} {value}" for key, value in inner.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="JSON file for the results")
    parser.add_argument("--rivals", action="store_true", help="also scikit-learn's classifiers, two to three minutes")
    parser.add_argument("--size", type=int, nargs=3, default=(100_000, 768, 1000), metavar=("N", "D", "K"))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.run:
        name, *arguments = json.loads(options.run)
        print(json.dumps(RUNS[name](*arguments)))
        return
    n, d, k = options.size
    load = os.getloadavg()[0]  # of other programs: above about 0.5 the machine was not quiet
    results: dict[str, Any] = {"sizes": {"N": n, "d": d, "K": k}, "load before": load, "goals": GOALS}
    results["ours"] = measure("fit", n, d, k)
    results["memory"] = {
        "in one call": measure("memory", n, d, k, False),
        **{f"{m} streamed": measure("memory", m, d, k, True) for m in (n, 10 * n)},
    }
    if options.rivals:
        rivals = [(LOGISTIC, n), (RIDGE, n // 5)]
        rivals += [(f"{DISCRIMINANT}({solver!r})", m) for m in (n, n // 5) for solver in ("lsqr", "eigen")]
        results["rivals"] = {f"{name}, N = {m}": measure("rival", m, d, k, name) for name, m in rivals}
    print(json.dumps(results, indent=1))
    if options.output:
        write_json(options.output, {**results, "provenance": provenance()})


if __name__ == "__main__":
    main()
