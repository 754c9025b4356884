"""Two small questions on digits and banking77: what is calibration worth on few samples, and an encoder for texts?

    EQUIANGULAR_DATA=DIR python -m experiments questions worth [calibration encoder] [--runs N] [--output FILE]

- ``calibration``: digits at imbalance 20 and 100. ECE on the balanced test part of the logits as they are, and of the
  probabilities as predicted, with scale and strength of the prior correction (or a temperature) fitted on the
  validation part; balanced accuracy of both where the correction moves it. Heads have the defaults of ``train``.
- ``encoder``: banking77 as TF-IDF and by MiniLM, whole and at imbalance 50; network ``mlp`` of width 2, 10 epochs, 40
  at imbalance 50. A learned linear head and the recommended one, both under logit adjustment.

Nothing is tuned; a fifth of the training part is held out, last epoch. A run has a cut and a seed of its own.
Finished runs are kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._validate import check_choice
from equiangular.data import load_dataset
from equiangular.encoders import embed
from equiangular.measures import mean_ci
from equiangular.training import Trial, get_method, run_trial
from experiments.common import QUESTIONS, command_parser, mean_text

OUTPUT = QUESTIONS / "worth.json"
RUNS = {"calibration": 5, "encoder": 3}
METHODS = {
    "calibration": {
        "etf-ce-pc": "ETF + CE + prior correction", "linear-ce-pc": "linear + CE + prior correction",
        "etf-la": "ETF + logit adjustment", "linear-la": "linear + logit adjustment",
    },
    "encoder": {"linear-la": "linear, logit adjustment", "recommended": "recommended head, logit adjustment"},
}  # fmt: skip
CELLS = {
    "calibration": [("digits", 20.0), ("digits", 100.0)],
    "encoder": [("TF-IDF", 1.0), ("MiniLM", 1.0), ("TF-IDF", 50.0), ("MiniLM", 50.0)],
}
TRIALS: dict[str, dict[str, Any]] = {"calibration": {}, "encoder": {"backbone": "mlp", "width": 2.0}}


@cache
def dataset(name: str) -> Any:
    """Digits, or banking77 as TF-IDF or by MiniLM."""
    if name == "MiniLM":
        return embed(load_dataset("banking77", raw=True))
    return load_dataset("banking77" if name == "TF-IDF" else name)


def run(part: str, data: str, imbalance: float, method: str, seed: int) -> dict[str, float]:
    """Scores of one run; of a corrected method also the accuracy without the correction."""
    source = dataset(data)
    epochs = 10 if part == "encoder" and imbalance == 1 else 40
    given = {"imbalance": imbalance, "seed": seed, "subset_seed": seed, "epochs": epochs, **TRIALS[part]}
    trial = Trial(data=source.name, method=method, **given)
    plain = method.removesuffix("-pc")
    both = [get_method(name) for name in dict.fromkeys((method, plain))]
    outcomes = run_trial(trial, source, both, collapse=False)[1]
    found = {key: outcomes[0].scores[key] for key in ("balanced_accuracy", "ece", "ece_uncalibrated")}
    return {**found, "without": outcomes[-1].scores["balanced_accuracy"]}


def calibration_table(kept: dict[str, Any]) -> str:
    """Markdown: ECE as it is and as predicted, by imbalance."""
    lines = ["| method | imbalance 20 | imbalance 100 |", "|---|---|---|"]
    for method, label in METHODS["calibration"].items():
        told = []
        for data, imbalance in CELLS["calibration"]:
            runs = kept[f"{data} {imbalance:g}"][method]
            text = " → ".join(mean_text([r[key] for r in runs]) for key in ("ece_uncalibrated", "ece"))
            means = [mean_ci([r[key] for r in runs])[0] for key in ("without", "balanced_accuracy")]
            more = " (balanced accuracy {:.1f} → {:.1f})".format(*means)
            told.append(text + more * method.endswith("-pc"))
        lines.append(f"| {label} | {' | '.join(told)} |")
    return "\n".join(lines)


def encoder_table(kept: dict[str, Any]) -> str:
    """Markdown: balanced accuracy by features, imbalance and head."""
    labels = METHODS["encoder"]
    lines = ["| features | imbalance | " + " | ".join(labels.values()) + " |", "|---" * 4 + "|"]
    for data, imbalance in CELLS["encoder"]:
        told = [mean_text([r["balanced_accuracy"] for r in kept[f"{data} {imbalance:g}"][method]]) for method in labels]
        lines.append(f"| {data} | {imbalance:g} | {' | '.join(told)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions worth", __doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(CELLS)}; default: both")
    parser.add_argument("--runs", type=int, help="default: 5 and 3")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results: dict[str, Any] = read_json(options.output) if options.output.exists() else {}
    for part in [check_choice(name, tuple(CELLS), "part") for name in options.parts] or list(CELLS):
        for (data, imbalance), method in itertools.product(CELLS[part], METHODS[part]):
            kept = results.setdefault(part, {}).setdefault(f"{data} {imbalance:g}", {}).setdefault(method, [])
            for seed in range(len(kept), options.runs or RUNS[part]):
                kept.append(run(part, data, imbalance, method, seed))
                write_json(options.output, json_plain({**results, "provenance": provenance()}))
            print(f"{data}, {imbalance:g}: {method}: {mean_text([r['balanced_accuracy'] for r in kept])}", flush=True)
        print({"calibration": calibration_table, "encoder": encoder_table}[part](results[part]))


if __name__ == "__main__":
    main()
