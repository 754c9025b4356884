"""Tables of the documents from their records: of the studies, of digits, of the command ``compare``."""

from __future__ import annotations

from functools import cache
from typing import Any

from equiangular._files import read_json
from experiments.common import QUESTIONS, RESULTS
from experiments.studies.across import summarise_across
from experiments.studies.compact import read_studies
from experiments.studies.data_sets import data_sets
from experiments.studies.summary import CONTRASTS

BANKING = QUESTIONS / "compare_banking77.json"
# A cell of a study -> what docs/evidence.md calls it.
OF_TEXTS = {
    "means/normalised/scaled-ce/la/none": "class means, fixed, normalised, logit adjustment (the recipe)",
    "means/free/scaled-ce/la/none": "class means, fixed, free features, logit adjustment",
    "learnable-means/normalised/scaled-ce/la/none":
        "learned cosine that starts at the class means, logit adjustment",
    "learnable/normalised/scaled-ce/la/none": "learned cosine, logit adjustment",
    "learnable/free/scaled-ce/la/none": "learned linear, logit adjustment",
    "etf-mapped/free/scaled-ce/la/none": "ETF behind BatchNorm and a map, logit adjustment",
    "etf/normalised/scaled-ce/la/none": "ETF, normalised, logit adjustment",
}  # fmt: skip
OF_PAPER = {
    "learnable/free/ce/none": ("learnable linear + CE, truly learned", "72.8 (MiSLAS), 70.2 (arXiv 2605.20302)"),
    "etf/normalised/dr/none": (
        "ETF + DR, the formula of the paper", "71.3 (arXiv 2605.20302, balance not stated)",
    ),
    "etf/normalised/dr/batch": ("ETF + DR, balanced within the batch as the released code does", ""),
}  # fmt: skip
LEVELS = {
    "la": "logit adjustment", "pc": "prior correction afterwards", "vs": "vector scaling", "batch": "in-batch balance",
    "etf": "ETF", "etf-grouped": "grouped ETF", "etf-canonical": "canonical ETF", "random": "frozen random",
    "etf-mapped": "ETF behind BatchNorm and a map", "etf-projected": "behind a map and BatchNorm",
    "etf-rotated": "learned rotation", "means": "class means", "learnable-means": "learned from the class means on",
    "dr": "DR", "dot": "dot loss", "ce": "CE at scale 1",
}  # fmt: skip
# Row -> factor, and its levels in the order in which the row has them.
EFFECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "correction, against none": ("correction", ("la", "pc", "vs", "batch")),
    "features left free, against normalised": ("features", ("free",)),
    "mixup, against none": ("mix", ("mixup",)),
    "head, against learnable": ("head", ("etf", "etf-grouped", "etf-canonical", "random")),
    "head, against learnable: ": ("head", ("etf-mapped", "etf-projected", "etf-rotated")),
    "head, against learnable, texts": ("head", ("means", "learnable-means")),
    "head, against learnable, more classes than dimensions: spread frame": ("head", ("spread-frame",)),
    "loss, against scaled cross-entropy": ("loss", ("dr", "dot", "ce")),
}


