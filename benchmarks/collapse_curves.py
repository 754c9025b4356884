"""Collapse over the epochs of real training: a learned linear classifier with CE beside a fixed ETF with CE and DR.

Measured on the training data after each recorded epoch, in evaluation mode. Digits come with scikit-learn; the two
image sets are read from the folder in EQUIANGULAR_DATA and are left out, and said to be, where there is none. Finished
runs are kept, so a killed study goes on.

    python benchmarks/collapse_curves.py --output benchmarks/results/collapse_curves.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.compare.protocol import as_float, standardisation
from equiangular.data import load_dataset
from equiangular.longtail import long_tail_indices
from equiangular.measures import measure_collapse
from equiangular.report.collapse import collapse_figure
from equiangular.report.figure import save_figure
from equiangular.training import Budget, build_task, fit, get_method

# name -> data set, image size, samples per class at most, imbalance, backbone, epochs
STUDIES = {
    "digits, balanced": ("digits", None, None, 1, "digits", 60),
    "digits, imbalance 100": ("digits", None, None, 100, "digits", 60),
    "fashion_mnist, balanced": ("fashion_mnist", 14, 500, 1, "resnet8", 15),
    "cifar10_lt50": ("cifar10_lt50", 16, None, 50, "resnet8", 12),
}
METHODS = ("linear-ce", "etf-ce", "etf-dr")


def training_data(name: str) -> tuple[torch.Tensor, torch.Tensor, str]:
    data, size, most, imbalance, backbone, _ = STUDIES[name]
    dataset = load_dataset(data) if size is None else load_dataset(data, size=size)
    labels = torch.as_tensor(dataset.train_y).long()
    index = torch.arange(len(labels))
    if imbalance > 1 and data == "digits":
        index = torch.from_numpy(long_tail_indices(dataset.train_y, imbalance, seed=0))
    if most is not None:
        index = torch.cat([(labels == c).nonzero().flatten()[:most] for c in range(dataset.num_classes)])
    inputs = as_float(dataset.train_x[index])
    mean, std = standardisation(inputs)
    return (inputs - mean) / std, labels[index], backbone


def run(name: str, method: str) -> list[dict[str, float]]:
    inputs, labels, backbone = training_data(name)
    epochs = STUDIES[name][-1]
    task = build_task(get_method(method), backbone, tuple(inputs.shape[1:]), int(labels.max()) + 1, seed=0)
    loader = list(zip(inputs.split(1000), labels.split(1000), strict=True))
    rows = []
    recorded = {0, 1, 2, *range(4, epochs, max(2, epochs // 12)), epochs - 1}

    def measure(epoch: int, loss: float) -> None:
        if epoch in recorded:
            shown = Shown(task)
            measured = measure_collapse(shown, loader, classifier=task.head)
            rows.append({"epoch": epoch + 1, "loss": loss, **{k: float(v) for k, v in measured.items()}})
            task.train()

    fit(task, inputs, labels, Budget(epochs=epochs, batch_size=128, weight_decay=5e-4), seed=0, on_epoch=measure)
    return rows


class Shown(torch.nn.Module):
    """The task as a module that returns logits."""

    def __init__(self, task: torch.nn.Module) -> None:
        super().__init__()
        self.task = task

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.task.head(self.task.backbone(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/collapse_curves.json"))
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"curves": {}, "left_out": []}
    for name in STUDIES:
        try:
            training_data(name)
        except ValueError as error:
            print(f"left out: {name}: {error}")
            results["left_out"] = sorted({*results["left_out"], name})
            continue
        for method in METHODS:
            key = f"{name}: {get_method(method).label}"
            if key not in results["curves"]:
                results["curves"][key] = run(name, method)
                write_json(options.output, {**results, "provenance": provenance()})
            last = results["curves"][key][-1]
            shown = {k: round(last[k], 4) for k in ("nc1", "nc2_equiangular", "nc3", "nc4")}
            print(key, shown, flush=True)
    for name in STUDIES:
        for method in METHODS:
            rows = results["curves"].get(f"{name}: {get_method(method).label}")
            if rows and name in ("digits, imbalance 100", "cifar10_lt50") and method != "etf-ce":
                figure = collapse_figure(rows, [row["epoch"] for row in rows])
                figure.suptitle(f"{name}: {get_method(method).label}")
                slug = f"collapse_{name.split(',')[0]}_{method}".replace(" ", "_").replace("-", "_")
                save_figure(figure, options.figures / f"{slug}.svg")


if __name__ == "__main__":
    main()
