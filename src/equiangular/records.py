"""Results as typed records: what commands compute, files keep and reports show. Plain Python, no torch.

A record is a frozen dataclass of JSON-plain values. :func:`to_json` writes any of them, :func:`from_json` reads one
back. Numbers that are not defined are NaN here and null in a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from equiangular._codec import pack as pack
from equiangular._codec import pack_confusion as pack_confusion
from equiangular._codec import plain, read
from equiangular._codec import unpack as unpack
from equiangular._codec import unpack_confusion as unpack_confusion
from equiangular._notebook import page_in_frame

FORMAT = 2
Kind = Literal["fixed", "mapped", "learned", "computed"]
Verdict = Literal["better", "worse", "level", "cannot tell"]
T = TypeVar("T")

# What a classifier on features may do that would take another a new fit.
ABILITIES = ("one pass", "merge", "new classes", "remove")
# Columns of the table of a comparison: key of a measure, heading, unit.
COLUMNS = (
    ("balanced_accuracy", "balanced", "%"),
    ("accuracy", "accuracy", "%"),
    ("many", "many", "%"),
    ("medium", "medium", "%"),
    ("few", "few", "%"),
    ("ece", "ECE", "%"),
    ("nc1", "NC1", ""),
    ("nc2_equiangular", "NC2", ""),
    ("nc3", "NC3", ""),
    ("head_parameters", "learned", ""),
    ("seconds", "time", "s"),
)


@dataclass(frozen=True)
class View:
    """Four classes of one training in three dimensions over its epochs, see :class:`equiangular.measures.ClassView`.

    Attributes:
        classes: indices of the classes, at most four, the largest first.
        epochs: E epochs.
        labels: for each of S samples its place in ``classes``.
        features: (E, S, 3) samples, in units of the mean norm of the class means.
        means: (E, C, 3) class means, in the same units.
        vectors: (E, C, 3) class vectors, in units of their mean norm.
    """

    classes: list[int]
    epochs: list[float]
    labels: list[int]
    features: list[list[list[float]]]
    means: list[list[list[float]]]
    vectors: list[list[list[float]]]


@dataclass(frozen=True)
class Details:
    """What a page draws of one trained classifier; kept of the first run.

    Attributes:
        reliability: for all samples and each group, the bins' ``samples``, ``confidence`` and ``accuracy`` in percent,
            and ``ece``.
        confusion: [true class, predicted class, number of test samples] of each cell that has any.
        mistakes: [true class, predicted class, test sample] of some of what was classified wrong.
        vector_cosines: (K, K) cosines of the class vectors; empty above 60 classes.
        mean_cosines: (K, K) cosines of the centred class means of the training features; empty above 60 classes.
        view: four classes in three dimensions over the epochs; None where no network was trained.
    """

    reliability: dict[str, dict[str, Any]]
    confusion: list[list[int]]
    mistakes: list[list[int]] = field(default_factory=list)
    vector_cosines: list[list[float]] = field(default_factory=list)
    mean_cosines: list[list[float]] = field(default_factory=list)
    view: View | None = None


@dataclass(frozen=True)
class TrialRecord:
    """What one trial of one method came to: the last epoch, measured once on the test part.

    Attributes:
        method: name of the method.
        label: its name in tables.
        kind: what the built head is, see :attr:`equiangular.heads.Head.kind`.
        fingerprint: hash of everything the result depends on, the content of the data included.
        seed: training seed.
        subset_seed: seed of the cut and of the held-out part.
        subset_sha256: hash of the samples trained on.
        backbone: name of the backbone.
        class_counts: K samples that were trained on, by class.
        head_parameters: learned numbers of the head.
        total_parameters: learned numbers of the network.
        seconds: wall-clock time of the training.
        loss: mean training loss of the last epoch.
        scores: percent by name: ``balanced_accuracy``, ``accuracy``, ``many``, ``medium``, ``few``, ``ece`` of the
            calibrated probabilities, ``ece_uncalibrated``; ``nc1``, ``nc2_equinorm``, ``nc2_equiangular``, ``nc3`` of
            the training features; ``among``, balanced accuracy where the classes of the test part are the only answers.
        per_class: K accuracies in percent.
        validation: balanced accuracy in percent on the held-out part, its classes being the only answers and a prior
            correction being fitted without the sample it judges; NaN where there is none.
        correction: scale and strength fitted on the held-out part; None where nothing was fitted.
        note: what was left out, and why.
        correct: which test samples were classified right, see :func:`pack`; empty in files of format 1.
        curve: measures of collapse over epochs, where they were recorded.
        weights_sha256: hash of the trained weights.
        diverged: why there are no scores, where there are none.
        numbers_kept: of a classifier that was fitted in one call: numbers that its fit keeps, or has at hand all along.
        peak_memory: bytes by which the process grew at its peak while it was trained or fitted; NaN where not measured.
        details: what a page draws of it; None where it was not kept.
    """

    method: str
    label: str
    kind: Kind
    fingerprint: str
    seed: int
    subset_seed: int
    subset_sha256: str = ""
    backbone: str = ""
    class_counts: list[int] = field(default_factory=list)
    head_parameters: int = 0
    total_parameters: int = 0
    seconds: float = math.nan
    loss: float = math.nan
    scores: dict[str, float] = field(default_factory=dict)
    per_class: list[float] = field(default_factory=list)
    validation: float = math.nan
    correction: dict[str, Any] | None = None
    note: str = ""
    correct: str = ""
    curve: list[dict[str, float]] = field(default_factory=list)
    weights_sha256: str = ""
    diverged: str = ""
    numbers_kept: int = 0
    peak_memory: float = field(default=math.nan, compare=False)  # no two runs are alike in it
    details: Details | None = None


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, the half width of its 95 % interval (NaN for one run), and the values of the runs."""

    mean: float
    ci95: float
    values: list[float]


