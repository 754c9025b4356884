"""The newest rivals beside cross-entropy, each head tuned alike: NTCE and NONL, space alignment, LIFT's start.

    EQUIANGULAR_DATA=DIR python -m experiments questions rivals [--cells CELL ...] [--draws N] [--output FILE] [--table]

- **NTCE, NONL** (Koromilas et al. 2026, arXiv 2605.20302), on learned cosine vectors and on an ETF.
- **SpA-Proj** (Wang et al. 2025, arXiv 2512.07844): of the gradient g of a class vector w, less its part along w, what
  leads w away from the centred running class mean is taken out: g' = .4 (g_t - max(g_t . u, 0) u) + .6 g, with u the
  unit tangent at w towards the mean. The step, .6 and the momentum .9 are those of the authors' public code; formulas
  of SpA-Reg and SpA-SLERP were not found.
- **LIFT's start** (Shi et al. 2024, arXiv 2309.10019): cosine vectors that start at the class means of the features,
  at the class names, or at the solution of a ridge regression, and are learned on. On frozen MiniLM features, by number
  of epochs of twenty, two of which warm up.

A cell is a data set at an imbalance; where there is none, logit adjustment is cross-entropy and left out. A fifth of
the training pool is held out before anything is cut: learning rate and scale of each row are those of the best balanced
accuracy there, one run, seed 1000. Every draw is a cut, an order of the classes and a training seed. "Prior out": log
class frequencies taken off the logits after training. The slope is that of the log of a class's mean probability over
the test part, classes alike, on its log frequency: above 0 where frequent classes are said too often, below 0 where too
seldom. Finished runs are kept, so a killed run goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._validate import check_choice
from equiangular.closed_form import ClosedForm
from equiangular.data import load_dataset
from equiangular.heads import CosineHead, Head, make_head
from equiangular.longtail import holdout_indices, long_tail_indices
from equiangular.longtail.cut import draw_by_class
from equiangular.losses import nonl_loss, ntce_loss
from equiangular.measures import mean_ci, per_class_accuracy
from equiangular.models import make_backbone
from experiments.common import QUESTIONS, command_parser, mean_text
from experiments.pretrained.sets import name_vectors
from experiments.questions.features import features as frozen_features
from experiments.questions.plain_loop import as_inputs, run_chunks, train

OUTPUT = QUESTIONS / "rivals.json"
TUNING = 1000


class Cell(NamedTuple):
    """A data set at an imbalance, and how it is trained."""

    data: str
    imbalance: float
    backbone: str
    epochs: int
    rows: tuple[str, ...] = ()  # of ROWS, where it has not all


CELLS = {
    "letter": Cell("letter", 1, "mlp", 5),
    "letter, 20 epochs": Cell("letter", 1, "mlp", 20, ("cosine, CE", "cosine, NTCE", "cosine, NONL")),
    "digits": Cell("digits", 1, "digits", 20),
    "letter 100": Cell("letter", 100, "mlp", 20),
    "digits 100": Cell("digits", 100, "digits", 60),
}
LARGE = 512
HEADS = {"linear": ("linear", {}), "cosine": ("cosine", {"norm": "batch"}), "ETF": ("etf", {"norm": "batch"})}
LOSSES = ("CE", "LA", "NTCE", "NONL")
ROWS = (
    *(f"linear, {loss}" for loss in ("CE", "LA", "SpA-Proj")),
    *(f"{head}, {loss}" for head in ("cosine", "ETF") for loss in LOSSES),
    *(f"cosine, {loss}, batches of {LARGE}" for loss in ("NTCE", "NONL")),  # the size of arXiv 2605.20302
)
RATES, SCALES = (0.05, 0.2), (5.0, 10.0, 20.0)  # 10 and 5 are 1 / temperature of arXiv 2605.20302
PUBLISHED = {  # against cross-entropy
    "NTCE": "better: ImageNet 76.7 against 75.4, balanced; +8.7 % of CE on CIFAR-10-LT 100, +7.0 % on CIFAR-100-LT 100",
    "NONL": "better: ImageNet 76.5 against 75.4, balanced",
    "SpA-Proj": "better, on top of long-tail methods, CIFAR-10-LT, CIFAR-100-LT, ImageNet-LT",
    "LIFT": "better and sooner than a start at random, frozen encoder and adapters",
}
STARTS = ("random", "class means", "class names", "ridge")
STEPS = (0, 1, 2, 5, 10, 20)
FROZEN = {
    f"{name} {way}": (source, way)
    for name, source in (("banking77", "banking77"), ("clinc150", "clinc150_imbalanced"))
    for way in ("10 each", "50:1")
}


class Data(NamedTuple):
    """Inputs and labels to train on and to score on, the sizes of the classes, and names (K, d) among the inputs."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    counts: Tensor
    names: Tensor | None = None


