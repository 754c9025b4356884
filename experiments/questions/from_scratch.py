"""Longer from scratch: ResNet-20 on whole images of 32 x 32, by the fastest recipe, five heads and losses.

CIFAR-10 cut to imbalance 100 and its validation part as in `time-to-accuracy`. All arms have the recipe `fast` with
crops beside flips, more epochs and bfloat16 in the network (the losses stay in float32); nothing is tuned for an arm.
The curves are of the validation part; the test part is looked at after the last epoch, once. Every run goes on after
its last whole epoch.

    python -m experiments questions from-scratch
    python -m experiments questions from-scratch --epochs 32 --seeds 0 --arms linear-la recommended
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._files import read_json, write_json
from equiangular.data import load_dataset
from equiangular.losses import ntce_loss
from equiangular.report.figure import new_figure, save_figure
from equiangular.training import get_method
from equiangular.training.config.files import recipe_values
from equiangular.training.methods import Method
from experiments.common import FIGURES, QUESTIONS, command_parser, mean_text
from experiments.questions.time_to_accuracy import timed, with_validation_part

OUTPUT = QUESTIONS / "from_scratch.json"
EPOCHS, SEEDS = 16, (0, 1, 2)
NTCE_SCALE = 10.0  # the authors' on CIFAR


def _ntce(features: Any, target: Any, head: Any, context: Any) -> Any:
    del context
    return ntce_loss(features, target, head.weight, scale=NTCE_SCALE, reduction="none")


def ntce() -> Method:
    """A learned cosine head under NTCE, which stands for equal priors."""
    return Method("cosine-ntce", "learnable cosine + NTCE", "cosine", _ntce, "arXiv 2605.20302", balances=True)


ARMS = ("linear-ce", "linear-la", "recommended", "etf-dr", "cosine-ntce")


def method_of(arm: str) -> Method:
    """The method of an arm: NTCE is none of the library's."""
    return ntce() if arm == "cosine-ntce" else get_method(arm)


def trained(arm: str, seed: int, epochs: int, dataset: Any, folder: Path) -> dict[str, Any]:
    """Train one arm; see `timed`."""
    values = {**recipe_values("fast"), "backbone": "resnet20", "epochs": epochs, "augment": "crop,flip", "seed": seed}
    values |= {"method": arm, "precision": "bf16-mixed"}
    return timed(f"scratch-{arm}-{seed}-{epochs}", values, dataset, folder, method=method_of(arm))


def name_of(arm: str, epochs: int, seed: int) -> str:
    return f"{arm}, {epochs} epochs, seed {seed}"


def by_row(results: dict[str, Any]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Arm and epochs -> its runs, by seed."""
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for name, run in results["runs"].items():
        arm, epochs, _ = name.split(", ")
        rows.setdefault((arm, int(epochs.split()[0])), []).append(run)
    return rows


def table(results: dict[str, Any]) -> str:
    """A line for each arm: test part, what the last quarter of the epochs added, and differences by seed."""
    rows = by_row(results)
    heads = ("arm", "epochs", "seeds", "test, %", "less linear + LA", "validation, last quarter", "processor seconds")
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for (arm, epochs), runs in rows.items():
        test = [run["test"]["balanced_accuracy"] for run in runs]
        rival = [run["test"]["balanced_accuracy"] for run in rows.get(("linear-la", epochs), [])]
        paired = [a - b for a, b in zip(test, rival, strict=False)]
        late = [run["curve"][-1]["validation"] - run["curve"][-1 - epochs // 4]["validation"] for run in runs]
        less = mean_text(paired, "+") if paired and arm != "linear-la" else ""
        seconds = np.mean([run["curve"][-1]["seconds"] for run in runs])
        cells = (f"`{arm}`", epochs, len(runs), mean_text(test), less, mean_text(late, "+"), f"{seconds:.0f}")
        lines.append("| " + " | ".join(map(str, cells)).replace("|  |", "| |") + " |")
    return "\n".join(lines)


def draw(results: dict[str, Any]) -> Any:
    """Balanced accuracy of the validation part by epoch, mean over seeds; dots are the test part at the end."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    colors = dict(zip(ARMS, ("C7", "C0", "C1", "C2", "C3"), strict=True))
    for (arm, epochs), runs in by_row(results).items():
        if epochs != EPOCHS:
            continue
        curve = np.mean([[row["validation"] for row in run["curve"]] for run in runs], 0)
        axes.plot(range(1, epochs + 1), curve, color=colors[arm], label=arm)
        test = np.mean([run["test"]["balanced_accuracy"] for run in runs])
        axes.plot(epochs, test, "D", color=colors[arm])
    axes.set_xlabel("epoch")
    axes.set_ylabel("balanced accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, title="line: validation, diamond: test")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions from-scratch", __doc__)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--folder", type=Path, default=Path("runs/from_scratch"), help="of the checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"runs": {}}
    dataset = with_validation_part(load_dataset("cifar10_lt50"))
    for seed, arm in itertools.product(options.seeds, options.arms):
        name = name_of(arm, options.epochs, seed)
        if name not in results["runs"]:
            results["runs"][name] = trained(arm, seed, options.epochs, dataset, options.folder)
            write_json(options.output, results)
    print(table(results))
    print("wrote", save_figure(draw(results), options.figures / "from_scratch.svg"))
