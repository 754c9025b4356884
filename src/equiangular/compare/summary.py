"""From the records of trials to the rows of a comparison and its answer. Pure: records in, records out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from equiangular.compare.answer import EXAMPLE, ON_FEATURES, SIDES, answer
from equiangular.compare.config import CompareConfig
from equiangular.measures import mean_ci
from equiangular.records import COLUMNS, Answer, Estimate, Row, TrialRecord, unpack
from equiangular.training.methods import get_method


def rows_of(records: Sequence[TrialRecord], methods: Sequence[str], validation: Mapping[str, float]) -> list[Row]:
    """Mean and 95 % confidence interval of every column, a row for each method.

    Args:
        records: of all runs.
        methods: names, in the order of the rows.
        validation: the score on validation data by method.

    Returns:
        The rows. A run that diverged makes the means NaN, and the note says so.
    """
    rows = []
    for name in methods:
        own = sorted((r for r in records if r.method == name), key=lambda r: r.seed)
        measures = {key: _estimate([_value(r, key) for r in own]) for key, _, _ in COLUMNS}
        finished = next((r for r in own if not r.diverged), own[0])
        notes: dict[str, None] = {}
        if noted := [r.note for r in own if r.note]:
            same = len(set(noted)) == 1 and len(noted) == len(own)
            notes[noted[0] if same else f"in {len(noted)} of {len(own)} runs, at first: {noted[0]}"] = None
        diverged = sum(bool(r.diverged) for r in own)
        if diverged:
            notes[f"{diverged} of {len(own)} runs diverged: {next(r.diverged for r in own if r.diverged)}"] = None
        method, score = get_method(name), validation.get(name, float("nan"))
        of_row = (name, finished.label, finished.kind, method.source, len(own), measures, score, "; ".join(notes))
        memory = max((r.peak_memory for r in own if r.peak_memory == r.peak_memory), default=float("nan"))
        abilities = list(getattr(method, "abilities", ()))
        classes = [_estimate(list(of)).mean for of in zip(*(r.per_class for r in own), strict=False)]
        rows.append(Row(*of_row, finished.numbers_kept, abilities, memory, classes))
    return rows


def samples_behind(records: Sequence[TrialRecord], first: Sequence[str | None]) -> list[int]:
    """The test samples behind the mistakes that are kept, those of the methods named ``first`` at the beginning."""
    own = sorted(records, key=lambda record: record.method not in first)
    return [sample for record in own if record.details is not None for *_, sample in record.details.mistakes]


def _value(record: TrialRecord, key: str) -> float:
    if key in ("head_parameters", "seconds"):
        return float(getattr(record, key))
    return record.scores.get(key, float("nan"))


def _estimate(values: list[float]) -> Estimate:
    mean, half = mean_ci(values)
    return Estimate(mean, half, values)


def answer_of(
    rows: Sequence[Row],
    records: Sequence[TrialRecord],
    labels: Tensor,
    config: CompareConfig,
    data: str,
    blind: int = 0,
) -> Answer:
    """The answer of a comparison; methods with a run that diverged take no part in it.

    Args:
        rows: one for each method.
        records: of all runs.
        labels: (M,) int64: the classes of the test samples.
        config: the comparison.
        data: name of the data set.
        blind: number of classes without a sample among those that heads are chosen by.
    """
    diverged = {record.method for record in records if record.diverged}
    kept = {row.method: row for row in rows if row.method not in diverged}
    hits: dict[str, list[list[bool]]] = {name: [] for name in kept}
    for record in sorted(records, key=lambda r: r.seed):
        if record.method in kept:
            hits[record.method].append(unpack(record.correct, len(labels)))
    imbalance = config.trial.imbalance
    sides = [[name for name, row in kept.items() if row.kind in kinds] for kinds in SIDES.values()]
    if records and len(records[0].class_counts) - blind < 2 and max(map(len, sides)) > 1 and all(sides):
        # Every head is right where one class alone can be the answer: the first in the list would be chosen.
        pair = ON_FEATURES if "computed" in {row.kind for row in kept.values()} else EXAMPLE
        effect = (
            f"On {data} the samples to choose heads by are of fewer than two classes, so no choice can be made. Name "
            f"one head of each kind, for example --methods {','.join(pair.values())}, or hold out more with "
            "--validation."
        )
        return Answer("none", "No answer", effect, "", None, None, None, [], None, config.margin)
    return answer(
        hits,
        labels.numpy(),
        kinds={name: row.kind for name, row in kept.items()},
        validation={name: row.validation for name, row in kept.items()},
        data=data if imbalance == 1 else f"{data} cut to imbalance {imbalance:g}",
        names={name: row.label for name, row in kept.items()},
        margin=config.margin,
        blind=blind,
        named=[name for name in kept if get_method(name).named],
    )