def cut(labels: np.ndarray, imbalance: float, seed: int) -> np.ndarray:
    """Indices of a cut whose classes come in a drawn order of size; of 10 each for an imbalance of 0."""
    if imbalance == 1:
        return np.arange(len(labels))
    if not imbalance:
        return draw_by_class(labels, [10] * int(labels.max() + 1), seed)
    return long_tail_indices(np.random.default_rng(seed).permutation(labels.max() + 1)[labels], imbalance, seed=seed)


def make_data(
    x: Tensor, y: Tensor, test: tuple[Tensor, Tensor], imbalance: float, seed: int, names: Tensor | None = None
) -> Data:
    """A cut of four fifths of a pool; in the tuning run the other fifth is what is scored on."""
    held = holdout_indices(y.numpy(), 0.2, seed=TUNING)
    pool = np.setdiff1d(np.arange(len(y)), held)
    index = torch.from_numpy(pool[cut(y.numpy()[pool], imbalance, seed)])
    test_x, test_y = (x[torch.from_numpy(held)], y[torch.from_numpy(held)]) if seed == TUNING else test
    inputs, mean, std = as_inputs(x[index])
    counts = y[index].bincount(minlength=int(y.max()) + 1)
    names = None if names is None else as_inputs(names, mean, std)[0]
    return Data(inputs, y[index], as_inputs(test_x, mean, std)[0], test_y, counts, names)


@cache
def pool(name: str) -> Any:
    return load_dataset(name)


def space_aligned(weight: nn.Parameter, running: Tensor) -> Callable[[Tensor], Tensor]:
    """What SpA-Proj makes of the gradient of ``weight`` while ``running`` holds the running class means."""

    def project(gradient: Tensor) -> Tensor:
        w = F.normalize(weight.detach())
        u = F.normalize(running - running.mean(0))
        u = F.normalize(u - (u * w).sum(1, keepdim=True) * w)
        tangent = gradient - (gradient * w).sum(1, keepdim=True) * w
        tangent = tangent - (tangent * u).sum(1, keepdim=True).clamp_min(0) * u
        return 0.4 * tangent + 0.6 * gradient

    return project


