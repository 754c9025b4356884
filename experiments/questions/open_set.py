"""Open set: AUROC of telling unknown classes from known ones, fixed against learned heads, all scores of the library.

Networks are trained on the known classes of one real data set; the test part of these classes is told from samples of
unknown classes: held-out classes of the same set, or another set. Nothing is tuned, no unknown sample is seen before
the test. Pairs that need the folder in EQUIANGULAR_DATA are left out, and said to be, where there is none. Finished
runs are kept, so a killed study goes on.

    python -m experiments questions open-set
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._extras import require
from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.heads import Head, make_head
from equiangular.losses import dot_regression_loss
from equiangular.measures import mean_ci, ood_score, open_set_measures, paired_comparison, principal_subspace
from equiangular.models import make_backbone
from equiangular.report.figure import save_figure
from experiments.common import FIGURES, QUESTIONS, command_parser
from experiments.questions.plain_loop import as_inputs, run_chunks, train


@dataclass(frozen=True)
class Pair:
    known: str  # data set trained on
    unknown: str | None  # data set of unknown samples; None: held-out classes of the same set, drawn by seed
    size: int | None
    known_classes: int | None  # of a set whose other classes are held out
    backbone: str
    epochs: int
    augment: bool
    seeds: int


PAIRS = {
    "digits: 6 classes | 4 held out": Pair("digits", None, None, 6, "digits", 30, False, 10),
    "digits | fashion_mnist (8x8)": Pair("digits", "fashion_mnist", 8, None, "digits", 30, False, 5),
    "letter: 20 classes | 6 held out": Pair("letter", None, None, 20, "mlp", 10, False, 5),
    "cifar10_lt50 | CIFAR-100": Pair("cifar10_lt50", "cifar100_lt50", 16, None, "resnet8", 8, True, 3),
}
# name -> head, its options, loss
HEADS: dict[str, tuple[str, dict[str, Any], str]] = {
    "linear + CE": ("linear", {}, "ce"),
    "linear + BatchNorm + CE": ("linear", {"norm": "batch"}, "ce"),
    "cosine + CE": ("cosine", {"norm": "batch"}, "ce"),
    "ETF + CE": ("etf", {"norm": "batch"}, "ce"),
    "ETF + DR": ("etf", {"norm": "batch"}, "dr"),
}
SCORES = ("neco", "neco (principal)", "vertex", "max_cosine", "msp", "energy")


@cache
def load(name: str, size: int | None) -> Any:
    return load_dataset(name) if size is None or name == "digits" else load_dataset(name, size=size)


def make_data(pair: Pair, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Training inputs and labels, known test inputs and labels, unknown test inputs."""
    data = load(pair.known, pair.size)
    train_y, test_y = data.train_y, data.test_y
    generator = np.random.default_rng([seed, 11])
    place = torch.arange(data.num_classes)
    if pair.known_classes is not None:
        place.fill_(-1)
        place[torch.from_numpy(generator.permutation(data.num_classes)[: pair.known_classes])] = torch.arange(
            pair.known_classes
        )
    index = (place[train_y] >= 0).nonzero().flatten()
    train_x, mean, std = as_inputs(data.train_x[index])
    known = place[test_y] >= 0
    known_x = as_inputs(data.test_x[known], mean, std)[0]
    unknown = data.test_x[~known] if pair.unknown is None else load(pair.unknown, pair.size).test_x
    return train_x, place[train_y[index]], known_x, place[test_y[known]], as_inputs(unknown, mean, std)[0]


def run(pair: Pair, name: str, seed: int) -> dict[str, Any]:
    """Train one network; its accuracy on known classes, and AUROC and FPR95 of every score."""
    x, y, known_x, known_y, unknown_x = make_data(pair, seed)
    kind, options, loss = HEADS[name]
    backbone = make_backbone(pair.backbone, tuple(x.shape[1:]), seed=seed)
    head = make_head(kind, backbone.num_features, int(y.max()) + 1, seed=seed, **options)
    network = nn.Sequential(backbone, head)

    def criterion(batch: Tensor, labels: Tensor) -> Tensor:
        h = head(backbone(batch), pre_logits=True)
        if loss == "dr":
            return dot_regression_loss(h, labels, head.weight)
        return F.cross_entropy(head.logits_from_features(h), labels)

    train(network, criterion, x, y, seed=seed, epochs=pair.epochs, augment=pair.augment)
    features = [run_chunks(lambda c: head(backbone(c), pre_logits=True), part) for part in (x, known_x, unknown_x)]
    correct = head.logits_from_features(features[1]).argmax(1) == known_y
    row: dict[str, Any] = {"accuracy": 100 * float(correct.double().mean())}
    for score in SCORES:
        known, unknown = score_both(score, head, *features, y)
        result = open_set_measures(known, unknown)
        row[score] = {"auroc": 100 * result.auroc, "fpr95": 100 * result.fpr95}
    return row


