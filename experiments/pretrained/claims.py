"""What docs/pretrained.md says in words: every phrase with a figure, made of the records.

A test looks for each phrase on the page, and on the page for figures that are in none of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.pretrained.arms import COMPUTED, NAMED_RIVAL, RIVALS, VARIANTS
from experiments.pretrained.summary import LEVEL
from experiments.pretrained.tables import interval, signed

Summary = dict[str, Any]
ALONE, FIXED, ON = (f"{way} names | {map_} | LA" for way, map_ in (("fixed", "none"), ("fixed", "residual"),
                                                                 ("learned", "residual")))  # fmt: skip
FEW, FIVE = "banking77 1 each", "banking77 5 each"


class Said:
    """Figures of a summary, as sentences have them."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.contrasts = summary["contrasts"]

    def mean(self, contrast: str) -> str:
        """Mean over sets and its half-width."""
        return f"{signed(self.contrasts[contrast]['mean'])} ± {self.contrasts[contrast]['half']:.1f}"

    def cuts(self, contrast: str) -> str:
        """How many cuts differ after Holm."""
        found = self.contrasts[contrast]
        return f"({found['better']} of {found['count']} cuts better after Holm, {found['worse']} worse)"

    def cut(self, contrast: str, cell: str) -> dict[str, Any]:
        """The difference on one cut."""
        row: dict[str, Any] = next(row for row in self.contrasts[contrast]["cells"] if row["cell"] == cell)
        return row

    def at(self, contrast: str, *cells: str) -> str:
        """The differences on some cuts, without intervals."""
        values = [signed(self.cut(contrast, cell)["mean"]) for cell in cells]
        return " and ".join(", ".join(values).rsplit(", ", 1))

    def of(self, cell: str, arm: str) -> str:
        """Balanced accuracy on one cut."""
        return f"{self.summary['accuracy'][cell][arm][0]:.1f}"

    def duel(self, name: str) -> str:
        """Mean over sets of a difference."""
        return signed(float(np.mean([row["mean"] for row in self.summary["duels"][name]["sets"]])))

    def won(self, name: str, sign: int) -> list[str]:
        """The sets on which a difference is of this sign after Holm."""
        rows = self.summary["duels"][name]["sets"]
        return [row["set"] for row in rows if row["holm"] < LEVEL and sign * row["mean"] > 0]


def part_claims(said: Said) -> list[str]:
    """Which part gains."""
    mean, cuts = said.mean, said.cuts
    cells = said.summary["cells"]
    direction, learned = "direction, fixed: names or means against random", "direction, learned on: the same starts"
    same, random = "fixed against learned on, same start", "fixed against learned, both from random"
    residual = "identity start: residual against linear, fixed"
    prior, out = "prior: LA against CE", "prior: out of logistic regression"
    return [
        f"{len(cells)} cuts of {len({c['set'].partition(',')[0] for c in cells})} data sets, five paired draws each, "
        f"{sum(c['arms'] for c in cells)} tuned classifiers.",
        f"{mean(direction)} for fixed vectors {cuts(direction)}",
        f"{mean(learned)} for learned ones behind the same map ({said.contrasts[learned]['sets']} sets)",
        f"Fixed against learned on from the same start: {mean(same)} {cuts(same)}",
        f"{mean(random)} against learned ones of the same start {cuts(random)}",
        f"A simplex cannot be told from random directions: {mean('simplex against random, fixed')}.",
        f"{mean(residual)} against a linear map from random weights {cuts(residual)}",
        f"From random vectors it is worth nothing: {mean('identity start, learned from random')}.",
        f"A trained map is worth {mean('trained map against none, fixed')}; BatchNorm alone is "
        f"{mean('BatchNorm against residual, fixed')} against it.",
        f"logit adjustment (LA) {mean(prior)} over CE {cuts(prior)}",
        f"taking it out afterwards {mean('prior: out of CE afterwards')}",
        f"logistic regression with its prior out {mean(out)} {cuts(out)}",
        f"LA against out afterwards: {mean('prior: LA against out afterwards')}.",
        f"dot-regression (DR) {mean('DR against LA')}, exact ridge {mean('exact ridge against LA')}; on "
        f"{said.contrasts['DR against LA']['worse']} and {said.contrasts['exact ridge against LA']['worse']} cuts they "
        f"are worse",
    ]