def criterion(row: str, head: Head, backbone: nn.Module, data: Data) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a batch."""
    loss = row.split(", ")[1]
    log_prior = (data.counts / data.counts.sum()).log()
    if loss == "SpA-Proj":
        running = torch.zeros_like(head.weight)
        head.weight.register_hook(space_aligned(head.weight, running))

    def of_batch(x: Tensor, y: Tensor) -> Tensor:
        h = head(backbone(x), pre_logits=True)
        if loss in ("NTCE", "NONL"):
            of = ntce_loss if loss == "NTCE" else nonl_loss
            return of(h, y, head.weight, scale=float(head.scale))
        if loss == "SpA-Proj":
            for k in y.unique():
                running[k] = 0.9 * running[k] + 0.1 * h.detach()[y == k].mean(0)
        logits = head.logits_from_features(h)
        return F.cross_entropy(logits + log_prior if loss == "LA" else logits, y)

    return of_batch


def balanced(logits: Tensor, y: Tensor) -> float:
    return 100 * float(per_class_accuracy(logits.argmax(1), y, logits.shape[1]).mean())


def run(cell: Cell, row: str, data: Data, seed: int, rate: float, scale: float) -> dict[str, float]:
    """Train once: balanced accuracy as it is and with the prior out, and the slope."""
    kind, options = HEADS[row.split(", ")[0]]
    backbone = make_backbone(cell.backbone, tuple(data.x.shape[1:]), seed=seed)
    extra = {} if kind == "linear" else {"scale": scale}
    head = make_head(kind, backbone.num_features, len(data.counts), seed=seed, **options, **extra)
    network = nn.Sequential(backbone, head)
    batch = LARGE if row.endswith(str(LARGE)) else 128 if len(data.y) > 4 * LARGE else 64
    loss = criterion(row, head, backbone, data)
    try:
        train(network, loss, data.x, data.y, seed=seed, epochs=cell.epochs,
              learning_rate=rate, batch_size=batch)  # fmt: skip
    except ValueError:  # diverged
        return {"as it is": 0.0, "prior out": 0.0, "slope": float("nan")}
    logits = run_chunks(network, data.test_x)
    log_prior = (data.counts / data.counts.sum()).log()
    found = {"as it is": balanced(logits, data.test_y), "prior out": balanced(logits - log_prior, data.test_y)}
    if cell.imbalance != 1:
        of_class = torch.stack([logits.softmax(1)[data.test_y == k].mean(0) for k in range(len(data.counts))])
        centred = log_prior - log_prior.mean()
        found["slope"] = float((of_class.mean(0).log() * centred).sum() / (centred**2).sum())
    return found


def tuned(cell: Cell, row: str) -> dict[str, Any]:
    """Learning rate and scale by the held-out fifth, for each reading of the logits."""
    source = pool(cell.data)
    data = make_data(source.train_x, source.train_y, (source.test_x, source.test_y), cell.imbalance, TUNING)
    scales = SCALES if not row.startswith("linear") else (1.0,)
    tried = [
        {"rate": rate, "scale": scale, **run(cell, row, data, TUNING, rate, scale)}
        for rate, scale in itertools.product(RATES, scales)
    ]
    best = max(tried, key=lambda point: max(point["as it is"], point["prior out"]))
    return {"rate": best["rate"], "scale": best["scale"], "tried": tried}


def networks(name: str, results: dict[str, Any], draws: int, save: Callable[[], None]) -> None:
    """Fill in what is missing of a cell."""
    cell = CELLS[name]
    source = pool(cell.data)
    large = len(source.train_y) > 8 * LARGE
    wanted = [row for row in cell.rows or ROWS if large or not row.endswith(str(LARGE))]
    for row in (row for row in wanted if cell.imbalance != 1 or not row.endswith("LA")):
        kept = results["networks"].setdefault(name, {}).setdefault(row, {"tuned": None, "runs": []})
        if kept["tuned"] is None:
            kept["tuned"] = tuned(cell, row)
            save()
        for seed in range(len(kept["runs"]), draws):
            data = make_data(source.train_x, source.train_y, (source.test_x, source.test_y), cell.imbalance, seed)
            kept["runs"].append(run(cell, row, data, seed, kept["tuned"]["rate"], kept["tuned"]["scale"]))
            save()
        told = [found["as it is"] for found in kept["runs"]]
        print(f"{name}: {row}: {np.mean(told):.1f}, prior out {np.mean([f['prior out'] for f in kept['runs']]):.1f}",
              flush=True)  # fmt: skip


@cache
def names_of(source: str) -> Tensor:
    """(K, d) the names of the classes by MiniLM."""
    return torch.from_numpy(name_vectors(source, list(load_dataset(source, raw=True).class_names))["names"])


def started(start: str, data: Data, scale: float, seed: int) -> CosineHead:
    """A learned cosine head that starts at random, at the class means or names, or at a ridge regression."""
    x, y, k = data.x, data.y, len(data.counts)
    head = CosineHead(x.shape[1], k, scale=scale, seed=seed)
    if start == "class means":
        vectors = torch.stack([x[y == c].mean(0) for c in range(k)])
    elif start == "class names" and data.names is not None:
        vectors = data.names
    elif start == "ridge":
        vectors = ClosedForm(x.shape[1], k, kind="ridge").update(x, y).solve().weight
    else:
        return head
    with torch.no_grad():
        head.weight.copy_(F.normalize(vectors.to(head.weight)))
    return head


def learned_on(data: Data, start: str, rate: float, scale: float, seed: int) -> dict[str, float]:
    """Balanced accuracy after so many epochs of logit-adjusted SGD on frozen features."""
    head = started(start, data, scale, seed)
    log_prior = (data.counts / data.counts.sum()).log()
    found = {"0": balanced(head(data.test_x), data.test_y)}
    done = iter(range(1, STEPS[-1] + 1))

    def after_epoch() -> None:
        epoch = next(done)
        if epoch in STEPS:
            with torch.no_grad():
                found[str(epoch)] = balanced(head(data.test_x), data.test_y)

    train(head, lambda x, y: F.cross_entropy(head(x) + log_prior, y), data.x, data.y, seed=seed, epochs=STEPS[-1],
          learning_rate=rate, weight_decay=1e-4, batch_size=64, on_epoch=after_epoch)  # fmt: skip
    return found


def frozen(name: str, results: dict[str, Any], draws: int, save: Callable[[], None]) -> None:
    """LIFT's start on one cut of frozen features."""
    source, way = FROZEN[name]
    part = frozen_features(source)
    x, y, test_x, test_y = (torch.from_numpy(value) for value in part)
    imbalance = 0.0 if way == "10 each" else float(way.split(":")[0])
    for start in STARTS:
        kept = results["starts"].setdefault(name, {}).setdefault(start, {"tuned": None, "runs": []})
        tested = (F.normalize(test_x), test_y)
        data = partial(make_data, F.normalize(x), y, tested, imbalance, names=F.normalize(names_of(source)))
        if kept["tuned"] is None:
            points = [{"rate": r, "scale": s} for r, s in itertools.product((0.1, 1.0), (10.0, 20.0))]
            ends = [learned_on(data(TUNING), start, **point, seed=TUNING) for point in points]
            scores = [end[str(STEPS[-1])] for end in ends]
            kept["tuned"] = points[int(np.argmax(scores))]
        for seed in range(len(kept["runs"]), draws):
            kept["runs"].append(learned_on(data(seed), start, **kept["tuned"], seed=seed))
            save()
        told = {epoch: round(float(np.mean([found[str(epoch)] for found in kept["runs"]])), 1) for epoch in STEPS}
        print(f"{name}: start at {start}: {told}", flush=True)


