"""What only an unlearned head can do: federated rounds, averaging, one exact round, forgetting. Measured.

    EQUIANGULAR_DATA=DIR python -m experiments questions unlearned [PART ...] [--draws N] [--output FILE] [--table]

- ``federated``: ten clients, classes drawn to clients from a Dirichlet distribution; each round every client trains
  one pass from the server's network (a layer of 128 units to 64 features, or as many as classes), the server averages
  by sample counts. Heads: learned linear, learned cosine at scale 16, or an ETF at scale 16 that every client makes
  from a seed; cross-entropy, or logit-adjusted by the client's own counts plus 1. Learning rate: best after the last
  round on a fifth of the training pool, seed 1000, at Dirichlet 0.1. Beside them Gaussians from merged class moments,
  one round. Accuracy on the test part by round, bytes both ways.
- ``averaging``: two networks trained apart on halves of the data; the mean of their weights, and the mean of their
  features under one classifier. From one start or two; with a hidden layer or with a linear map alone; learned linear
  or cosine head, or one ETF. The angle between their features of the test part, as they are and after the best
  rotation.
- ``exact``: closed forms merged from ten clients against the pooled fit, and after removing samples and a class
  against a fit without them. Largest difference over the largest size: of the class vectors at a given regularisation,
  and of the logits where leave-one-out on the kept samples chooses anew. Decisions on the test part that differ then,
  and processor seconds.

Data: digits and MiniLM features of banking77 (20 samples a class where networks are trained). Five draws, mean and 95 %
CI. Finished draws are kept.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._files import json_plain, read_json, write_json
from equiangular._provenance import provenance
from equiangular._validate import check_choice
from equiangular.closed_form import ClosedForm, Kind
from equiangular.data import load_dataset
from equiangular.heads import CosineHead, ETFHead, Head, LinearHead
from equiangular.longtail import holdout_indices
from equiangular.longtail.cut import draw_by_class
from equiangular.measures import holm, mean_ci, paired_comparison
from experiments.common import QUESTIONS, command_parser
from experiments.questions.features import features
from experiments.questions.plain_loop import as_inputs, train

OUTPUT = QUESTIONS / "unlearned.json"
PARTS = ("federated", "averaging", "exact")
SETS = ("digits", "banking77")
CLIENTS, HIDDEN, DIM, SCALE, TUNING, EACH = 10, 128, 64, 16.0, 1000, 20
SKEWS = (0.01, 0.1, 1.0)
ROUNDS = (1, 2, 5, 10)
HEADS = ("linear", "cosine", "ETF")
ROWS = tuple(f"{head}, {loss}" for head in HEADS for loss in ("CE", "LA"))
ONE_ROUND = "Gaussians, one round"
RATES = (0.02, 0.1, 0.5, 2.0)
GIVEN: dict[Kind, Any] = {"class-means": "loo", "gaussian": 0.1, "ridge": 1.0}  # regularisation
STARTS, BODIES = ("one", "two"), ("hidden layer", "linear map")


class Data(NamedTuple):
    """Rows and labels to train on, and to test on."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


@cache
def pool(name: str) -> Data:
    """Standardised pixels of digits, or frozen features."""
    if name == "digits":
        data = load_dataset(name)
        x, mean, std = as_inputs(data.train_x.flatten(1).float())  # type: ignore[union-attr]
        test_x = as_inputs(data.test_x.flatten(1).float(), mean, std)[0]  # type: ignore[union-attr]
        return Data(x, data.train_y, test_x, data.test_y)
    part = features(name)
    x, test_x = (torch.from_numpy(rows) * rows.shape[1] ** 0.5 for rows in (part.x, part.test_x))
    return Data(x, torch.from_numpy(part.y), test_x, torch.from_numpy(part.test_y))


@cache
def small(name: str) -> Data:
    """At most :data:`EACH` training samples a class: what networks are trained on."""
    data = pool(name)
    if len(data.y) > EACH * data.classes and name != "digits":
        index = torch.from_numpy(draw_by_class(data.y.numpy(), [EACH] * data.classes, 0))
        return data._replace(x=data.x[index], y=data.y[index])
    return data


