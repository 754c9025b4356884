"""Tune the budget of every method of the main job on validation data of the training pool.

The test part is never touched: a run trains on the long-tailed cut of the pool, and validation is the rest of the
pool, which no comparison uses. Seeds start at 1000, apart from those of the comparison. Every method gets the same grid.

    python dev/tune_digits.py --seeds 8
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from equiangular._files import write_json
from equiangular._provenance import provenance
from equiangular.compare import configure
from equiangular.compare.protocol import run_training
from equiangular.data import load_dataset
from equiangular.longtail import long_tail_indices
from equiangular.training import get_method

METHODS = ("linear-ce", "linear-la", "cosine-la", "random-la", "etf-ce", "etf-la", "etf-dr")
FIRST_SEED = 1000


def validation_dataset(seed: int):
    """Digits with the test part replaced by the samples of the training pool that the cut of this seed leaves out."""
    dataset = load_dataset("digits")
    cut = long_tail_indices(dataset.train_y, 100, seed=seed)
    rest = torch.from_numpy(np.setdiff1d(np.arange(len(dataset.train_y)), cut))
    return replace(dataset, test_x=dataset.train_x[rest], test_y=dataset.train_y[rest])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.03, 0.1, 0.3])
    parser.add_argument("--decays", type=float, nargs="+", default=[5e-4, 5e-3])
    parser.add_argument("--epochs", type=int, nargs="+", default=[40])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--output", type=Path, default=Path("dev/tune_digits.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    datasets = {seed: validation_dataset(seed) for seed in range(FIRST_SEED, FIRST_SEED + options.seeds)}
    rows = []
    for name in options.methods:
        for epochs in options.epochs:
            for rate in options.rates:
                for decay in options.decays:
                    config = configure("digits", epochs=epochs, learning_rate=rate)
                    config = replace(config, budget=replace(config.budget, weight_decay=decay))
                    scores = [
                        run_training(data, config, [get_method(name)], seed)[0]["balanced_accuracy"]
                        for seed, data in datasets.items()
                    ]
                    row = {"method": name, "epochs": epochs, "learning_rate": rate, "weight_decay": decay}
                    rows.append({**row, "mean": float(np.mean(scores)), "values": scores})
                    print(json.dumps({**row, "mean": round(rows[-1]["mean"], 2)}), flush=True)
    write_json(options.output, {"rows": rows, "provenance": provenance()})


if __name__ == "__main__":
    main()
