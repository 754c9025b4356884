"""Closed-form classifiers beside the product they cannot avoid and beside scikit-learn's, in one run.

Processor time of one thread, each run in a process of its own, the least of a few. A fit is all of it: statistics of
float32 features, regularisation and scale by leave-one-out, class vectors. The product X^T X is PyTorch's, once in
float32, as the features are, and once in float64, as the sums are. Peak memory is that of the process, less what it
holds before the fit with the features in it, in numbers of 8 bytes, as a multiple of d^2 + K d.

LogisticRegression takes the seconds of an iteration on all samples, times the iterations of 10,000 of them at tolerance
1e-6, at most 100; with the default of 1e-4 it stops after three.
RidgeClassifierCV (20 alphas) runs on 20,000, as ours beside it: more would take N K numbers several times over.
LinearDiscriminantAnalysis is solver="lsqr", shrinkage="auto", on all.

    python benchmarks/closed_form.py --rivals --output benchmarks/results/closed_form.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.closed_form import ClosedForm

D, K = 768, 1000
N, STREAMED = 100_000, (100_000, 1_000_000)
LOGISTIC, RIDGE, DISCRIMINANT = "LogisticRegression(C=1)", "RidgeClassifierCV", "LinearDiscriminantAnalysis"
RIVALS_N = {LOGISTIC: N, RIDGE: 20_000, DISCRIMINANT: N}
OURS = {LOGISTIC: "gaussian", RIDGE: "ridge", DISCRIMINANT: "gaussian"}
BATCH, REPEATS = 10_000, 3


def features(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of classes that overlap, float32."""
    generator = torch.Generator().manual_seed(0)
    means = 0.1 * torch.randn(K, D, generator=generator)
    labels = torch.randint(0, K, (n,), generator=generator)
    labels[:K] = torch.arange(K)
    x = torch.randn(n, D, generator=generator)
    for rows in torch.arange(n).split(BATCH):
        x[rows] += means[labels[rows]]
    return x, labels


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    found = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def peak() -> int:
    """Peak memory of the process in bytes since the last call of ``reset_peak``."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def held() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def product(n: int) -> dict[str, float]:
    x, _ = features(n)
    wide = [rows.double() for rows in x[: 4 * BATCH].split(BATCH)]
    return {"float32": seconds(lambda: x.T @ x), "float64": seconds(lambda: [w.T @ w for w in wide]) * n / (4 * BATCH)}


def fit(n: int, kind: str) -> dict[str, float]:
    x, y = features(n)
    options = {} if kind == "class-means" else {"regularization": 0.1}
    seen = ClosedForm(D, K, kind=kind).update(x, y)

    def solve(**options: float) -> None:
        model = ClosedForm(D, K, kind=kind, **options)
        model.seen = seen.seen
        model.solve()

    warm_up = ClosedForm(D, K, kind=kind).update(x[:K], y[:K])
    warm_up.solve()
    del warm_up
    found = {"update": seconds(lambda: ClosedForm(D, K, kind=kind).update(x, y))}
    found |= {"solve": seconds(solve), "solve_without_leave_one_out": seconds(lambda: solve(**options))}
    rows = seen.seen.copy()
    found["remove_100"] = seconds(lambda: rows.remove(x[:100], y[:100]).update(x[:100], y[:100])) / 2
    new = torch.full((100,), K)
    found["add_class"] = min(
        seconds(lambda s=s: s.grow(K + 1).update(x[:100], new), 1) for s in [seen.seen.copy() for _ in range(REPEATS)]
    )
    return found


def memory(n: int, kind: str) -> dict[str, float]:
    """Peak memory of a fit from batches that are drawn one after the other."""
    x, y = features(BATCH)
    ClosedForm(D, K, kind=kind).update(x, y).solve()  # libraries take their working memory
    model = ClosedForm(D, K, kind=kind)
    before = held()
    reset_peak()
    for seed in range(n // BATCH):
        x.normal_(generator=torch.Generator().manual_seed(seed))
        model.update(x, y)
    streamed = peak() - before
    model.solve()
    return {"update": streamed / 8 / (D * D + K * D), "fit": (peak() - before) / 8 / (D * D + K * D)}


def rival(n: int, name: str) -> dict[str, float]:
    import numpy as np
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, RidgeClassifierCV

    x, y = (t.numpy() for t in features(n))
    if name == LOGISTIC:
        few = LogisticRegression(C=1.0, max_iter=3)
    else:
        alphas = np.logspace(-2, 4, 20)
        few = (
            RidgeClassifierCV(alphas=alphas) if name == RIDGE else LinearDiscriminantAnalysis("lsqr", shrinkage="auto")
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after so few iterations
        found = {"fit": seconds(lambda: few.fit(x, y), 1)}
        if name == LOGISTIC:
            iteration, part = found["fit"] / 3, RIVALS_N[RIDGE] // 2
            for tolerance in (1e-4, 1e-6):  # the first is the default
                whole = LogisticRegression(C=1.0, tol=tolerance).fit(x[:part], y[:part])
                found[f"iterations at tolerance {tolerance:g}"] = float(whole.n_iter_[0])
                found["fit"] = iteration * float(whole.n_iter_[0])
    return found


RUNS: dict[str, Callable[..., dict[str, float]]] = {"product": product, "fit": fit, "memory": memory, "rival": rival}


def measure(name: str, *arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", json.dumps([name, *arguments])]
    # Freed memory goes back to the system at once, so that a peak is what was in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    extra = {"env": environment} if name == "memory" else {}
    done = subprocess.run(command, capture_output=True, text=True, check=True, **extra)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} {arguments}: " + ", ".join(f"{key} {value:.3g}" for key, value in found.items()), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="JSON file for the results")
    parser.add_argument("--rivals", action="store_true", help="also scikit-learn's classifiers, a few minutes")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.run:
        name, *arguments = json.loads(options.run)
        print(json.dumps(RUNS[name](*arguments)))
        return
    results: dict[str, object] = {"sizes": {"N": N, "d": D, "K": K}}
    base = measure("product", N)
    rows = {}
    for kind in ("class-means", "gaussian", "ridge"):
        found = measure("fit", N, kind)
        whole = found["update"] + found["solve"]
        rows[kind] = {
            "fit / X^T X float32": whole / base["float32"], "fit / X^T X float64": whole / base["float64"],
            "solve with leave-one-out / without": found["solve"] / found["solve_without_leave_one_out"],
            "fit / removing 100": whole / found["remove_100"], "fit / adding a class": whole / found["add_class"],
            "seconds": found,
        }  # fmt: skip
        rows[kind] |= {f"memory, {n} streamed": measure("memory", n, kind) for n in STREAMED}
    results |= {"product": base, "ours": rows}
    if options.rivals:
        compared = {}
        for name, n in RIVALS_N.items():
            ours, theirs = measure("fit", n, OURS[name]), measure("rival", n, name)
            compared[name] = {"N": n, "seconds": theirs, "ours": OURS[name]}
            compared[name]["ratio"] = theirs["fit"] / (ours["update"] + ours["solve"])
        results["rivals"] = compared
    print(json.dumps(results, indent=1))
    if options.output:
        write_json(options.output, {**results, "provenance": provenance()})


if __name__ == "__main__":
    main()
