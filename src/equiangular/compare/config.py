"""What a comparison is told: a trial that all methods share, the methods, seeds, tuning and the margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from equiangular._checks import check_choice, check_data_name, check_int, check_positive
from equiangular.compare.tuning import FRACTION, check_effort
from equiangular.data import Dataset
from equiangular.training.config.options import Hardware, Trial
from equiangular.training.methods import METHODS, Method, get_method
from equiangular.training.run.folder import check_names
from equiangular.training.run.trial import split_of

# The rows of the main job, in the order of its table.
DEFAULT_METHODS = (
    "linear-ce",
    "linear-ce-pc",
    "linear-la",
    "cosine-la",
    "random-la",
    "etf-ce",
    "etf-ce-pc",
    "etf-la",
    "etf-dr",
    "etf-dr-pc",
    "recommended",
)
# The same where the data are an encoder's vectors: nothing of it is a network.
FEATURE_METHODS = (
    "class-means",
    "gaussian",
    "ridge",
    "random-features",
    "kernel",
    "logistic",
    "logistic-pc",
    "logistic-balanced",
)
# Where the vectors of the class names are there too.
NAMED_HEADS = ("named-la", "named-learned-la")
NAMED_SAMPLES = 2000  # to train on; where there are more, methods with names are compared if asked for
NAMED_METHODS = ("class-means-names", "ridge-names", "kernel-names", "logistic-pc-names", *NAMED_HEADS)
_OWN = ("seeds", "subset_seed", "tune", "margin")  # fields of its own that are asked for
# What of a trial a comparison decides itself, method by method and run by run.
PER_RUN = ("method", "head", "seed", "subset_seed", "pretrained")
_SAMPLES_SEEN = 160_000  # by a training whose epochs were not given: 40 epochs of 4,000 samples


@dataclass(frozen=True)
class Preset:
    """What is tuned already for a data set, on validation data of its training pool.

    Attributes:
        changes: fields of :class:`CompareConfig` and of :class:`Trial`.
        head: options of the head by training.
        validation: balanced accuracy in percent on that validation data by method, of those that were tuned.
    """

    changes: Mapping[str, Any]
    head: Mapping[str, dict[str, Any]]
    validation: Mapping[str, float]


PRESETS: dict[str, Preset] = {
    "digits": Preset(  # experiments/recipe/tune_digits.py, experiments/results/tune_digits.json
        {"imbalance": 100.0, "seeds": 10, "tune": "none", "weight_decay": 5e-3, "epochs": 40, "batch_size": 64},
        {
            "linear-ce": {"norm": "batch", "scale": 0.5},
            "linear-la": {"norm": "none", "scale": 0.25},
            "cosine-la": {"norm": "none", "scale": 12.0},
            "random-la": {"norm": "batch", "normalize": False, "scale": 0.5},
            "etf-ce": {"norm": "batch", "normalize": False, "scale": 0.25},
            "etf-la": {"norm": "batch", "normalize": False, "scale": 0.5},
        },
        {
            "linear-ce": 77.0024,
            "linear-ce-pc": 88.0358,
            "linear-la": 87.9419,
            "cosine-la": 86.1410,
            "random-la": 86.2046,
            "etf-ce": 78.2321,
            "etf-ce-pc": 88.4973,
            "etf-la": 87.5165,
            "etf-dr": 74.3950,
            "etf-dr-pc": 84.1574,
            "recommended": 86.5172,
        },
    )
}


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of methods on one data set, paired by seed.

    Run ``r`` of every method uses training seed ``r`` and the same training subset. The subset's seed is apart from the
    training seed: ``subset_seed=None`` draws subset ``r`` for run ``r``, so that the confidence intervals cover the
    choice of the training samples as well; an integer keeps one subset for all runs.

    Attributes:
        trial: what all methods share: data, cut, backbone, budget, validation, precision.
        given: the fields of ``trial`` that were asked for; of the others :func:`fit_to` makes what suits the data.
        methods: names of methods, see :data:`equiangular.training.METHODS`; empty: those of :data:`DEFAULT_METHODS`,
            with the best frame that fits where there are too many classes for an ETF; of an encoder's vectors those of
            :data:`FEATURE_METHODS`, and of :data:`NAMED_METHODS` where the class names have vectors, without the kernel
            and without heads trained from the names where there are many samples.
        seeds: number of paired runs of every method.
        subset_seed: see above.
        tune: ``"quick"`` (8 trainings for every head), ``"full"`` (24, with two seeds each) or ``"none"``; 5 and
            10 for logistic regression and heads that start at the class names, which have one number to tune.
        margin: points of balanced accuracy; a difference smaller than that does not matter.
        head: options of the head by training, tuned already.
        validation: scores that belong to them, by method.
        hardware: what the trainings run on; one process each.

    Raises:
        ValueError: a value is out of range or a method unknown.
    """

    trial: Trial = field(default_factory=Trial)
    given: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: int = 5
    subset_seed: int | None = None
    tune: str = "quick"
    margin: float = 1.0
    head: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    hardware: Hardware = field(default_factory=lambda: Hardware(accelerator="cpu"))

    def __post_init__(self) -> None:
        check_names(self.trial)
        check_int(self.seeds, "seeds", minimum=2, hint="A confidence interval needs two runs.")
        if self.subset_seed is not None:
            check_int(self.subset_seed, "subset_seed", minimum=0)
        check_effort(self.tune)
        check_positive(self.margin, "margin", hint="In points of balanced accuracy; 1 is usual.")
        if not 0 < self.trial.validation < 1:
            raise ValueError(
                f"validation must lie strictly between 0 and 1, got {self.trial.validation!r}: a comparison calibrates "
                "and chooses on held-out data."
            )
        for name in self.head:
            get_method(name)
        object.__setattr__(self, "methods", tuple(dict.fromkeys(get_method(name).name for name in self.methods)))

    @property
    def tuning_fraction(self) -> float:
        """Share of each class of the training pool that tuning validates on."""
        return max(FRACTION, self.trial.validation)

    @property
    def tuning_chooses(self) -> bool:
        """Whether heads are chosen by scores of the tuning, and not by those of the runs on their held-out parts.

        A score of the tuning is the best of several and flatters; those of the runs are fresh. Where the data are cut
        to a long tail the held-out parts have no sample of the rarest classes, so there the scores of the tuning
        decide, if every method has one.
        """
        scored = self.tune != "none" or all(name in self.validation for name in self.methods)
        return self.trial.imbalance != 1 and scored

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values: the trial's fields beside those of the comparison."""
        own = {name: getattr(self, name) for name in _OWN}
        shared = {name: value for name, value in self.trial.as_dict().items() if name not in PER_RUN}
        return {**shared, **own, "methods": list(self.methods), "head": {k: dict(v) for k, v in self.head.items()}}

    def trial_of(self, method: Method, seed: int, head: Mapping[str, Any], **changes: Any) -> Trial:
        """The trial of a method's training in the run with this training seed."""
        subset = seed if self.subset_seed is None else self.subset_seed
        own: dict[str, Any] = {"method": method.training_name, "head": dict(head), "seed": seed, "subset_seed": subset}
        return replace(self.trial, **own, **changes)