def without_fifth(data: Data) -> Data:
    """For tuning: a fifth of the training pool in place of the test part."""
    held = torch.zeros(len(data.y), dtype=torch.bool)
    held[torch.from_numpy(holdout_indices(data.y.numpy(), 0.2, seed=TUNING))] = True
    return Data(data.x[~held], data.y[~held], data.x[held], data.y[held])


def spread_out(y: Tensor, skew: float, seed: int) -> list[Tensor]:
    """Indices of each client: every class is cut by shares drawn from a symmetric Dirichlet distribution."""
    generator = np.random.default_rng([seed, 11])
    own: list[list[np.ndarray]] = [[] for _ in range(CLIENTS)]
    for k in range(int(y.max()) + 1):
        index = generator.permutation(np.flatnonzero(y.numpy() == k))
        ends = np.round(np.cumsum(generator.dirichlet([skew] * CLIENTS)) * len(index)).astype(int)[:-1]
        for client, part in zip(own, np.split(index, ends), strict=True):
            client.append(part)
    return [torch.from_numpy(np.concatenate(parts)) for parts in own]


def make_network(data: Data, head: str, body: str, seed: int) -> nn.Sequential:
    """Features by a hidden layer or a linear map, and a head; an ETF is the same whatever the seed."""
    d, width = data.x.shape[1], max(DIM, data.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Linear(d, width)]
        if body == "hidden layer":
            layers = [nn.Linear(d, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width)]
    fixed = head == "ETF"
    made: Head = LinearHead(width, data.classes, seed=seed)
    if head != "linear":
        made = (ETFHead if fixed else CosineHead)(width, data.classes, scale=SCALE, seed=0 if fixed else seed)
    return nn.Sequential(nn.Sequential(*layers), made)


def accuracy(network: Callable[[Tensor], Tensor], data: Data) -> float:
    with torch.no_grad():
        return 100 * float((network(data.test_x).argmax(1) == data.test_y).float().mean())


def mean_network(networks: Sequence[nn.Module], weights: Sequence[float]) -> nn.Module:
    """The weighted mean of all parameters; buffers, such as a fixed frame, are the first one's."""
    result = copy.deepcopy(networks[0])
    with torch.no_grad():
        for name, value in result.named_parameters():
            parts = [dict(network.named_parameters())[name] * w for network, w in zip(networks, weights, strict=True)]
            value.copy_(torch.stack(parts).sum(0) / sum(weights))
    return result


def sent(network: nn.Module) -> int:
    """Bytes of what is learned, float32."""
    return 4 * sum(p.numel() for p in network.parameters() if p.requires_grad)


def rounds(data: Data, row: str, skew: float, seed: int, rate: float) -> dict[str, float]:
    """Accuracy after each of :data:`ROUNDS`."""
    head, loss = row.split(", ")
    server: nn.Module = make_network(data, head, "hidden layer", seed)
    parts = [index for index in spread_out(data.y, skew, seed) if len(index)]
    found = {}
    for number in range(1, ROUNDS[-1] + 1):
        clients = []
        for client, index in enumerate(parts):
            network = copy.deepcopy(server)
            shift = torch.zeros(data.classes)
            if loss == "LA":
                shift = (1 + data.y[index].bincount(minlength=data.classes).float()).log()
            optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], rate, momentum=0.9)
            generator = torch.Generator().manual_seed(10**6 * seed + 1000 * number + client)
            for batch in index[torch.randperm(len(index), generator=generator)].split(64):
                value = F.cross_entropy(network(data.x[batch]) + shift, data.y[batch])
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
            clients.append(network)
        server = mean_network(clients, [len(index) for index in parts])
        if number in ROUNDS:
            found[str(number)] = accuracy(server, data)
    return found | {"bytes": float(2 * CLIENTS * sent(server))}


