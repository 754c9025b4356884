"""Ten thousand to a million classes: fixed, computed and learned class vectors. Accuracy, memory, time.

    python -m experiments questions huge-k [--classes K ...] [--draws N] [--output FILE] [--table]

A class is a made-up name of five syllables, a sample is the name with one letter changed, dropped, or swapped with the
next. Two samples a class are trained on; a third one of 1,000 classes is looked up among all K. The network: a sum of
64 numbers for each letter trigram, which starts at random. Ways:

- ``means, nothing trained``: class vectors are the means of what the random network makes of the two samples.
- ``means fixed, network trained``: the same vectors, centred, are the targets of dot-regression.
- ``random, unstored``: ``ImplicitHead`` makes random class vectors when they are asked for; dot-regression.
- ``learned, sampled softmax``: a table learned with SparseAdam, 1,024 classes drawn uniformly as rivals of each batch.
- ``learned from means, sampled softmax``: the same, from the means on.
- ``learned, sampled softmax, four times as long``: the same from random on, and
- ``learned, full softmax``: all classes in each step. At a million classes the logits of a batch and their gradients
  are 8 GB, so it is not run there.

Adam at 0.01 falling to 0 in a cosine, batches of 1,024, cosines times 16, so many epochs as :data:`EPOCHS` says for
all that train. Bytes are those of class vectors and their optimiser state, seconds are processor time. The peak is the
most memory of the process that trains and searches, which has nothing else to do; PyTorch alone is about 300 MB of it.
Nothing is tuned.
"""

from __future__ import annotations

import itertools
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular.heads import ImplicitHead, nearest_prototypes
from equiangular.losses import cosine_cross_entropy, dot_regression_loss
from equiangular.measures import mean_ci
from experiments.common import QUESTIONS, command_parser

OUTPUT = QUESTIONS / "huge_k.json"
EPOCHS = {10_000: 10, 100_000: 2, 1_000_000: 1}
DRAWS = {10_000: 3, 100_000: 2, 1_000_000: 1}
WAYS = (
    "means, nothing trained",
    "means fixed, network trained",
    "random, unstored",
    "learned, sampled softmax",
    "learned from means, sampled softmax",
    "learned, sampled softmax, four times as long",
    "learned, full softmax",
)
LONG = WAYS[-2:]  # one draw each, run after all others
LEFT_OUT = {(1_000_000, WAYS[-1])}
DIM, BATCH, SAMPLED, SCALE, QUERIES = 64, 1024, 1024, 16.0, 1000
LETTERS, LENGTH = 27, 10  # 0 is the margin
CONSONANTS = np.array([ord(c) - 96 for c in "bcdfghjklmnpqrstvwxz"], dtype=np.int64)
VOWELS = np.array([ord(c) - 96 for c in "aeiou"], dtype=np.int64)


class Names(NamedTuple):
    """Trigrams of samples: (2K, 10) to train on, class i // 2, and (1,000, 10) to look up, with their classes."""

    train: Tensor
    queries: Tensor
    labels: Tensor


