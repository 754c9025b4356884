"""The trainings of a comparison, one after the other: tuned on validation data, kept in a folder, read from there."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from equiangular.compare.config import CompareConfig
from equiangular.compare.tuning import (
    BEYOND,
    EFFORTS,
    FIRST_SEED,
    FITS,
    Settings,
    Space,
    beyond,
    choose,
    next_settings,
    tuning_folds,
    validation_dataset,
)
from equiangular.data import Dataset, content_digest
from equiangular.heads import Head
from equiangular.models import make_backbone
from equiangular.records import TrialRecord, Tuned
from equiangular.training.methods import FittedMethod, Method, get_method
from equiangular.training.methods.fitted import STRENGTH
from equiangular.training.run.fitting import check_class_vectors
from equiangular.training.run.store import NotStoredError, TrialStore
from equiangular.training.run.trial import backbone_of

# (what is being done, trainings done, trainings planned)
Progress = Callable[[str, int, int], None]


def width_of(config: CompareConfig, dataset: Dataset, method: Method) -> int:
    """The width of the features that the head of a method takes."""
    trial = config.trial
    return _width(backbone_of(trial, dataset, method), tuple(dataset.input_shape), trial.width)


@cache
def _width(backbone: str, shape: tuple[int, ...], width: int) -> int:
    return int(make_backbone(backbone, shape, width=width, seed=0).num_features)


def folds_of(config: CompareConfig, dataset: Dataset) -> int:
    """In how many folds a comparison tunes; 0 for a share held out, as where networks are trained.

    The methods of a comparison are validated on the same samples, so one that is dear decides for all.
    """
    cheap = (isinstance(method, FittedMethod) or method.named for method in map(get_method, config.methods))
    return tuning_folds(dataset, fraction=config.tuning_fraction) if all(cheap) else 0


class Trainings:
    """What a comparison trains, and the store of what is trained already. It can be sent to another process.

    Args:
        config: the comparison, everything in it made to suit the data.
        dataset: the data.
        content: what they are, see :func:`equiangular.data.content_digest`.
        store: finished trainings.

    Attributes:
        groups: methods that share a training, in the order of the table.
        heads: a head of each group, as it is built by default.
        folds: parts of the training pool that are held out in turn by tuning; 0 where a share of it is held out.
        chooses: whether scores of the tuning choose heads: see :attr:`CompareConfig.tuning_chooses`, and where it is in
            folds. Then those of the runs lack the rarest classes, and those of the tuning have them.
        progress: told before each training.

    Raises:
        ValueError: a head that does not fit, or class names without vectors where a method takes them.
    """

    def __init__(self, config: CompareConfig, dataset: Dataset, content: Mapping[str, str], store: TrialStore) -> None:
        self.config, self.dataset, self.content, self.store = config, dataset, content, store
        groups: dict[str, list[Method]] = {}
        for method in map(get_method, config.methods):
            check_class_vectors(method, dataset.names_features, self.backbone_of(method))
            groups.setdefault(method.training_name, []).append(method)
        self.groups = list(groups.values())
        self.heads = {group[0].training_name: self.head_of(group[0]) for group in self.groups}
        self.progress: Progress | None = None
        self.done = self.planned = 0
        self.met, self.read_only = 0, False  # trainings that were read or run; whether they may only be read
        self.folds = folds_of(config, dataset)
        self.chooses = config.tuning_chooses or (config.tune != "none" and self.folds > 0)
        self._inner: dict[int, tuple[Dataset, dict[str, str]]] = {}

    def backbone_of(self, method: Method) -> str:
        """The name of the backbone that a method works behind here."""
        return backbone_of(self.config.trial, self.dataset, method)

    def head_of(self, method: Method, **changes: Any) -> Head:
        """The head that a method builds by default here, or with other options."""
        options = {**method.head_options, **self.config.head.get(method.training_name, {}), **changes}
        width = width_of(self.config, self.dataset, method)
        return replace(method, head_options=options).build_head(width, self.dataset.num_classes, seed=0)

    def effort(self, method: Method) -> tuple[int, int]:
        """Settings to try for a method, and seeds of each, or folds.

        A classifier in closed form chooses by leave-one-out itself: one fit, where a score on validation data is wanted
        of it to choose heads by.
        """
        if not isinstance(method, FittedMethod) and not method.named:
            return EFFORTS[self.config.tune]
        settings, seeds = FITS[self.config.tune]
        computed = isinstance(method, FittedMethod) and method.kind is not None
        return min(settings, int(self.chooses)) if computed else settings, self.folds or seeds

    def finished(self, group: list[Method]) -> int:
        """How many of the trainings of a group are in the folder already: its steps, made without training."""
        self.start(0, None)
        self.met, self.read_only = 0, True
        with contextlib.suppress(NotStoredError):  # the first one that is not there ends the group
            self.whole(group)
        self.read_only = False
        return self.met

    def start(self, planned: int, progress: Progress | None) -> None:
        """Count from the beginning."""
        self.done, self.planned, self.progress = 0, planned, progress

    def whole(self, group: list[Method]) -> None:
        """Tune and run a group."""
        settings = self.tune(group).settings
        for seed in range(self.config.seeds):
            self.run(group, seed, settings)

    def run(self, group: list[Method], seed: int, settings: Mapping[str, Any]) -> list[TrialRecord]:
        """The records of one run of a group; of the first, with collapse over the epochs."""
        self.tell(group, f"run {seed + 1} of {self.config.seeds}")
        return self.trained(group, seed, settings, self.dataset, self.content, curve=seed == 0)

    def tell(self, group: list[Method], what: str) -> None:
        """Say what is trained next, and how far the whole is."""
        if self.progress is not None:
            self.progress(f"{get_method(group[0].training_name).label}, {what}", self.done, self.planned)
        self.done += 1

    def trained(
        self,
        group: list[Method],
        seed: int,
        settings: Mapping[str, Any],
        dataset: Dataset,
        content: Mapping[str, str],
        *,
        curve: bool = False,
    ) -> list[TrialRecord]:
        """The records of one training at its settings: ``learning_rate``, and options of the head."""
        head = {**self.config.head.get(group[0].training_name, {}), **settings}
        changes = {"learning_rate": head.pop("learning_rate")} if "learning_rate" in head else {}
        trial = self.config.trial_of(group[0], seed, head, **changes)
        with warnings.catch_warnings():  # features that cannot reach a frame: tuning tries that on purpose
            warnings.filterwarnings("ignore", "the features have no negative entry")
            records = self.store.records(
                trial, dataset, content, group, hardware=self.config.hardware, curve=curve, read_only=self.read_only
            )
        self.met += 1
        return records

    def tune(self, group: list[Method]) -> Tuned:
        """The settings that validation data of the training pool choose for a training.

        The test part never gets here, see :func:`equiangular.compare.tuning.validation_dataset`. Of methods that share
        the training the better one counts.
        """
        trainings, seeds = self.effort(group[0])
        if not trainings:
            known = {m.name: self.config.validation[m.name] for m in group if m.name in self.config.validation}
            return Tuned({}, known, 0, 0.0)
        seconds, space = 0.0, self.space(group[0])
        scored: dict[Settings, float] = {}
        by_method: dict[Settings, dict[str, float]] = {}
        while (settings := self._next(space, scored, trainings)) is not None:
            sums = {method.name: 0.0 for method in group}
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                self.tell(group, f"tuning {len(scored) + 1} of {max(trainings, len(scored) + 1)}")
                records = self.trained(group, seed, settings.options(), *self._validation_part(seed))
                seconds += 0.0 if math.isnan(records[0].seconds) else records[0].seconds
                for record in records:
                    sums[record.method] += record.scores.get("among", math.nan)
            by_method[settings] = {name: total / seeds for name, total in sums.items()}
            finished = [value for value in by_method[settings].values() if not math.isnan(value)]
            scored[settings] = max(finished, default=math.nan)
        # Where every setting diverged the runs do too, and the row says so: the other heads are still compared.
        best = choose(scored) if not all(map(math.isnan, scored.values())) else next(iter(scored))
        return Tuned(best.options(), by_method[best], len(scored) * seeds, seconds)

    def _next(self, space: Space, scored: Mapping[Settings, float], trainings: int) -> Settings | None:
        """What to try next: as many settings as are planned, and more while the best lies at the end of them."""
        if len(scored) < trainings:
            return next_settings(space, scored)
        more = beyond(space, scored) if len(scored) < trainings + BEYOND else None
        self.planned += 0 if more is None else self.folds or FITS[self.config.tune][1]
        return more

    def space(self, method: Method) -> Space:
        """Where the search for a training's settings starts: at what the method builds by default."""
        if isinstance(method, FittedMethod):
            return Space(Settings(strength=STRENGTH if method.kind is None else None), scales=False)
        head, rate = self.heads[method.training_name], self.config.trial.learning_rate
        if method.named:  # its scale is that of its cosines, and BatchNorm would move features away from the names
            return Space(Settings(rate), scales=False)
        norms = ("none", head.norm_kind if head.norm_kind != "none" else "batch")
        if not method.scaled:
            return Space(Settings(rate, None, head.norm_kind), scales=False, norms=norms)
        # Learned heads of both kinds are methods of their own: linear on free features, cosine on normalised ones.
        either = method.head not in ("linear", "cosine")
        start = Settings(rate, float(head.scale), head.norm_kind, head.normalize if either else None)
        other = float(self.head_of(method, normalize=not head.normalize).scale) if either else None
        return Space(start, norms=norms, other_scale=other)

    def _validation_part(self, seed: int) -> tuple[Dataset, dict[str, str]]:
        if seed not in self._inner:
            number = seed - FIRST_SEED if self.folds else seed
            inner = validation_dataset(
                self.dataset, fraction=self.config.tuning_fraction, seed=number, folds=self.folds
            )
            self._inner[seed] = inner, content_digest(inner)
        return self._inner[seed]
