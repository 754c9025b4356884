"""Tune the head of every method of the main job on validation data of the training pool.

The test part is never touched: a run trains on the long-tailed cut of the pool, and validation is the rest of the
pool, which no comparison uses. Seeds start at 1000, apart from those of the comparison. Learnable and fixed heads get
the same grids: BatchNorm before the head or not, and four logit scales, for unnormalised features and, where the
head allows it, for normalised ones. Learning rate and weight decay were tuned before, with `--rates` and `--decays`.

    python -m experiments tune-digits --seeds 8
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.compare import configure
from equiangular.data import load_dataset
from equiangular.longtail import long_tail_indices
from equiangular.training import METHODS, get_method
from experiments.common import RECIPE, balanced_accuracies, command_parser

NAMES = ("linear-ce", "linear-la", "cosine-la", "random-la", "etf-ce", "etf-la", "etf-dr", "recommended")
FIRST_SEED = 1000
RAW = [{"norm": n, "normalize": False, "scale": s} for n, s in product(("none", "batch"), (0.25, 0.5, 1.0, 2.0))]
COSINE = [{"norm": n, "scale": s} for n, s in product(("none", "batch"), (4.0, 8.0, 12.0, 16.0))]
DR = [{"norm": n} for n in ("none", "batch")]


def grid(name: str) -> list[dict]:
    """The head options to try for a method."""
    head = get_method(name).head
    if name == "recommended":
        return [{}]  # it is the same everywhere
    if name == "etf-dr":
        return DR  # normalised by definition, and its loss has no scale
    return {"linear": RAW, "cosine": COSINE}.get(head, RAW + COSINE)


def validation_dataset(seed: int):
    """Digits with the test part replaced by the samples of the training pool that the cut of this seed leaves out."""
    dataset = load_dataset("digits")
    cut = long_tail_indices(dataset.train_y, 100, seed=seed)
    rest = torch.from_numpy(np.setdiff1d(np.arange(len(dataset.train_y)), cut))
    return replace(dataset, test_x=dataset.train_x[rest], test_y=dataset.train_y[rest])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("tune-digits", __doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1])
    parser.add_argument("--decays", type=float, nargs="+", default=[5e-3])
    parser.add_argument("--methods", nargs="+", default=list(NAMES))
    parser.add_argument("--output", type=Path, default=RECIPE / "tune_digits.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    datasets = {seed: validation_dataset(seed) for seed in range(FIRST_SEED, FIRST_SEED + options.seeds)}
    rows = []
    for name in options.methods:
        for head, rate, decay in product(grid(name), options.rates, options.decays):
            config = configure("digits", learning_rate=rate, weight_decay=decay)
            methods = [get_method(m) for m in (name, f"{name}-pc") if m in METHODS]
            scores = [
                balanced_accuracies(config.trial_of(methods[0], seed, head), data, methods)
                for seed, data in datasets.items()
            ]
            row = {"method": name, "head_options": head, "learning_rate": rate, "weight_decay": decay}
            for method, values in zip(methods, zip(*scores, strict=True), strict=True):
                rows.append({**row, "method": method.name, "mean": float(np.mean(values)), "values": values})
                print(json.dumps({**row, "method": method.name, "mean": round(rows[-1]["mean"], 2)}), flush=True)
    write_json(options.output, {"rows": rows, "provenance": provenance()})
