"""From the records of the cells to what is said of them: paired differences, intervals, Holm's correction."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from equiangular._codec import unpack
from equiangular._files import read_json
from equiangular.measures import holm, mean_ci
from equiangular.measures.crossed import CrossedDifference, crossed_difference
from experiments.pretrained.arms import CELLS, COMPUTED, NAMED_RIVAL, RIVALS, WIDE, missing

Record = dict[str, Any]
SUMMARY = "summary.json"
LEVEL = 0.05
# An arm of either side, with BEST for fixed names (texts) or class means (else).
BEST = "BEST"
CONTRASTS = {
    "direction, fixed: names or means against random": ("fixed BEST | residual | LA", "fixed random | residual | LA"),
    "direction, learned on: the same starts": ("learned BEST | residual | LA", "learned random | residual | LA"),
    "direction, learned without a map": ("learned BEST | none | LA", "learned random | none | LA"),
    "simplex against random, fixed": ("fixed simplex | residual | LA", "fixed random | residual | LA"),
    "names against means, fixed": ("fixed names | residual | LA", "fixed means | residual | LA"),
    "one exemplar against means, fixed": ("fixed exemplar | residual | LA", "fixed means | residual | LA"),
    "fixed against learned on, same start": ("fixed BEST | residual | LA", "learned BEST | residual | LA"),
    "fixed against learned, both from random": ("fixed random | residual | LA", "learned random | residual | LA"),
    "the map moves against the vectors move": ("fixed BEST | residual | LA", "learned BEST | none | LA"),
    "identity start: residual against linear, fixed": ("fixed BEST | residual | LA", "fixed BEST | linear | LA"),
    "identity start, learned from random": ("learned random | residual | LA", "learned random | linear | LA"),
    "trained map against none, fixed": ("fixed BEST | residual | LA", "fixed BEST | none | LA"),
    "BatchNorm against residual, fixed": ("fixed BEST | BatchNorm | LA", "fixed BEST | residual | LA"),
    "prior: out of CE afterwards": ("fixed BEST | residual | CE, prior out", "fixed BEST | residual | CE"),
    "prior: LA against CE": ("fixed BEST | residual | LA", "fixed BEST | residual | CE"),
    "prior: LA against out afterwards": ("fixed BEST | residual | LA", "fixed BEST | residual | CE, prior out"),
    "prior: out of logistic regression": (RIVALS[1], RIVALS[0]),
    "DR against LA": ("fixed BEST | residual | DR, balanced", "fixed BEST | residual | LA"),
    "exact ridge against LA": ("fixed BEST | residual | ridge, balanced", "fixed BEST | residual | LA"),
    "fixed head against logistic regression": ("fixed BEST | residual | LA", RIVALS[1]),
    "learned on from names or means, no map, against it": ("learned BEST | none | LA", RIVALS[1]),
    "closed-form kernel against it": (COMPUTED[0], RIVALS[1]),
    "kernel + names against it + names": (COMPUTED[1], NAMED_RIVAL),
    "names as samples of logistic regression": (NAMED_RIVAL, RIVALS[1]),
    "all dimensions against 128": (WIDE, RIVALS[1]),
}


def read_records(folder: Path) -> list[Record]:
    """The records of a folder, in the order of the cells; without those that are not done."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != SUMMARY]
    found = {record["cell"]: record for record in map(read_json, paths)}
    done = [cell.name for cell in CELLS if cell.name in found and not missing(cell, found[cell.name])]
    return [found[name] for name in dict.fromkeys(done)]


def data_set(record: Record) -> str:
    """The set of a record; another encoding of a table is none of its own."""
    return str(record["set"]).partition(",")[0]


@cache
def _hits(packed: tuple[str, ...], number: int) -> np.ndarray:
    return np.array([unpack(text, number) for text in packed])


def hits(record: Record, arm: str) -> np.ndarray:
    """(draws, M) whether each test sample was classified right."""
    return _hits(tuple(record["arms"][arm]["correct"]), sum(record["tested"]))


def labels(record: Record) -> np.ndarray:
    """(M,) classes of the test samples."""
    return np.repeat(np.arange(len(record["tested"])), record["tested"])


def difference(pairs: list[tuple[Record, str, str]]) -> CrossedDifference:
    """Arm a less arm b over cells of one set: draws of all cells are runs, and their test part is one."""
    first = [hits(record, a) for record, a, _ in pairs]
    second = [hits(record, b) for record, _, b in pairs]
    return crossed_difference(np.concatenate(first), np.concatenate(second), labels(pairs[0][0]))


def is_fixed(arm: str) -> bool:
    """Whether class vectors stay where they are: the closed form's targets are a simplex."""
    return arm.startswith("fixed") or arm in COMPUTED


def is_head(arm: str) -> bool:
    """Whether it is a head of fixed class vectors, without a kernel."""
    return arm.startswith("fixed")