def best_reading(kept: dict[str, Any]) -> str:
    """The reading of the logits that the held-out fifth chose."""
    chosen = next(p for p in kept["tuned"]["tried"] if all(p[k] == kept["tuned"][k] for k in ("rate", "scale")))
    return "prior out" if chosen["prior out"] > chosen["as it is"] else "as it is"


def table(results: dict[str, Any]) -> str:
    """Markdown: balanced accuracy and slope of every row, then LIFT's start by epochs."""
    cells = [name for name in CELLS if name in results["networks"]]
    heads = [f"{n}{', prior out' * p}" for n in cells for p in ((0, 1) if CELLS[n].imbalance != 1 else (0,))]
    lines = ["| head, loss | " + " | ".join(heads) + " | slope |", "|---" * (len(heads) + 2) + "|"]
    for row in ROWS:
        told, slopes = [], []
        for name in cells:
            runs = results["networks"][name].get(row, {"runs": []})["runs"]
            for reading in ("as it is", "prior out") if CELLS[name].imbalance != 1 else ("as it is",):
                told.append("{:.1f} ± {:.1f}".format(*mean_ci([r[reading] for r in runs])) if len(runs) > 1 else "")
            slopes += [r["slope"] for r in runs if r.get("slope") is not None and CELLS[name].imbalance != 1]
        slope = f"{np.nanmean(slopes):.2f}".replace("-", "−") if slopes else ""
        lines.append(f"| {row} | " + " | ".join(told) + f" | {slope} |")
    if results["starts"]:
        lines += ["", "| frozen features | start | " + " | ".join(f"{e} epochs" for e in STEPS) + " |"]
        lines.append("|---" * (len(STEPS) + 2) + "|")
    for name, starts in results["starts"].items():
        for start in STARTS:
            runs = starts.get(start, {"runs": []})["runs"]
            if len(runs) > 1:
                told = ["{:.1f} ± {:.1f}".format(*mean_ci([r[str(e)] for r in runs])) for e in STEPS]
                lines.append(f"| {name} | {start} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def relations(results: dict[str, Any]) -> str:
    """Markdown: what was published against cross-entropy, and the same paired difference here."""
    pairs = {
        "NTCE": (("cosine, NTCE", "cosine, CE"), ("cosine, NTCE", "cosine, LA"), ("cosine, NTCE", "linear, LA")),
        "NONL": (("cosine, NONL", "cosine, CE"), ("cosine, NONL", "cosine, LA"), ("cosine, NONL", "linear, LA")),
        "SpA-Proj": (("linear, SpA-Proj", "linear, CE"),),
    }
    cells = [name for name in CELLS if name in results["networks"]]
    lines = ["| rival | published | against | " + " | ".join(cells) + " |", "|---" * (len(cells) + 3) + "|"]
    for rival, compared in pairs.items():
        for ours, base in compared:
            told = []
            for name in cells:
                rows = results["networks"][name]
                runs = [[r["as it is"] for r in rows[row]["runs"]] if row in rows else [] for row in (ours, base)]
                told.append(mean_text(np.subtract(*runs), "+") if runs[0] and runs[1] else "")
            lines.append(f"| {rival} | {PUBLISHED[rival]} | {base} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions rivals", __doc__)
    known = (*CELLS, *FROZEN)
    parser.add_argument("--cells", nargs="+", default=list(known), metavar="CELL", help=f"of {', '.join(known)}")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--table", action="store_true", help="show what there is and compute nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    empty: dict[str, Any] = {"networks": {}, "starts": {}}
    results = read_json(options.output) if options.output.exists() else empty

    def save() -> None:
        write_json(options.output, json_plain({**results, "provenance": provenance()}))

    for name in () if options.table else [check_choice(name, known, "--cells") for name in options.cells]:
        (networks if name in CELLS else frozen)(name, results, options.draws, save)
    print(table(results), relations(results), sep="\n\n")


if __name__ == "__main__":
    main()
