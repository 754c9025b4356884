"""Transfer: do features trained with a fixed head serve other data as well as those trained with a learned one?

A network is trained on a source, its backbone frozen, and its features judged on other data sets by a linear probe and
by nearest neighbours: at the backbone's output and as the head sees them, h. The targets' training parts are drawn as
even over the classes as their sizes allow; the probe's penalty is chosen on a fifth of that draw, the target's test
part is looked at once. Beside them: balanced test accuracy on the source, NC1 and CDNV of the source's training
features. Nothing of the training is tuned. Paired by seed, which also draws the samples. Finished runs are kept, so a
killed study goes on; the data are read from the folder in EQUIANGULAR_DATA.

    python benchmarks/transfer.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_loop import as_inputs, run_chunks, train
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._extras import require
from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.heads import make_head
from equiangular.longtail import holdout_indices
from equiangular.losses import dot_regression_loss
from equiangular.measures import balanced_accuracy, mean_ci, paired_comparison, per_class_accuracy
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.models import make_backbone
from equiangular.report.figure import save_figure


@dataclass(frozen=True)
class Source:
    dataset: str
    classes: int | None  # the largest so many of the set; None: all
    images: int | None  # as even over the classes as can be; None: all
    epochs: int
    augment: bool
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    size: int | None = 16
    target_train: int = 3000
    target_test: int = 2000


SOURCES = {
    "cifar10_lt50": Source("cifar10_lt50", None, None, 10, True, ("cifar100_lt50", "fashion_mnist")),
    "cifar100_lt50, 60 classes": Source("cifar100_lt50", 60, None, 10, True, ("cifar10_lt50", "plankton")),
    "fashion_mnist, 2,000 images": Source("fashion_mnist", None, 2000, 40, False, ("cifar10_lt50", "plankton")),
}
PROTOCOL = Protocol()
# name -> head, its options, loss
HEADS: dict[str, tuple[str, dict[str, Any], str] | None] = {
    "linear + CE": ("linear", {}, "ce"),
    "cosine + CE": ("cosine", {"norm": "batch", "scale": 16.0}, "ce"),
    "ETF + CE": ("etf", {"norm": "batch", "scale": 16.0}, "ce"),
    "ETF + DR": ("etf", {"norm": "batch"}, "dr"),
    "ETF on free features + CE": ("etf", {"norm": "batch", "normalize": False, "scale": 0.5}, "ce"),
    "untrained": None,
}
REFERENCE = "linear + CE"
PLACES, MEASURES, COLLAPSE = ("backbone", "h"), ("probe", "knn"), ("nc1", "cdnv")
PENALTIES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
NEIGHBOURS, TEMPERATURE = 20, 0.07


@cache
def load(name: str, size: int | None) -> Any:
    return load_dataset(name) if size is None else load_dataset(name, size=size)


def spread(labels: Tensor, limit: int, generator: np.random.Generator) -> Tensor:
    """At most ``limit`` positions, as even over the classes as their sizes allow; which samples, is drawn."""
    order = generator.permutation(len(labels))
    shuffled, rank = labels.numpy()[order], np.empty(len(order), dtype=np.int64)
    for c in np.unique(shuffled):
        own = np.flatnonzero(shuffled == c)
        rank[own] = np.arange(len(own))
    return torch.from_numpy(order[np.argsort(rank, kind="stable")[:limit]])


def source_data(source: Source, size: int | None, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training bytes and labels, test bytes and labels of the source's classes, numbered from the largest."""
    data = load(source.dataset, size)
    largest = data.train_y.bincount().argsort(descending=True, stable=True)[: source.classes]
    place = torch.full((data.num_classes,), -1)
    place[largest] = torch.arange(len(largest))
    known, test = ((place[labels] >= 0).nonzero().flatten() for labels in (data.train_y, data.test_y))
    if source.images is not None:
        known = known[spread(data.train_y[known], source.images, np.random.default_rng([seed, 17]))]
    train_x, test_x = colour(data.train_x[known]), colour(data.test_x[test])
    return train_x, place[data.train_y[known]], test_x, place[data.test_y[test]]


def colour(images: Tensor) -> Tensor:
    """Three channels, of grey images too."""
    return images.expand(-1, 3, -1, -1)


def accuracy(predicted: Tensor, labels: Tensor, num_classes: int) -> float:
    return 100 * float(balanced_accuracy(per_class_accuracy(predicted, labels, num_classes)))