def is_ordinary(arm: str) -> bool:
    """Whether it is learned and told no place to start at: what one would take without this library."""
    return arm.startswith("learned random") or arm in (*RIVALS, WIDE)


def is_learned(arm: str) -> bool:
    """Whether it is learned, wherever it starts and whatever it is told."""
    return not is_fixed(arm)


def counts_classes_alike(arm: str) -> bool:
    """Whether the training prior is out of its predictions, as the measure wants it."""
    return arm != RIVALS[0] and not arm.endswith(("| CE", "| DR", "| ridge"))


def chosen(record: Record, which: Callable[[str], bool]) -> str:
    """Of some arms the one of the least held-out loss.

    Only what counts classes alike may be chosen: the lone sample of a class is never held out, so that what forgets it
    looks well. Of names only what they are.
    """
    allowed = [arm for arm in record["arms"] if which(arm) and "names:" not in arm and counts_classes_alike(arm)]
    return min(allowed, key=lambda arm: float(record["arms"][arm]["held_out_loss"]))


def told(result: CrossedDifference) -> Record:
    """What of a difference is kept."""
    return {
        "mean": result.mean_difference, "low": result.low, "high": result.high, "run_low": result.run_low,
        "run_high": result.run_high, "p": result.p_value,
    }  # fmt: skip


def corrected(rows: list[Record]) -> list[Record]:
    """The same with Holm's p-values over all of them."""
    return [{**row, "holm": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]


DUELS: dict[str, tuple[Callable[[str], bool], Callable[[str], bool]]] = {
    "fixed − ordinary": (is_fixed, is_ordinary),
    "fixed − any learned": (is_fixed, is_learned),
    "fixed head − ordinary": (is_head, is_ordinary),
    "fixed head − any learned": (is_head, is_learned),
}


def duels(records: list[Record], own: Callable[[str], bool], rival: Callable[[str], bool]) -> Record:
    """One of some arms, chosen by held-out loss, against a rival chosen so: by cell, and by set over its cells."""
    cells, pairs = [], []
    for record in records:
        a, b = chosen(record, own), chosen(record, rival)
        pairs.append((record, a, b))
        accuracy = mean_ci(record["arms"][b]["balanced_accuracy"])
        row = {"cell": record["cell"], "set": data_set(record), "fixed": a, "rival": b, "rival_accuracy": accuracy}
        cells.append(row | told(difference([(record, a, b)])))
    sets = [
        {"set": name, "cells": len(ours), **told(difference(ours))}
        for name in dict.fromkeys(data_set(r) for r in records)
        for ours in [[pair for pair in pairs if data_set(pair[0]) == name]]
    ]
    return {"cells": corrected(cells), "sets": corrected(sets)}


def contrast(records: list[Record], a: str, b: str) -> Record | None:
    """One level against another: by cell, Holm over cells, and the mean over sets with its interval."""
    rows = []
    for record in records:
        best = "names" if record["kind"] == "text" else "means"
        own = (a.replace(BEST, best), b.replace(BEST, best))
        if own[0] != own[1] and set(own) <= set(record["arms"]):
            rows.append({"cell": record["cell"], "set": data_set(record), "kind": record["kind"],
                         "one": record["largest"] == 1, "level": record["largest"] == record["smallest"],
                         **told(difference([(record, *own)]))})  # fmt: skip
    if not rows:
        return None
    rows = corrected(rows)
    return {"cells": rows, **over_sets(rows)}


def over_sets(rows: list[Record]) -> Record:
    """Mean over sets of the means over their cells, and its interval; how many cells differ after Holm."""
    ordered = sorted(rows, key=lambda row: str(row["set"]))
    means = [float(np.mean([row["mean"] for row in own])) for _, own in groupby(ordered, lambda row: row["set"])]
    mean, half = mean_ci(means)
    return {
        "mean": mean, "half": half, "sets": len(means), "count": len(rows),
        "better": sum(row["holm"] < LEVEL and row["mean"] > 0 for row in rows),
        "worse": sum(row["holm"] < LEVEL and row["mean"] < 0 for row in rows),
    }  # fmt: skip


def summarise(records: list[Record]) -> Record:
    """All that tables and figures show."""
    contrasts = {name: contrast(records, a, b) for name, (a, b) in CONTRASTS.items()}
    return {
        "cells": [{key: value for key, value in r.items() if key not in ("arms", "provenance", "checksum", "tested")}
                  | {"tested": sum(r["tested"]), "arms": len(r["arms"])} for r in records],
        "duels": {name: duels(records, own, rival) for name, (own, rival) in DUELS.items()},
        "contrasts": {name: found for name, found in contrasts.items() if found},
        "accuracy": {
            r["cell"]: {arm: mean_ci(v["balanced_accuracy"]) for arm, v in r["arms"].items()} for r in records
        },
    }  # fmt: skip
