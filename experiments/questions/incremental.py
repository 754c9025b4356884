"""Few-shot class-incremental learning after the NC-FSCIL protocol (Yang et al., ICLR 2023).

A base session with many classes and all their training data trains backbone and head; then come sessions of a few
classes with five samples each. The backbone is frozen after the base session; what is kept of old classes is the mean
of their backbone features. After every session the network is tested on all classes so far.

Every way of going on from the base session may use the same memory. Those that train (full-batch SGD, classes averaged
alike) take their learning rate and number of steps from one grid, by accuracy on training data that the tuning run has
left out; the test part is looked at by the counted runs alone. Finished runs are kept, so a killed study goes on.

    python -m experiments questions incremental --study digits          # seconds, comes with scikit-learn
    python -m experiments questions incremental --study cifar100_lt50   # reads the folder in EQUIANGULAR_DATA
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
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
from equiangular.heads import CosineHead, Head, IncrementalETFHead, LinearHead
from equiangular.losses import dot_regression_loss
from equiangular.measures import mean_ci, paired_comparison, per_class_accuracy
from equiangular.models import make_backbone
from equiangular.report.figure import save_figure
from experiments.common import FIGURES, QUESTIONS, command_parser
from experiments.questions.growing import basis_near, grown, pull, vertices
from experiments.questions.plain_loop import as_inputs, run_chunks, train


@dataclass(frozen=True)
class Study:
    dataset: str
    size: int | None
    base: int
    sessions: int
    ways: int
    shots: int
    backbone: str
    dim: int  # of the MLP projection, equal for the fixed and the learned cosine head
    epochs: int
    augment: bool
    seeds: int
    tuning_seeds: int
    shuffle: bool  # whether each seed draws its own order of the classes

    @property
    def classes(self) -> int:
        return self.base + self.sessions * self.ways


STUDIES = {
    "digits": Study("digits", None, 6, 2, 2, 5, "digits", 64, 30, False, 10, 2, True),
    "cifar100_lt50": Study("cifar100_lt50", 16, 60, 8, 5, 5, "resnet8", 128, 8, True, 3, 1, False),
}
# base training -> ways of going on from it
METHODS = {
    "etf": ("etf-order", "etf-match", "etf-prototype", "etf-ncm"),
    "etfce": ("etfce-match", "etfce-ncm"),
    "cosine": ("cosine-finetuned", "cosine-ncm", "cosine-grown"),
    "linear": ("linear-finetuned", "linear-ncm"),
}
LABELS = {
    "etf-order": "ETF + DR, vertices in order (NC-FSCIL)",
    "etf-match": "ETF + DR, vertices matched",
    "etf-prototype": "ETF + DR, new classes as prototypes, nothing trained",
    "etf-ncm": "ETF + DR, then nearest class mean",
    "etfce-match": "ETF + CE, vertices matched",
    "etfce-ncm": "ETF + CE, then nearest class mean",
    "cosine-finetuned": "learned cosine + CE, finetuned",
    "cosine-ncm": "learned cosine + CE, then nearest class mean",
    "cosine-grown": "learned cosine + CE, then an ETF that grows (ProNC)",
    "linear-finetuned": "learned linear + CE, finetuned",
    "linear-ncm": "learned linear + CE, then nearest class mean",
}
TRAINED = ("etf-order", "etf-match", "etfce-match", "cosine-finetuned", "cosine-grown", "linear-finetuned")
GRID = {"learning_rate": (0.02, 0.1, 0.5), "steps": (20, 100, 500)}
FIRST_TUNING_SEED = 1000


@dataclass
class Data:
    """Base training samples, the shots of every session, and what is tested on, all with labels in arrival order."""

    base_x: Tensor
    base_y: Tensor
    shots: list[tuple[Tensor, Tensor]]
    test_x: Tensor
    test_y: Tensor


def make_data(study: Study, seed: int, *, tuning: bool) -> Data:
    """Draw shots by seed; in a tuning run test on left-out training samples instead of the test part."""
    dataset = load_dataset(study.dataset) if study.size is None else load_dataset(study.dataset, size=study.size)
    generator = np.random.default_rng([seed, 7])
    order = generator.permutation(dataset.num_classes) if study.shuffle else np.arange(dataset.num_classes)
    place = torch.empty(dataset.num_classes, dtype=torch.long)
    place[torch.from_numpy(order)] = torch.arange(dataset.num_classes)
    y = place[dataset.train_y]
    base, shots, held = [], [], []
    for c in range(study.classes):
        own = generator.permutation(np.flatnonzero(y.numpy() == c))
        if c < study.base:
            cut = len(own) // 5 if tuning else 0
            held.append(own[:cut])
            base.append(own[cut:])
        else:
            shots.append(own[: study.shots])
            held.append(own[study.shots :])
    index = torch.from_numpy(np.concatenate(base))
    base_x, mean, std = as_inputs(dataset.train_x[index])
    scaled = lambda part: as_inputs(part, mean, std)[0]  # noqa: E731 - two statistics bound, nothing more
    sessions = []
    for t in range(study.sessions):
        chosen = torch.from_numpy(np.concatenate(shots[t * study.ways : (t + 1) * study.ways]))
        sessions.append((scaled(dataset.train_x[chosen]), y[chosen]))
    if tuning:
        left = torch.from_numpy(np.concatenate(held))
        return Data(base_x, y[index], sessions, scaled(dataset.train_x[left]), y[left])
    return Data(base_x, y[index], sessions, scaled(dataset.test_x), place[dataset.test_y])


def make_head(kind: str, width: int, study: Study, seed: int) -> Head:
    if kind == "linear":
        return LinearHead(width, study.base, seed=seed)
    options = {"projection": "mlp", "dim": study.dim, "seed": seed}
    if kind == "cosine":
        return CosineHead(width, study.base, **options)
    return IncrementalETFHead(width, study.base, reserved=study.classes - study.base, **options)


def criterion(kind: str, head: Head, x: Tensor, y: Tensor, *, balanced: bool) -> Tensor:
    """Dot-regression or cross-entropy; balanced: classes of the batch averaged alike."""
    h = head(x, pre_logits=True)
    if kind == "etf":
        return dot_regression_loss(h, y, head.weight, balance="batch" if balanced else "none")
    weight = (1 / y.bincount(minlength=head.num_classes).clamp(min=1)).to(h) if balanced else None
    return F.cross_entropy(head.logits_from_features(h), y, weight=weight)


def widen(head: Head, features: Tensor, labels: Tensor) -> Head:
    """A learned head with rows for the new classes, which start as imprinted class means (Qi et al. 2018)."""
    count = int(labels.max()) + 1
    with torch.no_grad():
        h = head(features, pre_logits=True)
        new = torch.stack([h[labels == c].mean(0) for c in range(head.num_classes, count)])
        old = head.weight.detach()
        new = F.normalize(new) * old.norm(dim=1).mean()
        bias = head.bias
        head.weight = nn.Parameter(torch.cat([old, new]))
        if bias is not None:
            head.bias = nn.Parameter(torch.cat([bias.detach(), bias.detach().mean().expand(len(new))]))
    head.num_classes = count
    return head


def finetune(kind: str, head: Head, x: Tensor, y: Tensor, learning_rate: float, steps: int) -> None:
    optimizer = torch.optim.SGD(head.parameters(), learning_rate, momentum=0.9, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        criterion(kind, head, x, y, balanced=True).backward()
        optimizer.step()


def class_means(features: Tensor, labels: Tensor, classes: range) -> Tensor:
    return torch.stack([features[labels == c].mean(0) for c in classes])


def go_on(
    method: str, base: Head, features: dict[str, Any], study: Study, chosen: dict[str, float]
) -> list[dict[str, float]]:
    """All sessions of one method on stored backbone features: accuracy after each of them."""
    head = copy.deepcopy(base).eval()
    kind, way = method.split("-")
    memory = class_means(features["base"], features["base_y"], range(study.base))
    basis = basis_near(head(memory, pre_logits=True).detach()) if way == "grown" else memory
    rows = [measure(decide(method, head, memory, features["test"], basis), features["test_y"], study.base, study)]
    for shots, labels in features["shots"]:
        known = len(memory)
        if way == "order":
            head.add_classes(study.ways)
        elif way in ("match", "prototype"):
            head.register_classes(shots, labels, vector="prototype" if way == "prototype" else "vertex")
        elif way == "finetuned":
            widen(head, shots, labels)
        elif way == "grown":
            basis = grown(basis, study.ways)
            pull(head, vertices(basis), torch.cat([memory, shots]), torch.cat([torch.arange(known), labels]), **chosen)
        if method in TRAINED and way != "grown":
            finetune(kind, head, torch.cat([memory, shots]), torch.cat([torch.arange(known), labels]), **chosen)
        memory = torch.cat([memory, class_means(shots, labels, range(known, known + study.ways))])
        rows.append(
            measure(decide(method, head, memory, features["test"], basis), features["test_y"], len(memory), study)
        )
    return rows


@torch.no_grad()
def decide(method: str, head: Head, memory: Tensor, features: Tensor, basis: Tensor) -> Tensor:
    if method.endswith("-ncm"):
        return (F.normalize(features) @ F.normalize(memory).T).argmax(1)
    if method.endswith("-grown"):
        return (head(features, pre_logits=True) @ vertices(basis).T).argmax(1)
    return head(features).argmax(1)


def measure(predicted: Tensor, labels: Tensor, seen: int, study: Study) -> dict[str, float]:
    """Balanced accuracy in % over the classes so far, and of the base and the new ones among them."""
    parts = {"all": labels < seen, "base": labels < study.base, "new": (labels >= study.base) & (labels < seen)}
    row: dict[str, float] = {"classes": seen}
    for name, mask in parts.items():
        if mask.any():
            recalls = per_class_accuracy(predicted[mask], labels[mask], study.classes)
            row[name] = 100 * float(recalls.nanmean())
    return row


def run(
    study: Study, kind: str, seed: int, *, tuning: bool, choose: Callable[[str, Callable], dict[str, float]]
) -> dict[str, list[dict[str, float]]]:
    """Train the base session, then go on in every way that belongs to it."""
    data = make_data(study, seed, tuning=tuning)
    backbone = make_backbone(study.backbone, tuple(data.base_x.shape[1:]), seed=seed)
    network = nn.Sequential(backbone, make_head(kind, backbone.num_features, study, seed))
    base_loss = lambda x, y: criterion(kind, network[1], network[0](x), y, balanced=False)  # noqa: E731
    train(network, base_loss, data.base_x, data.base_y, seed=seed, epochs=study.epochs, augment=study.augment)
    features = {
        "base": run_chunks(network[0], data.base_x),
        "base_y": data.base_y,
        "shots": [(run_chunks(network[0], x), y) for x, y in data.shots],
        "test": run_chunks(network[0], data.test_x),
        "test_y": data.test_y,
    }
    results = {}
    for method in METHODS[kind]:
        attempt = lambda chosen, method=method: go_on(method, network[1], features, study, chosen)  # noqa: E731
        results[method] = attempt(choose(method, attempt))
    return results


def search(method: str, attempt: Callable, tried: list[dict[str, Any]]) -> None:
    """Note the accuracy, averaged over the sessions, of every grid point."""
    for learning_rate, steps in product(*GRID.values()) if method in TRAINED else ():
        rows = attempt({"learning_rate": learning_rate, "steps": steps})
        score = float(np.mean([row["all"] for row in rows[1:]]))
        point = {"learning_rate": learning_rate, "steps": steps}
        entry = next((e for e in tried if e["point"] == point), None) or {"point": point, "accuracy": []}
        entry["accuracy"].append(score)
        if entry not in tried:
            tried.append(entry)


def summarise(runs: dict[str, list]) -> dict[str, Any]:
    """Mean and 95 % CI after every session, of the average over all sessions, and paired with NC-FSCIL."""
    table = {}
    reference = np.array([[row["all"] for row in rows] for rows in runs["etf-order"]]).mean(1)
    for method, seeds in runs.items():
        entry: dict[str, Any] = {"label": LABELS[method], "runs": len(seeds)}
        for part in ("all", "base", "new"):
            columns = zip(*[[row.get(part, float("nan")) for row in rows] for rows in seeds], strict=True)
            entry[part] = [dict(zip(("mean", "ci95"), mean_ci(column), strict=True)) for column in columns]
        average = [float(np.mean([row["all"] for row in rows])) for rows in seeds]
        entry["average"] = dict(zip(("mean", "ci95"), mean_ci(average), strict=True))
        if method != "etf-order" and len(seeds) == len(reference) > 1:
            compared = paired_comparison(average, reference)
            entry["against_etf_order"] = {
                "difference": compared.mean_difference,
                "ci95": [compared.ci_low, compared.ci_high],
                "p": compared.p_value,
            }
        table[method] = entry
    return table


def draw(table: dict[str, Any], title: str, path: Path) -> None:
    figure_module = require("matplotlib.figure", extra="plot", purpose="Drawing the figure")
    figure = figure_module.Figure(figsize=(9, 4.6), layout="constrained")
    axis = figure.subplots()
    colors = {"etf": "#D55E00", "etfce": "#E69F00", "cosine": "#009E73", "linear": "#0072B2"}
    styles = {"order": "-o", "match": "--s", "prototype": "-.^", "finetuned": "-o", "ncm": ":x", "grown": "-.d"}
    for method, entry in table.items():
        kind, way = method.split("-")
        means, half = ([cell[key] for cell in entry["all"]] for key in ("mean", "ci95"))
        axis.errorbar(
            range(len(means)), means, half, fmt=styles[way], color=colors[kind], label=entry["label"], capsize=2, ms=4
        )
    axis.set(xlabel="session (0: base classes)", ylabel="accuracy on all classes so far, %", title=title)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions incremental", __doc__)
    parser.add_argument("--study", choices=STUDIES, default="digits")
    parser.add_argument("--output", type=Path, default=QUESTIONS / "incremental.json")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--seeds", type=int, help="number of counted runs; by default that of the study")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    name, study = options.study, STUDIES[options.study]
    output = options.output.with_name(f"{options.output.stem}_{name}.json")
    try:
        make_data(study, 0, tuning=False)
    except ValueError as error:
        raise SystemExit(f"{name}: {error}") from error
    empty = {"study": vars(study), "grid": GRID, "tuning": {}, "runs": {}}
    results = read_json(output) if output.exists() else empty

    def save() -> None:
        runs = results["runs"]
        finished = {m: [runs[m][seed] for seed in sorted(runs[m], key=int)] for m in LABELS if m in runs}
        if "etf-order" in finished:
            results["table"] = summarise(finished)
        write_json(output, {**results, "provenance": provenance()})

    for kind, methods in METHODS.items():
        if any(method not in results["tuning"] for method in methods):
            tried: dict[str, list] = {method: [] for method in methods}

            def choose(method: str, attempt: Callable, tried: dict[str, list] = tried) -> dict[str, float]:
                search(method, attempt, tried[method])
                return {"learning_rate": 0.0, "steps": 0}

            for seed in range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + study.tuning_seeds):
                run(study, kind, seed, tuning=True, choose=choose)
            for method in methods:
                best = max(tried[method], key=lambda e: np.mean(e["accuracy"]), default={"point": {}})
                results["tuning"][method] = {"chosen": best["point"], "tried": tried[method]}
            save()
            for method in methods:
                print("tuned", method, results["tuning"][method]["chosen"], flush=True)
    for seed in range(study.seeds if options.seeds is None else options.seeds):
        for kind, methods in METHODS.items():
            if all(str(seed) in results["runs"].get(method, {}) for method in methods):
                continue
            rows = run(study, kind, seed, tuning=False, choose=lambda m, _: results["tuning"][m]["chosen"])
            for method in methods:
                results["runs"].setdefault(method, {})[str(seed)] = rows[method]
                print(seed, method, [round(row["all"], 1) for row in rows[method]], flush=True)
            save()
    save()
    for method, entry in results["table"].items():
        last, average = entry["all"][-1], entry["average"]
        print(f"{LABELS[method]:52s} last {last['mean']:.1f} ± {last['ci95']:.1f}  average {average['mean']:.1f}")
    draw(results["table"], f"{name}: {study.base} + {study.sessions} x {study.ways} classes, {study.shots} shots",
         options.figures / f"incremental_{name}.svg")  # fmt: skip