def nearest_neighbours(train_x: Tensor, train_y: Tensor, x: Tensor, num_classes: int) -> Tensor:
    """Votes of the 20 training samples of largest cosine, weighted exp(cosine / 0.07) (Wu et al., CVPR 2018)."""
    near = (F.normalize(x) @ F.normalize(train_x).T).topk(min(NEIGHBOURS, len(train_x)))
    votes = torch.zeros(len(x), num_classes).scatter_add_(1, train_y[near.indices], (near.values / TEMPERATURE).exp())
    return votes.argmax(1)


def fit_probe(x: Tensor, y: Tensor, num_classes: int, penalty: float, start: Tensor | None = None) -> Tensor:
    """(K, d + 1) weights and biases that minimise mean cross-entropy + penalty / 2 ||W||^2, by L-BFGS."""
    weight = torch.zeros(num_classes, x.shape[1] + 1) if start is None else start.clone()
    weight.requires_grad_()
    optimizer = torch.optim.LBFGS([weight], max_iter=100, tolerance_grad=1e-5, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits(weight, x), y) + penalty / 2 * weight[:, :-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach()


def logits(weight: Tensor, x: Tensor) -> Tensor:
    return F.linear(x, weight[:, :-1], weight[:, -1])


def linear_probe(train_x: Tensor, train_y: Tensor, x: Tensor, num_classes: int, *, seed: int) -> tuple[Tensor, float]:
    """Predictions for ``x`` of a logistic regression on standardised features, and its penalty."""
    mean, std = train_x.mean(0), train_x.std(0).clamp(min=1e-6)
    train_x, x = (train_x - mean) / std, (x - mean) / std
    held = torch.from_numpy(holdout_indices(train_y.numpy(), 0.2, seed=seed))
    kept = torch.ones(len(train_y), dtype=torch.bool).index_fill(0, held, False)
    scores, weight = [], None
    for penalty in PENALTIES:
        weight = fit_probe(train_x[kept], train_y[kept], num_classes, penalty, weight)
        scores.append(accuracy(logits(weight, train_x[held]).argmax(1), train_y[held], num_classes))
    best = PENALTIES[int(np.argmax(scores))]  # the strongest of equals
    return logits(fit_probe(train_x, train_y, num_classes, best), x).argmax(1), best


def judge(features: tuple[Tensor, ...], labels: tuple[Tensor, Tensor], num_classes: int, seed: int) -> dict[str, float]:
    """Balanced accuracy in % of both measures, features and labels being those of training and test part."""
    predicted, penalty = linear_probe(features[0], labels[0], features[1], num_classes, seed=seed)
    near = nearest_neighbours(features[0], labels[0], features[1], num_classes)
    scores = [accuracy(p, labels[1], num_classes) for p in (predicted, near)]
    return {**dict(zip(MEASURES, scores, strict=True)), "penalty": penalty}


def collapse(features: Tensor, labels: Tensor, num_classes: int) -> dict[str, float]:
    moments = ClassMoments.empty(num_classes, features.shape[1]).update(features, labels)
    measured = collapse_measures(moments)
    return {key: float(measured[key]) for key in COLLAPSE}


def run(source: Source, name: str, seed: int, protocol: Protocol) -> dict[str, Any]:
    """Train one network on the source, or none; accuracy and NC1 there, and both measures at both places elsewhere."""
    x, y, test_x, test_y = source_data(source, protocol.size, seed)
    x, mean, std = as_inputs(x)
    k = int(y.max()) + 1
    backbone = make_backbone("resnet8", tuple(x.shape[1:]), seed=seed).eval()
    places = dict.fromkeys(PLACES, nn.Identity())
    row: dict[str, Any] = {}
    if HEADS[name] is not None:
        kind, options, loss = HEADS[name]
        head = make_head(kind, backbone.num_features, k, seed=seed, **options)

        def criterion(batch: Tensor, labels: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                z = backbone(batch)
            h = head(z.float(), pre_logits=True)
            if loss == "dr":
                return dot_regression_loss(h, labels, head.weight)
            return F.cross_entropy(head.logits_from_features(h), labels)

        network = nn.Sequential(backbone, head)
        train(network, criterion, x, y, seed=seed, epochs=source.epochs, augment=source.augment)
        places["h"] = lambda z: head(z, pre_logits=True)
        predicted = run_chunks(network, as_inputs(test_x, mean, std)[0]).argmax(1)
        z = run_chunks(backbone, x)
        row["source"] = {"accuracy": accuracy(predicted, test_y, k)}
        for place in PLACES:
            row["source"] |= {f"{m} {place}": v for m, v in collapse(run_chunks(places[place], z), y, k).items()}
    for target in source.targets:
        data, generator = load(target, protocol.size), np.random.default_rng([seed, 13])
        index = [
            spread(part, limit, generator)
            for part, limit in ((data.train_y, protocol.target_train), (data.test_y, protocol.target_test))
        ]
        images = [colour(part[i]) for part, i in zip((data.train_x, data.test_x), index, strict=True)]
        labels = data.train_y[index[0]], data.test_y[index[1]]
        features = [run_chunks(backbone, as_inputs(part, mean, std)[0]) for part in images]
        row[target] = {
            place: judge(tuple(run_chunks(module, z) for z in features), labels, data.num_classes, seed)
            for place, module in places.items()
        }
    return row


def summarise(runs: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Mean and 95 % CI of every head on every pair and of the mean over pairs, and paired differences from linear + CE.

    ``frame``: ETF + CE minus cosine + CE, whose only difference is that the frame is fixed. ``rank_correlation``:
    Spearman's, over the trained heads of a source, of a measure of collapse at the backbone's output with accuracy
    there; mean over its targets, then over seeds.
    """
    seeds = sorted(set.intersection(*[set(rows) for heads in runs.values() for rows in heads.values()]), key=int)
    pairs = {f"{title} → {target}": [(title, target)] for title in runs for target in SOURCES[title].targets}
    everywhere = [pair for chosen in pairs.values() for pair in chosen]
    trained = [name for name in HEADS if HEADS[name] is not None]
    table: dict[str, Any] = {"seeds": len(seeds), "source": {}, "pairs": {}, "frame": {}, "rank_correlation": {}}
    for title, heads in runs.items():
        keys = heads[REFERENCE][seeds[0]]["source"]
        table["source"][title] = {
            name: {key: cell([heads[name][seed]["source"][key] for seed in seeds]) for key in keys} for name in trained
        }
    for label, chosen in {**pairs, "mean": everywhere}.items():
        table["pairs"][label] = {name: {place: {} for place in PLACES} for name in HEADS}
        table["frame"][label] = {}
        for place, measure in product(PLACES, MEASURES):
            scores = {
                name: [np.mean([runs[t][name][seed][target][place][measure] for t, target in chosen]) for seed in seeds]
                for name in HEADS
            }
            for name, values in scores.items():
                against = None if name == REFERENCE else scores[REFERENCE]
                table["pairs"][label][name][place][measure] = cell(values, against)
            table["frame"][label][f"{measure}, {place}"] = cell(scores["ETF + CE"], scores["cosine + CE"])
    for title, key, measure in product(runs, COLLAPSE, MEASURES):
        values = []
        for seed in seeds:
            of_seed = [runs[title][name][seed] for name in trained]
            collapse = [row["source"][f"{key} backbone"] for row in of_seed]
            scores = [[row[target]["backbone"][measure] for row in of_seed] for target in SOURCES[title].targets]
            values.append(np.mean([rank_correlation(collapse, score) for score in scores]))
        table["rank_correlation"].setdefault(title, {})[f"{key}, {measure}"] = cell(values)
    return table


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's, for numbers without ties."""
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def cell(values: Sequence[float], reference: Sequence[float] | None = None) -> dict[str, Any]:
    """Mean and 95 % CI, and the paired difference from the reference."""
    entry: dict[str, Any] = dict(zip(("mean", "ci95"), mean_ci(values), strict=True))
    if reference is not None and len(values) > 1:
        compared = paired_comparison(values, reference)
        interval = [compared.ci_low, compared.ci_high]
        entry |= {"difference": compared.mean_difference, "difference_ci95": interval, "p": compared.p_value}
    return entry


def markdown(table: dict[str, Any]) -> str:
    """The tables of the document: the sources, each measure at the backbone's output, and the mean at both places."""
    columns = ("accuracy", "nc1 backbone", "cdnv backbone")
    parts = [rows("on the source: accuracy / NC1 / CDNV", table["source"], lambda entry: " / ".join(
        f"{entry[key]['mean']:.1f}" if key == "accuracy" else f"{entry[key]['mean']:.3g}" for key in columns
    ))]  # fmt: skip
    for measure, title in zip(MEASURES, ("linear probe", "20 nearest neighbours"), strict=True):
        parts.append(rows(title, table["pairs"], lambda entry, measure=measure: text(entry["backbone"][measure])))
    places = {
        f"{measure}, {place}": {name: entry[place][measure] for name, entry in table["pairs"]["mean"].items()}
        for measure, place in product(MEASURES, PLACES)
    }
    parts.append(rows("mean over the pairs", places, text))
    parts.append(rows("ETF + CE minus cosine + CE", table["frame"], difference))
    return "\n\n".join(parts) + "\n"


def rows(title: str, columns: dict[str, dict[str, Any]], show: Callable[[Any], str]) -> str:
    """A Markdown table: a row for every name in them, a column for every entry of ``columns``."""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | " + " | ".join(show(column[name]) for column in columns.values()) + " |")
    return "\n".join(lines)


def text(entry: dict[str, Any]) -> str:
    """Mean ± CI (difference [its CI]), in percent."""
    shown = f"{entry['mean']:.1f} ± {entry['ci95']:.1f}"
    return f"{shown} ({difference(entry)})" if "difference" in entry else shown


def difference(entry: dict[str, Any]) -> str:
    low, high = entry["difference_ci95"]
    return f"{entry['difference']:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def draw(results: dict[str, Any], path: Path) -> None:
    """Accuracy of every head on every pair; below, of every run, the probe's mean over both targets against NC1."""
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    figure = figure_module.Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(3, len(SOURCES), squeeze=False)
    colors = dict(zip(HEADS, ("#0072B2", "#009E73", "#D55E00", "#E69F00", "#CC79A7", "#888888"), strict=True))
    for place, (title, source) in enumerate(SOURCES.items()):
        column = axes[:, place]
        for axis, target in zip(column[:-1], source.targets, strict=True):
            table = results["table"]["pairs"][f"{title} → {target}"]
            for row, (name, entry) in enumerate(table.items()):
                for measure, offset, fill in zip(MEASURES, (-0.12, 0.12), (colors[name], "white"), strict=True):
                    found = entry["backbone"][measure]
                    axis.errorbar(found["mean"], row + offset, xerr=found["ci95"], fmt="o", color=colors[name],
                                  mfc=fill, ms=5, capsize=2)  # fmt: skip
            axis.set_title(f"{title}\n→ {target}", fontsize=9)
            axis.set_xlabel("accuracy, %: probe ●, neighbours ○", fontsize=8)
            axis.set_yticks(range(len(HEADS)), [""] * len(HEADS) if place else HEADS)
            axis.invert_yaxis()
        for name, seeds in results["runs"][title].items():
            if HEADS[name] is not None:
                collapse = [row["source"]["nc1 backbone"] for row in seeds.values()]
                probe = [np.mean([row[t]["backbone"]["probe"] for t in source.targets]) for row in seeds.values()]
                column[-1].plot(collapse, probe, "o", color=colors[name], label=name, ms=5)
        column[-1].set_title(title, fontsize=9)
        column[-1].set_xlabel("NC1 on the source, at the backbone's output", fontsize=8)
        column[-1].set_ylabel("probe, mean of both targets, %", fontsize=8)
        for axis in column:
            axis.grid(alpha=0.3)
            axis.tick_params(labelsize=8)
    figure.legend(*axes[-1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/transfer.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    sources = {title: vars(source) for title, source in SOURCES.items()}
    fixed = {"protocol": vars(PROTOCOL), "penalties": PENALTIES, "heads": HEADS}
    settings = json_plain({"sources": sources, **fixed})
    results = read_json(options.output) if options.output.exists() else {**settings, "runs": {}}
    if any(results[key] != settings[key] for key in settings):
        parser.error(f"{options.output} was made with other settings; delete it or name another --output")
    for seed in range(options.seeds):
        for title, source in SOURCES.items():
            runs = results["runs"].setdefault(title, {name: {} for name in HEADS})
            for name in HEADS:
                if str(seed) not in runs[name]:
                    try:
                        row = runs[name][str(seed)] = run(source, name, seed, PROTOCOL)
                    except ValueError as error:
                        raise SystemExit(f"{title}: {error}") from error
                    print(seed, title, name, row.get("source"), {t: row[t]["backbone"] for t in source.targets},
                          flush=True)  # fmt: skip
                    write_json(options.output, {**results, "provenance": provenance()})
    results["table"] = summarise(results["runs"])
    write_json(options.output, {**results, "provenance": provenance()})
    draw(results, options.figures / "transfer.svg")
    print(markdown(results["table"]))


if __name__ == "__main__":
    main()
