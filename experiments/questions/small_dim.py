"""Fewer dimensions than a simplex ETF needs: which head trains best?

    EQUIANGULAR_DATA=DIR python -m experiments questions small-dim [letter cifar100_lt50] [--seeds N] [--output FILE]

- ``letter``: K = 26 classes of 16 numbers each, an MLP 16-128-8, so d = 8 and K > 2d. Cross-entropy.
- ``cifar100_lt50``: K = 100 at imbalance 50, images of 16 x 16, ResNet-8, d = 64: d+1 < K <= 2d, where ``spread_frame``
  is the orthoplex for both of its objectives, so that it is trained once. Logit-adjusted cross-entropy.

Heads: ``spread_frame`` by either objective, frozen random directions, a learned cosine and a learned linear classifier,
and a simplex ETF behind a learned linear map to K - 1 dimensions. They have BatchNorm and unit features, all but the
linear one, as such a classifier is, and "any norm": the frame fixed, the features not normalised. The only thing tuned
is the scale of the logits, on a grid as long for every head: mean balanced accuracy on a fifth of the training data
that is held out, last epoch (of 5 instead of 12 on cifar100_lt50). Then each head is trained on all of the training
data at its scale and looks at the test part once, after the last epoch. Run r of every head has the same initial
backbone and the same order of samples; a fixed head's frame is drawn anew from r. No augmentation. SGD, one thread.

Every run is written when it is done; the same command goes on from there. Paired t-tests, Holm's correction over the
heads, of each head against ``spread_frame(max_cosine)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._random import isolated_rng
from equiangular._validate import check_choice
from equiangular.data import load_dataset
from equiangular.frames.spread import spread_frame
from equiangular.longtail import holdout_indices
from equiangular.measures import balanced_accuracy, holm, mean_ci, paired_comparison, per_class_accuracy
from equiangular.models import MLP, CifarResNet
from equiangular.training import Budget, Method, Task, fit, predict
from equiangular.training.methods import criteria
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "small_dim.json"
REFERENCE = "spread_frame(max_cosine)"
HEADS = {  # name: kind, objective of spread_frame, options
    REFERENCE: ("etf", "max_cosine", {"norm": "batch"}),
    "spread_frame(softmax)": ("etf", "softmax", {"norm": "batch"}),
    f"{REFERENCE}, any norm": ("etf", "max_cosine", {"norm": "batch", "normalize": False}),
    "frozen random": ("random", None, {"norm": "batch"}),
    "learned cosine": ("cosine", None, {"norm": "batch"}),
    "learned linear": ("linear", None, {}),
    "ETF behind a projection": ("etf", None, {"norm": "batch", "projection": "linear"}),
}
TUNING_SEED = 1000


@dataclass(frozen=True)
class Study:
    """One data set.

    Attributes:
        size: of the images.
        loss: ``"ce"`` or ``"la"``.
        budget: of the test runs.
        tuning_epochs: of the runs that choose the scale.
        tuning_seeds: their number for each head and scale.
        scales: the grid for unit features, and the one for features of any norm.
        same: heads left out because they equal another.
    """

    size: int | None
    loss: str
    budget: Budget
    tuning_epochs: int
    tuning_seeds: int
    scales: tuple[tuple[float, ...], tuple[float, ...]]
    same: dict[str, str]


STUDIES = {
    "letter": Study(
        None, "ce", Budget(epochs=30, batch_size=128), 30, 2, ((4.0, 8.0, 16.0, 32.0), (0.25, 0.5, 1.0, 2.0)), {}
    ),
    "cifar100_lt50": Study(
        16,
        "la",
        Budget(epochs=12, batch_size=128),
        5,
        1,
        ((4.0, 8.0, 16.0), (0.5, 1.0, 2.0)),
        {"spread_frame(softmax)": REFERENCE},
    ),
}
CRITERIA = {"ce": criteria.cross_entropy, "la": criteria.logit_adjusted}


def make_task(name: str, study: Study, head: str, scale: float, shape: tuple[int, ...], k: int, seed: int) -> Task:
    """Backbone and head from a seed."""
    with isolated_rng(seed):
        backbone: nn.Module = MLP(shape[0], hidden=(128, 8)) if name == "letter" else CifarResNet(8)
    kind, objective, options = HEADS[head]
    options = {**options, "scale": scale}
    if objective is not None:
        options["prototypes"] = spread_frame(k, backbone.num_features, objective=objective, seed=seed)
    method = Method(head, head, kind, CRITERIA[study.loss], "benchmark", options)
    return Task(backbone, method.build_head(backbone.num_features, k, seed=seed), method)


def run(
    name: str, study: Study, budget: Budget, head: str, scale: float, seed: int, parts: tuple[Tensor, ...], k: int
) -> float:
    """Train once; balanced accuracy of the last epoch on the second part, in percent."""
    train_x, train_y, other_x, other_y = parts
    axes = (0, 2, 3) if train_x.ndim == 4 else (0,)
    mean, std = train_x.mean(axes, keepdim=True), train_x.std(axes, keepdim=True)
    task = make_task(name, study, head, scale, tuple(train_x.shape[1:]), k, seed)
    fit(task, (train_x - mean) / std, train_y, budget, seed=seed)
    predicted = predict(task, (other_x - mean) / std)[1].argmax(1)
    return 100 * float(balanced_accuracy(per_class_accuracy(predicted, other_y, k)))


def plan(name: str, study: Study, runs: dict[str, float], seeds: int) -> list[tuple[str, float, int]]:
    """Head, scale and seed of the test runs; call it once the tuning runs are there."""
    heads = [h for h in HEADS if h not in study.same]
    return [(head, chosen_scale(name, study, head, runs), seed) for seed in range(seeds) for head in heads]


def scales(study: Study, head: str) -> tuple[float, ...]:
    kind, _, options = HEADS[head]
    return study.scales[0 if options.get("normalize", kind != "linear") else 1]


def key(name: str, part: str, head: str, scale: float, seed: int) -> str:
    return f"{name} | {part} | {head} | scale {scale:g} | seed {seed}"


def chosen_scale(name: str, study: Study, head: str, runs: dict[str, float]) -> float:
    """The scale with the best mean validation accuracy."""
    seeds = range(TUNING_SEED, TUNING_SEED + study.tuning_seeds)
    return max(scales(study, head), key=lambda s: np.mean([runs[key(name, "validation", head, s, r)] for r in seeds]))


def summary(name: str, study: Study, runs: dict[str, float], seeds: int) -> dict[str, Any]:
    """Mean and 95 % interval of every head, and its paired test against the reference."""
    rows: dict[str, Any] = {}
    planned = plan(name, study, runs, seeds)
    for head in dict.fromkeys(h for h, _, _ in planned):
        values = [runs[key(name, "test", h, s, seed)] for h, s, seed in planned if h == head]
        mean, half = mean_ci(values)
        rows[head] = {"scale": chosen_scale(name, study, head, runs), "mean": mean, "ci95": half, "values": values}
    others = [head for head in rows if head != REFERENCE]
    tests = [paired_comparison(rows[head]["values"], rows[REFERENCE]["values"]) for head in others]
    for head, test, corrected in zip(others, tests, holm([t.p_value for t in tests]), strict=True):
        rows[head] |= {"difference": test.mean_difference, "ci_low": test.ci_low, "ci_high": test.ci_high}
        rows[head] |= {"p_value": test.p_value, "p_holm": corrected}
    return {"seeds": seeds, "same_as": study.same, "heads": rows}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions small-dim", __doc__)
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"of {', '.join(STUDIES)}; all if none is named")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args(arguments)
    for name in arguments.data:
        check_choice(name, STUDIES, "DATA")
    torch.set_num_threads(1)
    settings = json_plain({name: asdict(study) for name, study in STUDIES.items()})
    results: dict[str, Any] = {"provenance": provenance(), "settings": settings, "summary": {}, "runs": {}}
    if arguments.output.exists():
        found = read_json(arguments.output)
        if found["settings"] != settings:
            parser.error(f"{arguments.output} was made with other settings; delete it or name another --output")
        results |= {"summary": found["summary"], "runs": found["runs"]}
    runs = results["runs"]
    for name in arguments.data or STUDIES:
        study, data = STUDIES[name], load_dataset(name, size=STUDIES[name].size)
        k, x, test_x = data.num_classes, data.train_x.float(), data.test_x.float()

        def keep(part: str, head: str, scale: float, seed: int, parts: tuple[Tensor, ...], name: str = name) -> None:
            label = key(name, part, head, scale, seed)
            if label not in runs:
                study = STUDIES[name]
                epochs = study.tuning_epochs if part == "validation" else None
                budget = study.budget.with_changes(epochs=epochs)
                runs[label] = run(name, study, budget, head, scale, seed, parts, int(parts[1].max()) + 1)
                write_json(arguments.output, results)
                print(f"{label}: {runs[label]:.2f}", flush=True)

        for seed in range(TUNING_SEED, TUNING_SEED + study.tuning_seeds):
            held = torch.from_numpy(holdout_indices(data.train_y.numpy(), 0.2, seed=seed))
            kept = torch.ones(len(x), dtype=torch.bool).index_fill(0, held, False)
            for head in [h for h in HEADS if h not in study.same]:
                for scale in scales(study, head):
                    keep("validation", head, scale, seed, (x[kept], data.train_y[kept], x[held], data.train_y[held]))
        for head, scale, seed in plan(name, study, runs, arguments.seeds):
            keep("test", head, scale, seed, (x, data.train_y, test_x, data.test_y))
        results["summary"][name] = summary(name, study, runs, arguments.seeds)
        write_json(arguments.output, results)
        print(f"\n{name}: K = {k}, balanced test accuracy, {arguments.seeds} paired runs")
        for head, row in results["summary"][name]["heads"].items():
            versus = f"{row['difference']:+.2f} (Holm p {row['p_holm']:.3f})" if "difference" in row else ""
            print(f"  {head:<34}scale {row['scale']:<6g}{row['mean']:.2f} +- {row['ci95']:.2f}   {versus}")