def rows_of(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table as the documents have it."""
    lines = [f"| {' | '.join(row)} |".replace("  |", " |") for row in (heads, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(heads)}", *lines[1:]])


def pm(entry: dict[str, Any], key: str = "ci95") -> str:
    """A mean with its half-width."""
    return f"{entry['mean']:.1f} ± {entry[key]:.1f}"


def signed(text: str) -> str:
    """With true minus signs."""
    return text.replace("-", "−")


@cache
def across() -> dict[str, Any]:
    """The summary of all studies."""
    return summarise_across(read_studies([RESULTS / "studies"]))


def _interval(test: dict[str, Any]) -> str:
    return signed(f"{test['mean_difference']:+.1f} [{test['ci_low']:+.1f}, {test['ci_high']:+.1f}]")


def _half(mean: dict[str, Any]) -> str:
    return signed(f"{mean['mean_difference']:+.1f} ± {mean['ci95']:.1f}")


def verdicts() -> str:
    """Fixed against learnable: every contrast over all data sets."""
    rows = []
    for found in across()["verdicts"]:
        name = CONTRASTS[found["contrast"]]
        counts = " / ".join(str(found[word]) for word in ("better", "level", "worse", "cannot tell"))
        certain = f"{found['better_holm']} better, {found['worse_holm']} worse"
        rows.append((
            f"**{name}**" if found["contrast"] == "bare" else name, _interval(found), found["verdict"], counts,
            certain, _half(found["over_data"]),
        ))  # fmt: skip
    sets = across()["verdicts"][0]
    heads = (f"points, {sets['n']} data sets", "the mean is", "better / level / worse / cannot tell", "after Holm")
    return rows_of(("contrast", *heads, f"points, {sets['over_data']['n']} data"), rows)


def effects() -> str:
    """The effect of every factor; without an interval where two data sets give it, the number of sets where few."""
    found = {(e["factor"], e["level"]): e["overall"] for e in across()["effects"]}
    all_sets = max(mean["n"] for mean in found.values())
    rows = []
    for name, (factor, levels) in EFFECTS.items():
        told = []
        for level in levels:
            mean = found[factor, level]
            text = _half(mean) if mean["n"] > 2 else _half(mean).partition(" ±")[0]
            told.append(text + f" ({mean['n']} data sets)" * (mean["n"] < all_sets))
        named = " / ".join(LEVELS[level] for level in levels if level in LEVELS)
        rows.append((f"{name.removesuffix(': ')}: {named}" if named else name, " / ".join(told)))
    return rows_of(("factor", "points"), rows)


def recipe() -> str:
    """The recipe against linear + CE at imbalance 100."""
    names = {"digits": "digits", "letter": "letter", "cifar10-lt": "CIFAR-10-LT", "cifar100-lt": "CIFAR-100-LT"}
    found = {c["data_set"]: c for c in across()["contrasts"] if c["contrast"] == "recipe-linear"}
    rows = []
    for name, shown in names.items():
        one = found[f"{name}, imbalance 100"]
        both = one["scores"]["balanced_accuracy"]
        rows.append((shown, f"{both['learnable']:.1f}", f"{both['fixed']:.1f}", _interval(one)))
    return rows_of(("data set", "linear + CE", "recipe", "difference"), rows)


def texts() -> str:
    """Heads on TF-IDF features of texts."""
    kept = {one["name"]: one["table"] for one in data_sets(read_studies([RESULTS / "studies"]))[0]}
    sets = ("banking77", "clinc150")
    rows = [(label, *(pm(kept[name][cell]["balanced_accuracy"]) for name in sets)) for cell, label in OF_TEXTS.items()]
    return rows_of(("test, balanced accuracy", *sets), rows)


def paper() -> str:
    """The paper's own comparison on CIFAR-10-LT, without and with mixup."""
    table = read_json(RESULTS / "studies" / "paper-cifar10_imbalance100.json")["parts"][0]["table"]
    rows = [
        (label, *(pm(table[f"{cell}/{mix}"]["balanced_accuracy"]) for mix in ("none", "mixup")), published)
        for cell, (label, published) in OF_PAPER.items()
    ]
    return rows_of(("", "no mixup", "mixup", "published, 200 epochs, mixup"), rows)


def digits() -> str:
    """The main job; bold what validation chose on either side."""
    results = read_json(RESULTS / "digits.json")
    best = {side: max((row for row in results["rows"] if row["kind"] == side),
                      key=lambda row: row["measures"]["balanced_accuracy"]["mean"])["method"]
            for side in ("fixed", "learned")}  # fmt: skip
    rows = []
    for row in results["rows"]:
        own = row["measures"]
        accuracy = pm(own["balanced_accuracy"])
        label = row["label"] + " (nothing tuned)" * (row["method"] == "recommended")
        learned = f"{own['head_parameters']['mean']:.0f}"
        rows.append((
            label, row["kind"], f"**{accuracy}**" if row["method"] in best.values() else accuracy, pm(own["few"]),
            pm(own["ece"]), f"{own['nc1']['mean']:.3f}", learned,
        ))  # fmt: skip
    heads = ("method", "class vectors", "balanced accuracy, %", "few-shot, %", "ECE, %", "NC1", "learned numbers")
    return rows_of(heads, rows)


def banking() -> str:
    """``equiangular compare`` on texts, at three imbalances; what a classifier keeps at the last."""
    cuts = read_json(BANKING)["cuts"]
    found = [{row["method"]: row for row in cut["rows"]} for cut in cuts.values()]
    rows = []
    for method, row in found[0].items():
        told = [pm(cut[method]["balanced_accuracy"]) if method in cut else "" for cut in found]
        kept = found[-1].get(method, {}).get("numbers_kept")
        rows.append((row["label"], *told, f"{kept:,}" if kept else ""))
    first, *rest = cuts
    return rows_of(("classifier", f"imbalance {first}", *rest, f"numbers kept at imbalance {rest[-1]}"), rows)
