"""Collapse over the epochs of real training: a learned linear classifier with CE beside a fixed ETF with CE and DR.

Measured on the training data, without augmentation, after about a dozen of the epochs. Digits come with scikit-learn;
the two image sets are read from the folder in EQUIANGULAR_DATA and are left out, and said to be, where there is none.
Finished runs are kept, so a killed study goes on. Figures and page are drawn from the results.

    python -m experiments questions collapse-curves
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.report.collapse import as_series, side_by_side_figure, write_collapse_page
from equiangular.report.figure import save_figure
from equiangular.training import Budget, Split, build_task, fit, get_method, make_split
from equiangular.training.run.collapse import collapse_of
from experiments.common import FIGURES, QUESTIONS, command_parser

# study -> data set, image size, samples per class at most, imbalance of the cut, backbone, epochs
STUDIES: dict[str, tuple[str, int | None, int | None, float, str, int]] = {
    "digits, balanced": ("digits", None, None, 1, "digits", 60),
    "digits, imbalance 100": ("digits", None, None, 100, "digits", 60),
    "fashion_mnist, balanced": ("fashion_mnist", 14, 500, 1, "resnet8", 15),
    "cifar10_lt50, imbalance 50": ("cifar10_lt50", 16, None, 1, "resnet8", 12),  # cut already
}
METHODS = ("linear-ce", "etf-ce", "etf-dr")


def training_data(study: str) -> Split:
    data, size, most, imbalance, _, _ = STUDIES[study]
    dataset = load_dataset(data) if size is None else load_dataset(data, size=size)
    if most is not None:
        labels = torch.as_tensor(dataset.train_y)
        index = torch.cat([(labels == c).nonzero().flatten()[:most] for c in range(dataset.num_classes)])
        dataset = replace(dataset, train_x=dataset.train_x[index], train_y=dataset.train_y[index])
    return make_split(dataset, imbalance=imbalance, subset_seed=0, holdout=0)


def run(study: str, method: str, split: Split) -> list[dict[str, float]]:
    *_, backbone, epochs = STUDIES[study]
    budget = Budget(epochs=epochs, batch_size=128, weight_decay=5e-4)
    shape, classes = tuple(split.train_x.shape[1:]), len(split.class_counts)
    task = build_task(get_method(method), backbone, shape, classes, seed=0)
    recorded = {1, 2, 3, *range(5, epochs, max(2, epochs // 12)), epochs}
    rows: list[dict[str, float]] = []

    def measure(epoch: int, loss: float) -> None:
        if epoch + 1 in recorded:
            rows.append({"epoch": epoch + 1, "loss": loss, **collapse_of(task, split)})
            task.train()

    fit(task, split.train_x, split.train_y, budget, seed=0, prepare=split.standardise, on_epoch=measure)
    return rows


def label(method: str) -> str:
    return get_method(method).label


def draw(studies: dict[str, dict[str, Any]], figures: Path, page: Path) -> None:
    """One figure for each study and one page for all."""
    series: list[dict[str, Any]] = []
    for study, measured in studies.items():
        methods, origin = measured["curves"], measured["provenance"]
        figure = side_by_side_figure({name: ([row["epoch"] for row in rows], rows) for name, rows in methods.items()})
        figure.suptitle(study)
        save_figure(figure, figures / f"collapse_{study.partition(',')[0]}_{study.rpartition(' ')[2]}.svg")
        data, size, most, *_, backbone, epochs = STUDIES[study]
        about = {"data": f"{data}, {f'{size} pixels' if size else 'as they are'}", "network": backbone, "seed": "0"}
        about |= {"samples a class": f"{most} at most" if most else "all", "epochs": str(epochs)}
        about["measured"] = f"{origin['time_utc']}, commit {origin['commit']}, torch {origin['versions']['torch']}"
        for name, rows in methods.items():
            one = as_series(name, rows, [row["epoch"] for row in rows], about)
            series.append({**one, "study": study})
    introduction = (
        "Collapse of the training features over the epochs: a learned linear classifier beside a fixed simplex ETF. "
        "One seed, short schedules: a picture, not a ranking."
    )
    title = "Collapse of real training, learned and fixed"
    results = {"title": title, "introduction": introduction, "series": series, "provenance": provenance()}
    page.parent.mkdir(parents=True, exist_ok=True)
    print("wrote", write_collapse_page(results, page))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions collapse-curves", __doc__)
    parser.add_argument("--output", type=Path, default=QUESTIONS / "collapse_curves.json")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--page", type=Path, default=Path("runs/collapse_curves.html"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"studies": {}}
    for study in STUDIES:
        done = results["studies"].get(study, {"curves": {}})
        missing = [method for method in METHODS if label(method) not in done["curves"]]
        try:
            split = training_data(study) if missing else None
        except ValueError as error:
            print(f"left out: {study}: {error}")
            continue
        for method in missing:
            done["curves"][label(method)] = run(study, method, split)
            results["studies"][study] = {**done, "provenance": provenance()}
            write_json(options.output, results)
        for name, rows in done["curves"].items():
            print(study, name, {k: round(rows[-1][k], 4) for k in ("nc1", "nc2_equiangular", "nc3", "nc4")}, flush=True)
    draw(read_json(options.output)["studies"], options.figures, options.page)