def rival_claims(said: Said) -> list[str]:
    """Fixed against the best learned rival, and what to take."""
    mean, cuts = said.mean, said.cuts
    named, kernel = "names as samples of logistic regression", "closed-form kernel against it"
    head = "fixed head against logistic regression"
    ordinary, learned = "fixed − ordinary", "fixed − any learned"
    sets = len({row["set"] for row in said.summary["duels"][ordinary]["sets"]})
    return [
        f"{told(said.won(ordinary, 1))} of {sets} sets, and worse on {told(said.won(ordinary, -1))}.",
        f"Against any learned rival it is better on {told(said.won(learned, 1))}, "
        f"worse on {told(said.won(learned, -1))}.",
        f"Means over sets: {said.duel(ordinary)} and {said.duel(learned)}.",
        f"as one more sample of each class {mean(named)} {cuts(named)}",
        f"({mean(head)} without names in LR)",
        f"the closed-form kernel ({mean(kernel)})",
        f"Named beforehand the kernel is {mean(kernel)} against LR {cuts(kernel)}.",
    ]


def told(sets: list[str]) -> str:
    """How many sets, and which."""
    return f"{len(sets)} ({', '.join(sets)})" if sets else "0"


def names_claims(said: Said) -> list[str]:
    """When names help."""
    of, words = said.of, dict(zip(("true", "shuffled", "nonsense", "word", "sentence", "five"), VARIANTS, strict=True))
    fixed = {word: f"fixed {variant} | residual | LA" for word, variant in words.items()}
    gain = [said.summary["accuracy"][FEW][fixed[word]][0] - said.summary["accuracy"][FEW][fixed["true"]][0]
            for word in ("sentence", "five")]  # fmt: skip
    return [
        f"at one a class fixed names {of(FEW, FIXED)} and LR {of(FEW, RIVALS[1])}, at five {of(FIVE, FIXED)} and "
        f"{of(FIVE, RIVALS[1])}.",
        f"Names in LR: {of(FEW, NAMED_RIVAL)} and {of(FIVE, NAMED_RIVAL)}.",
        f"Shuffled names {of(FIVE, fixed['shuffled'])}, nonsense {of(FIVE, fixed['nonsense'])}, random directions "
        f"{of(FIVE, 'fixed random | residual | LA')} (five a class).",
        f"Learned on from nonsense it is {of(FIVE, f'learned {VARIANTS[2]} | residual | LA')}:",
        f"worse than nonsense**, {of(FIVE, fixed['word'])}:",
        f"level at five a class ({of(FIVE, fixed['sentence'])}, {of(FIVE, fixed['five'])}), and {gain[0]:.1f} and "
        f"{gain[1]:.1f} better at one.",
        f"fixed names {of('cars 5 each', FIXED)}, LR {of('cars 5 each', RIVALS[1])}. At one a class fixed names are "
        f"{of('cars 1 each', FIXED)}, LR {of('cars 1 each', RIVALS[1])}.",
        f"one training sample as class vector is {said.mean('one exemplar against means, fixed')} against the mean",
    ]


def shots_claims(said: Said) -> list[str]:
    """From few samples to all, and in tails."""
    against, same = "fixed head against logistic regression", "fixed against learned on, same start"
    added = "names as samples of logistic regression"
    tails = ("clinc150 20:1", "banking77 50:1", "banking77 150:1")
    of = said.of
    return [
        f"(banking77, clinc150; clinc150 at 20 a class {said.at(against, 'clinc150 20 each')})",
        f"In tails it is {said.at(against, *tails)} (clinc150 20 : 1, banking77 50 : 1 and 150 : 1), with all samples "
        f"of banking77 {said.at(against, 'banking77 all')}.",
        f"names are worth {said.at(added, FEW, 'clinc150 1 each')} at one a class, "
        f"{said.at(added, FIVE, 'clinc150 5 each')} at five, {interval(said.cut(added, 'banking77 20 each'))} at 20, "
        f"{said.at(added, *tails)} in the tails, {interval(said.cut(added, 'banking77 all'))} with all samples.",
        f"fixed less learned on is {said.at(same, FEW, 'clinc150 1 each')} at one a class, "
        f"{said.at(same, FIVE, 'clinc150 5 each')} at five, {said.at(same, 'banking77 20 each')} at 20, "
        f"{said.at(same, 'banking77 all')} with all samples, {said.at(same, *tails)} in the tails.",
        f"banking77 at 20 a class {of('banking77 20 each', COMPUTED[0])}, LR {of('banking77 20 each', RIVALS[1])} on "
        f"128 dimensions.",
        f"are within {images(said):.1f} of each other",
    ]


def images(said: Said) -> float:
    """The most that fixed or learned class means and logistic regression differ on images."""
    kept = ("fixed means | residual | LA", "learned means | residual | LA", RIVALS[1])
    found = [[said.summary["accuracy"][c["cell"]][arm][0] for arm in kept]
             for c in said.summary["cells"] if c["kind"] == "image"]  # fmt: skip
    return max(max(own) - min(own) for own in found)


def claims(summary: Summary) -> list[str]:
    """Every phrase, in the order of the page."""
    said = Said(summary)
    return [claim for part in (part_claims, rival_claims, names_claims, shots_claims) for claim in part(said)]