def one_round(data: Data, skew: float, seed: int) -> dict[str, float]:
    """Gaussians from the clients' moments: what is sent is counts, means and one scatter, float64, once."""
    merged = ClosedForm(data.x.shape[1], data.classes, kind="gaussian")
    for index in spread_out(data.y, skew, seed):
        if len(index):
            client = ClosedForm(data.x.shape[1], data.classes, kind="gaussian").update(data.x[index], data.y[index])
            merged.merge(client)
    d, kept = data.x.shape[1], merged.seen.sketch  # type: ignore[union-attr]
    moments = 8 * (data.classes * (d + 1) + d * (d + 1) // 2) * CLIENTS
    solution = merged.solve()
    return {
        "1": accuracy(lambda x: solution.logits(x), data),
        "bytes": float(moments),
        "sketch": float(kept.rows.nbytes),
    }


def federated(results: dict[str, Any], draws: int, save: Callable[[], None]) -> None:
    """Fill in the part."""
    for name in SETS:
        kept = results.setdefault(name, {"tuned": {}, "runs": {}})
        for row in ROWS:
            if row not in kept["tuned"]:
                scores = [rounds(without_fifth(small(name)), row, 0.1, TUNING, rate)[str(ROUNDS[-1])] for rate in RATES]
                kept["tuned"][row] = RATES[int(np.argmax(scores))]
                save()
        for skew in SKEWS:
            for row in (*ROWS, ONE_ROUND):
                runs = kept["runs"].setdefault(str(skew), {}).setdefault(row, [])
                for seed in range(len(runs), draws):
                    made = (
                        rounds(small(name), row, skew, seed, kept["tuned"][row])
                        if row in ROWS
                        else one_round(small(name), skew, seed)
                    )
                    runs.append(made)
                    save()
                print(
                    f"{name}, Dirichlet {skew:g}, {row}: {[round(r.get(str(ROUNDS[-1]), r['1']), 1) for r in runs]}",
                    flush=True,
                )


def angles(a: Tensor, b: Tensor) -> dict[str, float]:
    """Mean angle in degrees between rows of unit norm, as they are and after the best rotation of the second."""
    a, b = F.normalize(a.double()), F.normalize(b.double())
    left, _, right = torch.linalg.svd(b.T @ a, full_matrices=False)

    def mean_angle(c: Tensor) -> float:
        return float(torch.rad2deg((a * c).sum(1).clamp(-1, 1).acos()).mean())

    return {"angle": mean_angle(b), "rotated": mean_angle(F.normalize(b @ left @ right))}


def apart(data: Data, head: str, body: str, start: str, seed: int) -> dict[str, float]:
    """Two networks, each trained on its half."""
    halves = torch.randperm(len(data.y), generator=torch.Generator().manual_seed(seed)).chunk(2)
    networks = [make_network(data, head, body, seed if start == "one" else 2 * seed + 1 + i) for i in range(2)]
    for i, (network, index) in enumerate(zip(networks, halves, strict=True)):
        train(network, lambda x, y, n=network: F.cross_entropy(n(x), y), data.x[index], data.y[index],
              seed=2 * seed + i, epochs=10, learning_rate=0.05, batch_size=64)  # fmt: skip
    with torch.no_grad():
        h = [network[0](data.test_x) for network in networks]
    unit = [part if head == "linear" else F.normalize(part) for part in h]
    together = networks[0][1].logits_from_features((unit[0] + unit[1]) / 2)
    found = {
        "alone": (accuracy(networks[0], data) + accuracy(networks[1], data)) / 2,
        "weights averaged": accuracy(mean_network(networks, [1, 1]), data),
        "features averaged": 100 * float((together.argmax(1) == data.test_y).float().mean()),
        "logits averaged": accuracy(lambda x: networks[0](x).softmax(1) + networks[1](x).softmax(1), data),
    }
    return found | angles(*h)


def averaging(results: dict[str, Any], draws: int, save: Callable[[], None]) -> None:
    """Fill in the part."""
    for name in SETS:
        for body in BODIES:
            for start in STARTS:
                for head in HEADS:
                    runs = results.setdefault(name, {}).setdefault(f"{body}, {start}, {head}", [])
                    for seed in range(len(runs), draws):
                        runs.append(apart(small(name), head, body, start, seed))
                        save()
                    told = {key: round(float(np.mean([r[key] for r in runs])), 1) for key in runs[0]}
                    print(f"{name}, {body}, {start} start(s), {head}: {told}", flush=True)


def gap(one: ClosedForm, other: ClosedForm, x: Tensor) -> dict[str, float]:
    """How far two closed forms are from each other, see the top."""

    def relative(a: Tensor, b: Tensor) -> float:
        return float((a - b).abs().max() / b.abs().max())

    a, b = (torch.nan_to_num(model.solve().logits(x), neginf=0.0) for model in (one, other))
    decisions = (a.argmax(1) != b.argmax(1)).sum()
    given = []
    for model in (one, other):
        same = copy.copy(model)
        same.regularization, same._solution = GIVEN[model.kind], None
        given.append(same.solve().weight)
    return {"vectors": relative(*given), "logits": relative(a, b), "decisions": float(decisions)}


def fitted(data: Data, kind: Kind, index: Tensor) -> tuple[ClosedForm, float]:
    """A closed form of some samples, solved, and processor seconds."""
    began = time.process_time()
    model = ClosedForm(data.x.shape[1], data.classes, kind=kind)
    model.update(data.x[index], data.y[index]).solve()
    return model, time.process_time() - began


def forgetting(data: Data, kind: Kind, gone: Tensor) -> dict[str, float]:
    """Remove samples from a fit of all; against a fit without them."""
    model, _ = fitted(data, kind, torch.arange(len(data.y)))
    began = time.process_time()
    model.remove(data.x[gone], data.y[gone])
    removal = time.process_time() - began
    model.solve()
    solved = time.process_time() - began
    kept = torch.ones(len(data.y), dtype=torch.bool).index_fill(0, gone, False)
    again, refit = fitted(data, kind, torch.nonzero(kept)[:, 0])
    return gap(model, again, data.test_x) | {"removal": removal, "removal, solved": solved, "refit, solved": refit}


def exact(results: dict[str, Any], draws: int, save: Callable[[], None]) -> None:
    """Fill in the part."""
    for name in SETS:
        data = pool(name)
        for kind in GIVEN:
            rows = results.setdefault(name, {}).setdefault(kind, {})
            merged = rows.setdefault("ten clients", [])
            for seed in range(len(merged), draws):
                server = ClosedForm(data.x.shape[1], data.classes, kind=kind)
                for index in spread_out(data.y, 0.1, seed):
                    if len(index):
                        client = ClosedForm(data.x.shape[1], data.classes, kind=kind)
                        server.merge(client.update(data.x[index], data.y[index]))
                merged.append(gap(server, fitted(data, kind, torch.arange(len(data.y)))[0], data.test_x))
            for what in ("one sample", "a hundred samples", "a class"):
                runs = rows.setdefault(what, [])
                for seed in range(len(runs), draws):
                    order = torch.randperm(len(data.y), generator=torch.Generator().manual_seed(seed))
                    gone = order[:1] if what == "one sample" else order[:100]
                    if what == "a class":
                        gone = torch.nonzero(data.y == data.y[order[0]])[:, 0]
                    runs.append(forgetting(data, kind, gone))
                told = {key: f"{np.mean([r[key] for r in runs]):.2g}" for key in runs[0]}
                print(f"{name}, {kind}: {what}: {told}", flush=True)
            save()


def cell(values: Sequence[float], digits: int = 1) -> str:
    """Mean and half-width."""
    return "{:.{d}f} ± {:.{d}f}".format(*mean_ci(values), d=digits) if len(values) > 1 else ""


def federated_table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| data, Dirichlet | head, loss | " + " | ".join(f"round {r}" for r in ROUNDS) + " | MB a round |"]
    lines.append("|---" * (len(ROUNDS) + 3) + "|")
    for name, kept in results.items():
        for skew, rows in kept["runs"].items():
            for row in (row for row in (*ROWS, ONE_ROUND) if row in rows):
                runs = rows[row]
                told = [cell([r[str(n)] for r in runs]) if runs and str(n) in runs[0] else "" for n in ROUNDS]
                size = f"{runs[0]['bytes'] / 1e6:.2f}" if runs else ""
                lines.append(f"| {name}, {skew} | {row} | " + " | ".join(told) + f" | {size} |")
    return "\n".join(lines)


def frame_table(results: dict[str, Any]) -> str:
    """Markdown: the ETF less the learned heads after the last round, paired, and p after Holm's correction over all."""
    tests = {}
    for name, kept in results.items():
        for skew, rows in kept["runs"].items():
            for row in (row for row in ROWS if not row.startswith("ETF")):
                pair = [rows.get(r, []) for r in (f"ETF, {row.split(', ')[1]}", row)]
                if min(map(len, pair)) > 1:
                    values = [[run[str(ROUNDS[-1])] for run in runs] for runs in pair]
                    tests[f"{name}, {skew}", row] = paired_comparison(*values)
    corrected = dict(zip(tests, holm([test.p_value for test in tests.values()]), strict=True))
    rivals = [row for row in ROWS if not row.startswith("ETF")]
    lines = ["| ETF, the same loss, less | " + " | ".join(rivals) + " |", "|---" * (len(rivals) + 1) + "|"]
    for cut in dict.fromkeys(key for key, _ in tests):
        told = []
        for test, p in (
            (tests[cut, row], corrected[cut, row]) if (cut, row) in tests else (None, 1.0) for row in rivals
        ):
            interval = "" if test is None else f"{test.mean_difference:+.1f} [{test.ci_low:+.1f}, {test.ci_high:+.1f}]"
            told.append(interval.replace("-", "−") + (f", p {p:.2g}" if test is not None else ""))
        lines.append(f"| {cut} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def averaging_table(results: dict[str, Any]) -> str:
    """Markdown."""
    keys = ("alone", "weights averaged", "features averaged", "logits averaged", "angle", "rotated")
    lines = ["| data | body, starts, head | " + " | ".join(keys) + " |", "|---" * (len(keys) + 2) + "|"]
    for name, rows in results.items():
        for row in (f"{body}, {start}, {head}" for body in BODIES for start in STARTS for head in HEADS):
            if row in rows:
                told = [cell([r[key] for r in rows[row]]) for key in keys]
                lines.append(f"| {name} | {row} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def exact_table(results: dict[str, Any]) -> str:
    """Markdown: the largest gaps over the draws, medians of seconds."""
    timed = ("removal", "removal, solved", "refit, solved")
    lines = ["| data | closed form | what | class vectors | logits | other decisions | " + " | ".join(timed) + " |"]
    lines.append("|---" * (6 + len(timed)) + "|")
    for name, kinds in results.items():
        for kind, rows in kinds.items():
            for what, runs in rows.items():
                seconds = [f"{np.median([r[t] for r in runs]):.4f} s" if t in runs[0] else "" for t in timed]
                worst = [max(r[key] for r in runs) for key in ("vectors", "logits", "decisions")]
                told = [f"{worst[0]:.0e}", f"{worst[1]:.0e}", f"{worst[2]:.0f}"]
                lines.append(f"| {name} | {kind} | {what} | " + " | ".join((*told, *seconds)) + " |")
    return "\n".join(lines)


def table(results: dict[str, Any]) -> str:
    """Markdown of all parts."""
    makers = (("federated", federated_table), ("federated", frame_table), ("averaging", averaging_table))
    return "\n\n".join(make(results[part]) for part, make in (*makers, ("exact", exact_table)) if results.get(part))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions unlearned", __doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--table", action="store_true", help="show what there is and compute nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results: dict[str, Any] = read_json(options.output) if options.output.exists() else {}

    def save() -> None:
        write_json(options.output, json_plain({**results, "provenance": provenance()}))

    chosen = [check_choice(part, PARTS, "part") for part in options.parts] or PARTS
    for part in () if options.table else chosen:
        {"federated": federated, "averaging": averaging, "exact": exact}[part](
            results.setdefault(part, {}), options.draws, save
        )
        save()
    print(table(results))


if __name__ == "__main__":
    main()
