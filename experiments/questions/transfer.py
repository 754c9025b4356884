"""Transfer: do features trained with a fixed head serve other data as well as those trained with a learned one?

A network is trained on a source, its backbone frozen, and its features judged on other data sets by a linear probe and
by nearest neighbours: at the backbone's output and as the head sees them, h. The targets' training parts are drawn as
even over the classes as their sizes allow; the probe's penalty is chosen on a fifth of that draw, the target's test
part is looked at once. Beside them: balanced test accuracy on the source, NC1 and CDNV of the source's training
features. Nothing of the training is tuned. Paired by seed, which also draws the samples. Finished runs are kept, so a
killed study goes on; the data are read from the folder in EQUIANGULAR_DATA.

    python -m experiments questions transfer
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import load_dataset
from equiangular.heads import make_head
from equiangular.longtail import holdout_indices
from equiangular.losses import dot_regression_loss
from equiangular.measures import balanced_accuracy, per_class_accuracy
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.models import make_backbone
from experiments.common import FIGURES, QUESTIONS, command_parser
from experiments.questions.plain_loop import as_inputs, run_chunks, train
from experiments.questions.transfer_design import (
    COLLAPSE,
    HEADS,
    MEASURES,
    NEIGHBOURS,
    PENALTIES,
    PLACES,
    PROTOCOL,
    SOURCES,
    TEMPERATURE,
    Protocol,
    Source,
)
from experiments.questions.transfer_tables import draw, markdown, summarise


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions transfer", __doc__)
    parser.add_argument("--output", type=Path, default=QUESTIONS / "transfer.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args(arguments)
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
    results["table"] = summarise(results["runs"], SOURCES)
    write_json(options.output, {**results, "provenance": provenance()})
    draw(results, SOURCES, options.figures / "transfer.svg")
    print(markdown(results["table"]))