def configure(data: str, *, methods: tuple[str, ...] = (), **changes: Any) -> CompareConfig:
    """The configuration of a comparison: a preset where the data set has one, changed where a value is given.

    Args:
        data: name of the data set or a path. A path is used as it is; a long-tail cut is made where ``imbalance`` asks
            for it.
        methods: names; by default those of the main job.
        changes: ``seeds``, ``subset_seed``, ``tune``, ``margin``, fields of :class:`Trial` and ``Hardware``; None
            leaves the default.

    Raises:
        ValueError: a value is out of range, or a name or method unknown.

    Example:
        >>> configure("digits", epochs=3).trial.epochs, configure("digits").trial.imbalance
        (3, 100.0)
        >>> configure("my.csv").trial.imbalance
        1.0
    """
    for name in changes:
        check_choice(name, _CHANGEABLE, "an option of a comparison")
    check_data_name(data)
    preset = PRESETS.get(data, Preset({}, {}, {}))
    given = {**preset.changes, **{name: value for name, value in changes.items() if value is not None}}
    of_hardware = {f.name: given.pop(f.name) for f in fields(Hardware) if f.name in given and f.name not in _TRIAL}
    of_trial = {name: given.pop(name) for name in _TRIAL if name in given}
    # Scores measured in another experiment than the one asked for must not choose its heads.
    as_tuned = all(value == preset.changes.get(name, _DEFAULT[name]) for name, value in of_trial.items())
    return CompareConfig(
        trial=Trial(data=data, **of_trial),
        given=tuple(of_trial),
        methods=methods,
        hardware=Hardware(**{"accelerator": "cpu", **of_hardware}),
        head=preset.head,
        validation=preset.validation if as_tuned else {},
        **given,
    )


_TRIAL = tuple(f.name for f in fields(Trial) if f.name not in ("data", *PER_RUN))
_DEFAULT = Trial().as_dict()
_CHANGEABLE = tuple(dict.fromkeys((*_OWN, *_TRIAL, *(f.name for f in fields(Hardware)))))


def fit_to(config: CompareConfig, dataset: Dataset) -> CompareConfig:
    """The configuration with what was not asked for made to suit the data.

    Epochs: as many as show a training 160,000 samples of the cut, between 8 and 40. Batches of 64, of 128 from 5,000
    samples on.
    Width: for an MLP wide enough for an ETF of the classes. Methods: classifiers on features for an encoder's vectors;
    else, where there are more classes than dimensions allow for an ETF, the best frame that fits in its place.
    """
    classes = dataset.num_classes
    number = len(dataset.train_y)
    if config.trial.imbalance != 1:
        split = split_of(config.trial, dataset)
        number = len(split.train_y) + len(split.holdout_y)
    suits: dict[str, Any] = {
        "epochs": min(40, max(8, round(_SAMPLES_SEEN / number))),
        "batch_size": 64 if number < 5000 else 128,
        "width": float(-(-classes // 64)) if dataset.kind != "image" else 1.0,
    }
    trial = replace(config.trial, **{name: value for name, value in suits.items() if name not in config.given})
    return replace(config, trial=trial, methods=config.methods or default_methods(dataset))


def default_methods(dataset: Dataset) -> tuple[str, ...]:
    """The methods that are compared on these data unless others are asked for."""
    if dataset.kind != "vectors":
        return DEFAULT_METHODS
    return FEATURE_METHODS if dataset.names_features is None else (*NAMED_METHODS, *FEATURE_METHODS)


def without_etf(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Method names with the best frame that fits in the place of an ETF that does not.

    Example:
        >>> without_etf(("linear-ce", "etf-ce-pc", "etf-la"))
        ('linear-ce', 'frame-ce-pc', 'frame-la')
    """
    swapped = (name.replace("etf-", "frame-") if name.startswith("etf-") else name for name in methods)
    return tuple(dict.fromkeys(name for name in swapped if name in METHODS))