@torch.no_grad()
def score_both(score: str, head: Head, train_h: Tensor, known: Tensor, unknown: Tensor, y: Tensor) -> list[Tensor]:
    """Scores of known and of unknown samples; an unnormalised linear classifier's vertices are its class means."""
    if score == "neco (principal)":
        mean, std = train_h.mean(0), train_h.std(0).clamp(min=1e-6)
        basis = principal_subspace((train_h - mean) / std, head.num_classes)
        return [ood_score((h - mean) / std, head, "neco", subspace=basis) for h in (known, unknown)]
    vectors = head
    if score == "vertex" and not head.normalize:
        vectors = torch.stack([train_h[y == c].mean(0) for c in range(head.num_classes)])
    return [ood_score(h, vectors, score) for h in (known, unknown)]


def summarise(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % CI for every head and score, and its paired difference from linear + CE by the same score."""
    table: dict[str, Any] = {}
    for name, seeds in runs.items():
        rows = [row for _, row in sorted(seeds.items(), key=lambda item: int(item[0]))]
        cell = lambda values: dict(zip(("mean", "ci95"), mean_ci(values), strict=True))  # noqa: E731
        table[name] = {"runs": len(rows), "accuracy": cell([row["accuracy"] for row in rows])}
        for score in SCORES:
            table[name][score] = {key: cell([row[score][key] for row in rows]) for key in ("auroc", "fpr95")}
            if name != "linear + CE" and len(rows) > 1:
                reference = [runs["linear + CE"][seed][score]["auroc"] for seed in sorted(seeds, key=int)]
                compared = paired_comparison([row[score]["auroc"] for row in rows], reference)
                interval = [compared.ci_low, compared.ci_high]
                against = {"difference": compared.mean_difference, "ci95": interval, "p": compared.p_value}
                table[name][score]["auroc_against_linear"] = against
    return table


def draw(tables: dict[str, Any], path: Path) -> None:
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    figure = figure_module.Figure(figsize=(3 * len(tables) + 1, 4.2), layout="constrained")
    axes = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    colors = dict(zip(HEADS, ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"), strict=True))
    for axis, (pair, table) in zip(axes, tables.items(), strict=True):
        for offset, (name, row) in enumerate(table.items()):
            means, half = ([row[score]["auroc"][key] for score in SCORES] for key in ("mean", "ci95"))
            where = np.arange(len(SCORES)) + 0.15 * (offset - 2)
            axis.errorbar(means, where, xerr=half, fmt="o", color=colors[name], ms=4, capsize=2, label=name)
        axis.set_title(pair.replace(" | ", "\nagainst "), fontsize=8)
        axis.set_xlabel("AUROC, %")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(SCORES)), SCORES)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions open-set", __doc__)
    parser.add_argument("--output", type=Path, default=QUESTIONS / "open_set.json")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_json(options.output) if options.output.exists() else {"runs": {}, "table": {}}
    results |= {"pairs": {name: vars(pair) for name, pair in PAIRS.items()}, "left_out": []}
    for title, pair in PAIRS.items():
        try:
            make_data(pair, 0)
        except ValueError as error:
            print(f"left out: {title}: {error}")
            results["left_out"].append(title)
            continue
        done = results["runs"].get(title, {})
        runs = results["runs"][title] = {name: done.get(name, {}) for name in HEADS}
        for seed in range(pair.seeds):
            for name in HEADS:
                if str(seed) not in runs[name]:
                    runs[name][str(seed)] = run(pair, name, seed)
                    row = runs[name][str(seed)]
                    print(title, seed, name, {s: round(row[s]["auroc"], 1) for s in SCORES}, flush=True)
            results["table"][title] = summarise(runs)
            write_json(options.output, {**results, "provenance": provenance()})
    draw(results["table"], options.figures / "open_set.svg")
    for title, table in results["table"].items():
        print(title)
        for name, row in table.items():
            cells = [f"{s} {row[s]['auroc']['mean']:.1f} ± {row[s]['auroc']['ci95']:.1f}" for s in SCORES]
            print(f"  {name:24s} accuracy {row['accuracy']['mean']:.1f}; " + ", ".join(cells))