def names(num_classes: int, generator: np.random.Generator) -> np.ndarray:
    """Different names as letters (K, 10)."""
    syllables = np.array([(c, v) for c in CONSONANTS for v in VOWELS])
    codes = np.unique(generator.integers(100**5, size=int(1.01 * num_classes) + 100))
    codes = generator.permutation(codes)[:num_classes]
    return syllables[codes[:, None] // 100 ** np.arange(5) % 100].reshape(num_classes, LENGTH)


def misspelt(written: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One letter of each changed, dropped, or swapped with the next."""
    result, rows = written.copy(), np.arange(len(written))
    place, kind = generator.integers(LENGTH - 1, size=len(written)), generator.integers(3, size=len(written))
    changed, dropped, swapped = (kind == k for k in range(3))
    result[rows[changed], place[changed]] = generator.integers(1, LETTERS, size=changed.sum())
    column = np.arange(LENGTH)[None]
    moved = np.where(column >= place[dropped, None], np.minimum(column + 1, LENGTH - 1), column)
    result[dropped] = np.take_along_axis(result[dropped], moved, 1)
    result[dropped, -1] = 0
    r, p = rows[swapped], place[swapped]
    result[r, p], result[r, p + 1] = written[r, p + 1], written[r, p]
    return result


def trigrams(written: np.ndarray) -> Tensor:
    """Numbers of the trigrams (N, 10) of letters (N, 10), with a margin of 0 on both sides."""
    padded = np.pad(written, ((0, 0), (1, 1)))
    return torch.from_numpy(padded[:, :-2] * LETTERS**2 + padded[:, 1:-1] * LETTERS + padded[:, 2:])


def make_names(num_classes: int, seed: int) -> Names:
    """The data of a draw."""
    generator = np.random.default_rng([seed, num_classes])
    written = names(num_classes, generator)
    asked = generator.permutation(num_classes)[:QUERIES]
    train = np.stack([misspelt(written, generator), misspelt(written, generator)], 1).reshape(-1, LENGTH)
    return Names(trigrams(train), trigrams(misspelt(written[asked], generator)), torch.from_numpy(asked))


def make_network(seed: int) -> nn.EmbeddingBag:
    network = nn.EmbeddingBag(LETTERS**3, DIM, mode="sum")
    with torch.no_grad():
        network.weight.copy_(torch.randn(network.weight.shape, generator=torch.Generator().manual_seed(seed)))
    return network


@torch.no_grad()
def class_means(network: nn.Module, data: Names) -> Tensor:
    """Centred means of unit norm, (K, d)."""
    means = torch.cat([network(part).reshape(-1, 2, DIM).mean(1) for part in data.train.split(2**16)])
    return F.normalize(means - means.mean(0))


def fit(data: Names, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], optimizers: list[Any], seed: int,
        epochs: int) -> None:  # fmt: skip
    """Adam over all samples, the learning rate falling to 0 in a cosine."""
    generator = torch.Generator().manual_seed(seed)
    steps, step = epochs * math.ceil(len(data.train) / BATCH), 0
    for _ in range(epochs):
        for index in torch.randperm(len(data.train), generator=generator).split(BATCH):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = 0.005 * (1 + math.cos(math.pi * step / steps))
                optimizer.zero_grad(set_to_none=True)
            loss(network(data.train[index]), index // 2).backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1


def sampled_softmax(table: nn.Embedding, num_classes: int, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy against the own class and classes drawn alike for the batch; a drawn own class counts for nothing.

    Source: Jean et al., "On using very large target vocabulary for neural machine translation", ACL 2015; all classes
    are drawn with one probability, so the correction by it is the same for all and cancels.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(h: Tensor, labels: Tensor) -> Tensor:
        h = F.normalize(h)
        drawn = torch.randint(num_classes, (SAMPLED,), generator=generator)
        own = SCALE * (h * F.normalize(table(labels))).sum(1, keepdim=True)
        others = (SCALE * h @ F.normalize(table(drawn)).T).masked_fill(labels[:, None] == drawn, -torch.inf)
        return F.cross_entropy(torch.cat([own, others], 1), torch.zeros_like(labels))

    return loss


def run(way: str, num_classes: int, seed: int, epochs: int) -> dict[str, float]:
    """Accuracy, bytes, processor seconds and peak memory of one way on one draw."""
    data, network = make_names(num_classes, seed), make_network(seed)
    adam = torch.optim.Adam(network.parameters())
    began, epochs = time.process_time(), epochs * (4 if way.endswith("four times as long") else 1)
    table = 4 * num_classes * DIM
    centre, kept = torch.zeros(DIM), 0
    vectors: Any
    if way.startswith("means"):
        vectors, kept = class_means(network, data), table
        with torch.no_grad():
            centre = torch.cat([network(part) for part in data.train[:20_000].split(2**14)]).mean(0)
        if way == "means fixed, network trained":
            loss = lambda h, y: dot_regression_loss(F.normalize(h - centre), y, vectors)  # noqa: E731 - as below
            fit(data, network, loss, [adam], seed, epochs)
    elif way == "random, unstored":
        vectors = head = ImplicitHead(DIM, num_classes, construction="random", seed=seed)
        loss = lambda h, y: dot_regression_loss(F.normalize(h), torch.arange(len(y)), head.targets(y))  # noqa: E731
        fit(data, network, loss, [adam], seed, epochs)
    else:
        embedding = nn.Embedding(num_classes, DIM, sparse=way != "learned, full softmax")
        with torch.no_grad():
            start = torch.randn(num_classes, DIM, generator=torch.Generator().manual_seed(seed + 1))
            embedding.weight.copy_(class_means(network, data) if "from means" in way else F.normalize(start))
        kept = 3 * table  # and two moments
        if way == "learned, full softmax":
            optimizer: Any = torch.optim.Adam(embedding.parameters())
            loss = lambda h, y: cosine_cross_entropy(h, y, embedding.weight, scale=SCALE)  # noqa: E731
        else:
            optimizer = torch.optim.SparseAdam(list(embedding.parameters()))
            loss = sampled_softmax(embedding, num_classes, seed)
        fit(data, network, loss, [adam, optimizer], seed, epochs)
        vectors = embedding.weight.detach()
    seconds, began = time.process_time() - began, time.process_time()
    with torch.no_grad():
        nearest = nearest_prototypes(network(data.queries) - centre, vectors)[1]
    accuracy = 100 * float((nearest[:, 0] == data.labels).float().mean())
    searched = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "accuracy": accuracy, "bytes": float(kept), "seconds": seconds, "search": searched, "peak": float(peak)
    }  # fmt: skip


def run_alone(way: str, num_classes: int, seed: int) -> dict[str, float]:
    """The same in a process of its own, so that its peak of memory is that of this way."""
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return pool.submit(run, way, num_classes, seed, EPOCHS[num_classes]).result()


def table(results: dict[str, Any]) -> str:
    """Markdown: accuracy, bytes of class vectors with optimiser, seconds of training and of 1,000 searches."""
    heads = (
        "classes",
        "class vectors",
        "found, %",
        "kept, MB",
        "peak, MB",
        "training, s",
        "1,000 searches, s",
        "draws",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for classes, ways in sorted(results["runs"].items(), key=lambda item: int(item[0])):
        for way in (way for way in WAYS if ways.get(way)):
            runs = ways[way]
            values = [r["accuracy"] for r in runs]
            told = ["{:.1f} ± {:.1f}".format(*mean_ci(values)) if len(runs) > 1 else f"{values[0]:.1f}"]
            told += [f"{runs[0]['bytes'] / 1e6:,.1f}", f"{max(r['peak'] for r in runs) / 1e6:,.0f}"]
            told += [f"{np.median([r[key] for r in runs]):.1f}" for key in ("seconds", "search")]
            lines.append(f"| {int(classes):,} | {way} | " + " | ".join((*told, str(len(runs)))) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions huge-k", __doc__)
    parser.add_argument("--classes", nargs="+", type=int, default=list(EPOCHS), choices=EPOCHS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY", help="; ".join(WAYS))
    parser.add_argument("--draws", type=int, default=max(DRAWS.values()), help="at most")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--table", action="store_true", help="show what there is and compute nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results: dict[str, Any] = read_json(options.output) if options.output.exists() else {"runs": {}}
    todo = (
        [] if options.table else sorted(itertools.product(options.classes, options.ways), key=lambda at: at[1] in LONG)
    )
    for classes, way in todo:
        if (classes, way) in LEFT_OUT:
            continue
        runs = results["runs"].setdefault(str(classes), {}).setdefault(way, [])
        for seed in range(len(runs), min(options.draws, 1 if way in LONG else DRAWS[classes])):
            runs.append(run_alone(way, classes, seed))
            write_json(options.output, json_plain({**results, "provenance": provenance()}))
        print(f"{classes}: {way}: {runs}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
