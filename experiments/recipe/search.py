"""Search for the recipe of a fixed head: one change at a time from a base, for a fixed and a learned head alike.

Every change is scored by balanced accuracy on validation data of the training pool (`validation_dataset`, seeds from
1000), paired with the base; the test part is never given to it. Finished trainings are kept, so a stopped search goes
on. Two rounds: `first` starts from free features after BatchNorm at scale 0.5 (`variants.py`), `second` from the
recipe that came out of it (`changes.py`).

    python -m experiments recipe-search digits --seeds 8 --round first
    python -m experiments recipe-search cifar10 --seeds 3 --round second     # reads the folder in EQUIANGULAR_DATA
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._provenance import provenance
from equiangular.compare.tuning import FIRST_SEED, validation_dataset
from equiangular.data import load_dataset
from equiangular.measures import paired_comparison
from equiangular.training import Budget, Method
from equiangular.training.methods import TwoStageMethod
from experiments.common import RECIPE, balanced_accuracies, command_parser, trial_with
from experiments.recipe.changes import CHANGES, FromGrouped, UnitFirst, with_new_state
from experiments.recipe.variants import BASE, VARIANTS, Following, Variant


@dataclass(frozen=True)
class Case:
    """A data set and the training of its study."""

    data: str
    imbalance: float
    budget: Budget
    projected: bool = False  # whether the recipe has a learned map here
    size: int | None = None
    width: float = 1.0
    precision: str = "32-true"

    @property
    def images(self) -> bool:
        """Whether crops and flips make sense."""
        return self.size is not None


_SMALL = Budget(epochs=40, batch_size=64, weight_decay=5e-3)
_TEXT = Budget(epochs=8, batch_size=128)
_IMAGE = Budget(epochs=8, batch_size=128, augment="crop,flip")
CASES = {
    "digits": Case("digits", 100, _SMALL),
    "digits-200": Case("digits", 200, _SMALL),
    "letter": Case("letter", 100, Budget(epochs=10, batch_size=128), projected=True),
    "wine": Case("wine_quality_white", 1, Budget(epochs=20, batch_size=128)),
    "banking77": Case("banking77", 1, _TEXT, projected=True, width=2.0),
    "clinc150": Case("clinc150_imbalanced", 1, _TEXT, projected=True, width=3.0),
    "cifar10": Case("cifar10_lt50", 100, _IMAGE, size=16, precision="bf16-mixed"),
    "cifar100": Case("cifar100_lt50", 100, _IMAGE, projected=True, size=16, precision="bf16-mixed"),
    "plankton": Case(
        "plankton", 1, _IMAGE.with_changes(epochs=4), projected=True, size=16, precision="bf16-mixed"
    ),
}  # fmt: skip
HEADS = {"etf": "etf", "learnable": "linear"}
ROUNDS = {"first": ("base", VARIANTS, ""), "second": ("recipe", CHANGES, "-second")}


def options_of(case: Case, head: str, round_name: str, variant: Variant) -> dict[str, Any]:
    """The options of a head: those of the round's base, then the variant's."""
    if round_name == "first":
        return {**BASE, **variant.options}
    projection = {"projection": "linear"} if head == "etf" and case.projected else {}
    return {"norm": "batch", "normalize": False, "scale": 1.0, **projection, **variant.options}


def train(case: Case, head: str, name: str, seed: int, round_name: str) -> float:
    """Balanced validation accuracy of one training, percent."""
    variant = with_new_state(name, ROUNDS[round_name][1][name])
    budget = case.budget
    changes = {
        "weight_decay": variant.decay * budget.weight_decay, "epochs": round(variant.epochs * budget.epochs),
        **variant.budget,
    }  # fmt: skip
    dataset = validation_dataset(load_dataset(case.data, size=case.size), fraction=0.2, seed=seed)
    trial = trial_with(
        budget.with_changes(**changes),
        data=case.data,
        imbalance=float(case.imbalance),
        width=case.width,
        precision=case.precision,
        method=name,
        seed=FIRST_SEED + seed,
        subset_seed=FIRST_SEED + seed,
    )
    criterion = variant.criterion if variant.follow is None else Following(until=variant.follow)
    kind: Any = Method
    extra: dict[str, Any] = {}
    if variant.second_stage:
        kind, extra = TwoStageMethod, {"second_stage": variant.second_stage}
    elif variant.unit_first:
        kind = UnitFirst
    elif variant.from_grouped:
        kind = FromGrouped
    options = options_of(case, head, round_name, variant)
    method = kind(
        f"{head}: {name}", name, HEADS[head], criterion, "search", options, corrected=variant.corrected, **extra
    )
    return balanced_accuracies(trial, dataset, [method])[0]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("recipe-search", __doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--round", choices=ROUNDS, default="second")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--variants", nargs="+", default=None, help="all by default")
    parser.add_argument("--output", type=Path, default=RECIPE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    case, (base, variants, suffix) = CASES[options.case], ROUNDS[options.round]
    for name in options.variants or ():
        if name not in variants:
            parser.error(f"no variant {name!r} in the {options.round} round; there are: {', '.join(variants)}")
    path = prepare_folder(options.output) / f"{options.case}{suffix}.json"
    found: dict[str, list[float]] = read_json(path)["scores"] if path.exists() else {}
    for seed in range(options.seeds):
        for name in options.variants or variants:
            variant = variants[name]
            if variant.images_only and not case.images:
                continue
            for head in ("etf",) if variant.fixed_only else ("learnable",) if variant.from_grouped else HEADS:
                scores = found.setdefault(f"{head}: {name}", [])
                if len(scores) == seed:
                    scores.append(train(case, head, name, seed, options.round))
                    write_json(path, {"scores": found, "rows": rows(found, base), "provenance": provenance()})
    for row in rows(found, base):
        print("{name:60s} {mean:6.2f}  {difference:+6.2f} [{ci_low:+.2f}, {ci_high:+.2f}]".format(**row))


def rows(found: dict[str, list[float]], base: str) -> list[dict[str, Any]]:
    """Mean of every variant and its paired difference from the base of its head, best first."""
    table = []
    for name, scores in found.items():
        if not scores:
            continue
        of_base = found[f"{name.partition(':')[0]}: {base}"][: len(scores)]
        row = {"name": name, "mean": sum(scores) / len(scores), "difference": 0.0, "ci_low": 0.0, "ci_high": 0.0}
        if len(scores) > 1 and scores != of_base:
            test = paired_comparison(scores, of_base)
            row |= {"difference": test.mean_difference, "ci_low": test.ci_low, "ci_high": test.ci_high}
        table.append(row)
    return sorted(table, key=lambda row: -row["mean"])