@dataclass(frozen=True)
class Row:
    """One method of a comparison: ``measures`` by the keys of :data:`COLUMNS`, ``validation`` in percent.

    ``numbers_kept`` of the first run, and ``abilities``, are those of a classifier that is fitted in one call;
    ``peak_memory`` is the largest of the runs in bytes, NaN where it was not measured. ``per_class`` has the mean
    accuracy of each class in percent.
    """

    method: str
    label: str
    kind: Kind
    source: str
    n: int
    measures: dict[str, Estimate]
    validation: float = math.nan
    note: str = ""
    numbers_kept: int = 0
    abilities: list[str] = field(default_factory=list)
    peak_memory: float = field(default=math.nan, compare=False)
    per_class: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Needed:
    """What would settle an open question, if the estimate is as found.

    Attributes:
        width: width of the present interval in points; None for a single run.
        runs: number of runs that would do on the present test samples; None if no number up to a million does.
        samples: number of test samples that would do with the present runs; None likewise.
    """

    width: float | None
    runs: int | None
    samples: int | None


@dataclass(frozen=True)
class Contrast:
    """One fixed head against one learned head, in points of balanced accuracy, as JSON holds it.

    Attributes:
        fixed: name of the fixed head.
        learned: name of the learned head.
        role: ``"primary"``, both heads chosen on validation data, or ``"secondary"``, another fixed head.
        correction: what makes up for the number of contrasts, ``"none"`` or ``"Holm and Bonferroni over m"``.
        fixed_mean: balanced accuracy of the fixed head in %, mean of the runs.
        learned_mean: that of the learned head.
        difference: fixed less learned.
        low: lower end of the wider interval, over runs or over runs and test samples; None for a single run.
        high: its upper end.
        run_low: lower end of the interval over runs alone.
        run_high: its upper end.
        confidence: level of the intervals, Bonferroni's 1 - (1 - level) / m for secondary ones.
        p_value: two-sided, of no difference; None for a single run.
        p_holm: the same after Holm's correction over the secondary contrasts; None for the primary one.
        runs: number of paired runs.
        samples: number of test samples.
        verdict: what the interval says against the margin.
    """

    fixed: str
    learned: str
    role: Literal["primary", "secondary"]
    correction: str
    fixed_mean: float
    learned_mean: float
    difference: float
    low: float | None
    high: float | None
    run_low: float | None
    run_high: float | None
    confidence: float
    p_value: float | None
    p_holm: float | None
    runs: int
    samples: int
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """The answer: a word, the effect, the statistics, and what they rest on.

    Attributes:
        verdict: one of the four, of the primary contrast; ``"none"`` if a kind of head is missing.
        word: the verdict as the sentence opens.
        effect: sentence of the difference and its interval, and of what would settle an open question.
        statistics: sentence in brackets: both means, runs, test samples, p-value; empty if there is no contrast.
        fixed: name of the fixed head that stands for its kind.
        learned: name of the learned head that stands for its kind.
        contrast: the one between the two; None if there is none.
        secondary: the other fixed heads against the same learned one.
        needed: what would settle it; None unless the verdict is ``"cannot tell"``.
        margin: half-width of the range of differences that count as level, in points.
    """

    verdict: Verdict | Literal["none"]
    word: str
    effect: str
    statistics: str
    fixed: str | None
    learned: str | None
    contrast: Contrast | None
    secondary: list[Contrast]
    needed: Needed | None
    margin: float

    @property
    def sentence(self) -> str:
        """Word, effect and statistics in one line."""
        return " ".join(part for part in (f"{self.word}.", self.effect, self.statistics) if part)


@dataclass(frozen=True)
class DataSummary:
    """The data of a comparison, as they were used: sizes of the parts, the classes, what was noticed."""

    name: str
    classes: list[str]
    source: str = ""
    kind: str = ""
    shape: list[int] = field(default_factory=list)
    samples: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    digest: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tuned:
    """What tuning chose for one training: settings, their validation score by method, trainings and their seconds."""

    settings: dict[str, Any]
    validation: dict[str, float]
    trainings: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """A whole comparison, as ``results.json`` has it.

    ``samples`` has test samples by their index as a page can show them, see :func:`equiangular.data.preview.previews`.
    """

    config: dict[str, Any]
    data: DataSummary
    backbone: str
    rows: list[Row]
    answer: Answer | None
    runs: list[TrialRecord]
    tuning: dict[str, Tuned] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)

    def row(self, method: str) -> Row:
        """The row of a method.

        Raises:
            KeyError: it was not compared.
        """
        return {row.method: row for row in self.rows}[method]

    def _repr_html_(self) -> str | None:
        """The page of the comparison in a frame, for notebooks."""
        return page_in_frame("comparison", self)


def to_json(record: Any) -> dict[str, Any]:
    """A record as JSON-plain values with the number of its format; NaN and infinity become None.

    Example:
        >>> to_json(Needed(4.0, 20, None))
        {'format': 2, 'width': 4.0, 'runs': 20, 'samples': None}
    """
    return {"format": FORMAT, **plain(record)}


def from_json(kind: type[T], values: Mapping[str, Any]) -> T:
    """The record that :func:`to_json` wrote; a comparison may be of format 1 too.

    Raises:
        ValueError: another format, a field that is missing, unknown or of the wrong type; the message names it.

    Example:
        >>> from_json(Needed, to_json(Needed(4.0, 20, None)))
        Needed(width=4.0, runs=20, samples=None)
    """
    values = dict(values) if isinstance(values, Mapping) else {}
    values.pop("checksum", None)  # of the file that they were in, where it was read by other means than ours
    version = values.pop("format", None)
    if version == 1 and kind is Comparison:
        return _from_format_1(values)  # type: ignore[return-value]
    if version != FORMAT:
        raise ValueError(
            f"a {kind.__name__} of format {version!r}, and this version of equiangular reads format {FORMAT}."
        )
    record: T = read(kind, values, kind.__name__)
    return record


_ANSWERED_BEFORE = (
    "Written by an earlier version, whose verdict did not follow from its tests and which told fixed from learned by "
    "the method's name. Compare again to have both."
)


def _from_format_1(values: Mapping[str, Any]) -> Comparison:
    """A comparison of format 1: rows and records. Its verdict and contrasts were not sound and are dropped."""
    try:
        keys = [key for key, _, _ in COLUMNS]
        rows = [
            Row(
                name,
                row["label"],
                "fixed" if row["fixed"] else "learned",
                row["source"],
                row["n"],
                {key: read(Estimate, row[key], key) for key in keys},
            )
            for name, row in values["table"].items()
        ]
        of_row = {row.method: row for row in rows}
        return Comparison(
            values["config"],
            DataSummary(values["data"]["name"], values["data"]["classes"], values["data"]["source"]),
            values["backbone"],
            rows,
            None,
            [_trial_of_format_1(run, of_row[run["method"]]) for run in values["runs"]],
            notes=[_ANSWERED_BEFORE],
            provenance=values["provenance"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no comparison of format 1: {error!r}.") from error


def _trial_of_format_1(run: Mapping[str, Any], row: Row) -> TrialRecord:
    same = {f.name for f in fields(TrialRecord)} & run.keys() - {"scores", "correction"}
    kept = {name: run[name] for name in same}
    measures = {key for key, _, _ in COLUMNS if key not in ("head_parameters", "seconds")} | {"nc2_equinorm"}
    kept |= {"loss": run.get("final_loss"), "scores": {key: run.get(key) for key in sorted(measures)}}
    record: TrialRecord = read(TrialRecord, {"label": row.label, "kind": row.kind, **kept}, "a run")
    return record
