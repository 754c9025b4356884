"""A comparison from data to answer: plan, tuning, paired runs, all of it resumable."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from equiangular._files import prepare_folder, read_json, write_json
from equiangular._lock import FolderLock
from equiangular._provenance import provenance
from equiangular.compare.config import NAMED_METHODS, NAMED_SAMPLES, CompareConfig, fit_to, without_etf
from equiangular.compare.plan import Plan, describe_data, estimate_fits, estimate_seconds
from equiangular.compare.summary import answer_of, rows_of
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
    validation_dataset,
)
from equiangular.data import Dataset, content_digest
from equiangular.encoders.embedding import Progress as EmbedProgress
from equiangular.heads import Head
from equiangular.models import make_backbone
from equiangular.records import Comparison, TrialRecord, Tuned, to_json
from equiangular.training.config.budget import Budget
from equiangular.training.config.options import Numerics
from equiangular.training.methods import FittedMethod, Method, get_method
from equiangular.training.methods.fitted import KERNEL_SAMPLES, STRENGTH
from equiangular.training.run.fitting import check_class_vectors
from equiangular.training.run.folder import RunFolder
from equiangular.training.run.store import NotStoredError, TrialStore
from equiangular.training.run.trial import backbone_of, load_data, split_of

_OF_GRADIENTS = {f.name for f in (*fields(Budget), *fields(Numerics))}
# (what is being done, trainings done, trainings planned)
Progress = Callable[[str, int, int], None]


class Comparing:
    """A comparison in the making: its data loaded, its heads built, nothing trained yet.

    Args:
        config: the comparison.
        output: folder for the results; finished trials are kept in its ``trials``.
        device: what an encoder computes features on.
        embedding: called while it does, with the inputs done and their number.

    Raises:
        ValueError: bad configuration, unknown data, unwritable folder, or a head that does not fit.
    """

    def __init__(
        self, config: CompareConfig, output: str | Path, *, device: str = "auto", embedding: EmbedProgress | None = None
    ) -> None:
        self.folder = prepare_folder(output)
        self.results, self.known = self.folder / "results.json", self.folder / "data.json"
        if RunFolder(self.folder).config.exists():
            raise ValueError(
                f"{self.folder} has a run of equiangular train, whose results a comparison would overwrite. "
                "Give the comparison another folder with --output."
            )
        self.store = TrialStore(self.folder / "trials")
        self.dataset = load_data(config.trial, device=device, progress=embedding)
        self._check_folder()
        self.content = content_digest(self.dataset)
        self.config = fit_to(config, self.dataset)
        trial, shape = self.config.trial, self.dataset.input_shape
        self._width = cache(lambda name: make_backbone(name, shape, width=trial.width, seed=0).num_features)
        if not config.methods and self.dataset.num_classes > 1 + max(
            map(self.width_of, map(get_method, self.config.methods))
        ):
            self.config = replace(self.config, methods=without_etf(self.config.methods))
        self.remarks: list[str] = []
        if not config.methods and self.dataset.kind == "vectors":
            self._leave_out_what_is_slow()
        groups: dict[str, list[Method]] = {}
        for method in map(get_method, self.config.methods):
            check_class_vectors(method, self.dataset.names_features, self.backbone_of(method))
            groups.setdefault(method.training_name, []).append(method)
        self.groups = list(groups.values())
        trained = [group[0] for group in self.groups if not isinstance(group[0], FittedMethod)]
        networks = [self.backbone_of(method) for method in trained or (self.groups[0][0],)]
        self.backbone = " and ".join(dict.fromkeys(networks))
        self.heads = {group[0].training_name: self.head_of(group[0]) for group in self.groups}
        self.validation_part = cache(self._validation_part)
        self.progress: Progress | None = None
        self.met, self.read_only = 0, False  # trainings that were read or run; whether they may only be read

    def _check_folder(self) -> None:
        """Raise if the folder has a comparison on other data, which this one would overwrite."""
        for path in (self.known, self.results):
            name = _data_in(read_json(path)).get("name") if path.exists() else None
            if isinstance(name, str) and name != self.dataset.name:
                raise ValueError(
                    f"{self.folder} has a comparison on {name!r}, and this one is on {self.dataset.name!r}. Give it "
                    "another folder with --output."
                )

    def backbone_of(self, method: Method) -> str:
        """The name of the backbone that a method works behind here."""
        return backbone_of(self.config.trial, self.dataset, method)

    def width_of(self, method: Method) -> int:
        """The width of the features that the method's head takes."""
        return self._width(self.backbone_of(method))

    def _leave_out_what_is_slow(self) -> None:
        first = self.config.trial_of(get_method(self.config.methods[0]), 0, {})
        samples = len(split_of(first, self.dataset).train_y)
        slow = (
            (KERNEL_SAMPLES, "the kernel is", "it takes a matrix of all pairs of them", ("kernel", "kernel-names")),
            (NAMED_SAMPLES, "methods with class names are", "names add little there", NAMED_METHODS),
        )
        for most, what, why, names in slow:
            if samples > most and set(names) & set(self.config.methods):
                rest = tuple(name for name in self.config.methods if name not in names)
                self.config = replace(self.config, methods=rest)
                self.remarks.append(
                    f"{what} left out with more than {most:,} samples to train on, here {samples:,}: {why}; --methods "
                    "has them all the same"
                )

    def head_of(self, method: Method, **changes: Any) -> Head:
        """The head that a method builds by default here, or with other options."""
        options = {**method.head_options, **self.config.head.get(method.training_name, {}), **changes}
        return replace(method, head_options=options).build_head(self.width_of(method), self.dataset.num_classes, seed=0)

    def plan(self) -> Plan:
        """What will be done and for how long; nothing is trained but a few steps, to time them."""
        data, blind = describe_data(self.dataset, self.config, [group[0] for group in self.groups], self.content)
        old = next((_digest_in(read_json(path)) for path in (self.known, self.results) if path.exists()), {})
        if changed := [part for part, digest in self.content.items() if old.get(part, digest) != digest]:
            data.notes.append(
                f"{', '.join(changed)} changed since the trainings in {self.folder} were made: every one is run anew, "
                "nothing of the old data is mixed in"
            )
        data.notes.extend(self.remarks)
        fitted, trained = ([g for g in self.groups if isinstance(g[0], FittedMethod) == one] for one in (True, False))
        done, efforts = {}, {}
        for group in self.groups:
            name = group[0].training_name
            done[name] = self.finished(group)
            efforts[name] = math.prod(self.effort(group[0])) + self.planned  # with those of a search that went on
        left = {name: self.config.seeds + efforts[name] - done[name] for name in done}
        data.notes.extend(self._damaged())
        of_trained, of_fitted = ([g[0].training_name for g in groups] for groups in (trained, fitted))
        return Plan(
            self.config,
            data,
            self.backbone,
            heads=len(trained),
            seconds=self._seconds_of_trainings([g[0] for g in trained], left),
            done=sum(map(done.__getitem__, of_trained)),
            tuning=sum(map(efforts.__getitem__, of_trained)),
            fits=len(fitted),
            fits_done=sum(map(done.__getitem__, of_fitted)),
            fits_tuning=sum(map(efforts.__getitem__, of_fitted)),
            fits_seconds=self._seconds_of_fits(fitted, left),
            alike=len({efforts[name] for name in of_trained}) < 2,
            blind=blind,
        )

    def _seconds_of_trainings(self, methods: list[Method], left: Mapping[str, int]) -> float:
        """Of those that are left, one timed for each backbone."""
        total = 0.0
        for backbone in dict.fromkeys(map(self.backbone_of, methods)):
            behind = [method for method in methods if self.backbone_of(method) == backbone]
            if number := sum(left[method.training_name] for method in behind):
                first = self.config.trial_of(behind[0], 0, {})
                total += number * estimate_seconds(first, self.dataset, self.config.hardware)
        return total

    def _seconds_of_fits(self, groups: list[list[Method]], left: Mapping[str, int]) -> float:
        some = [group for group in groups if left[group[0].training_name]]
        if not some:
            return 0.0
        first = self.config.trial_of(some[0][0], 0, {})
        each = estimate_fits(first, self.dataset, some)
        return sum(left[group[0].training_name] * seconds for group, seconds in zip(some, each, strict=True))

    def _damaged(self) -> list[str]:
        return [
            f"{self.store.folder / name} is damaged, so its training is made anew: {why}"
            for name, why in self.store.damaged.items()
        ]

    def effort(self, method: Method) -> tuple[int, int]:
        """Settings to try for a method, and seeds of each.

        A classifier in closed form chooses by leave-one-out itself: one fit, where a score on validation data is wanted
        of it to choose heads by.
        """
        if not isinstance(method, FittedMethod) and not method.named:
            return EFFORTS[self.config.tune]
        settings, seeds = FITS[self.config.tune]
        computed = isinstance(method, FittedMethod) and method.kind is not None
        return min(settings, self.config.tuning_chooses) if computed else settings, seeds

    def finished(self, group: list[Method]) -> int:
        """How many of the trainings of a group are in the folder already: its steps, made without training."""
        self.done, self.planned = 0, 0
        self.met, self.read_only = 0, True
        with contextlib.suppress(NotStoredError):  # the first one that is not there ends the group
            settings = self.tune(group).settings
            for seed in range(self.config.seeds):
                self.trained(group, seed, settings, self.dataset, self.content)
        self.read_only = False
        return self.met

    def run(self, plan: Plan, progress: Progress | None = None) -> Comparison:
        """Tune, run and answer; writes ``results.json``.

        Finished trainings are kept; a killed comparison goes on from them, and a changed configuration or data set
        trains again exactly what it changes.
        """
        with FolderLock(self.folder) as lock:
            return self._run(plan, progress, lock)

    def _run(self, plan: Plan, progress: Progress | None, lock: FolderLock) -> Comparison:
        self._check_folder()  # again: another comparison may have begun before the lock was had
        self.store.check = lock.check
        # At once: a comparison that is killed leaves what its trainings were made on.
        write_json(self.known, {"data": to_json(plan.data)})
        self.done, self.progress = 0, progress
        self.planned = sum(self.config.seeds + math.prod(self.effort(group[0])) for group in self.groups)
        tuned = {group[0].training_name: self.tune(group) for group in self.groups}
        records: list[TrialRecord] = []
        for seed in range(self.config.seeds):  # seed by seed: an early stop leaves whole pairs
            for group in self.groups:
                self.tell(group, f"run {seed + 1} of {self.config.seeds}")
                settings = tuned[group[0].training_name].settings
                records += self.trained(group, seed, settings, self.dataset, self.content, curve=seed == 0)
        validation = self.validation_scores(tuned, records)
        rows = rows_of(records, self.config.methods, validation)
        comparison = Comparison(
            config=self._told(),
            data=plan.data,
            backbone=self.backbone,
            rows=rows,
            answer=answer_of(rows, records, self.dataset.test_y, self.config, self.dataset.name, len(plan.blind)),
            runs=records,
            tuning={name: one for name, one in tuned.items() if one.trainings},
            notes=[f"{row.label}: {row.note}" for row in rows if row.note] + self._damaged(),
            provenance=provenance(),
        )
        lock.check()
        write_json(self.results, to_json(comparison), durable=True)
        return comparison

    def _told(self) -> dict[str, Any]:
        """The configuration; where nothing is trained by gradients, without how."""
        values = self.config.as_dict()
        if all(isinstance(group[0], FittedMethod) for group in self.groups):
            values = {name: value for name, value in values.items() if name not in _OF_GRADIENTS}
        return values

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
                records = self.trained(group, seed, settings.options(), *self.validation_part(seed))
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
        self.planned += 0 if more is None else FITS[self.config.tune][1]
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
        inner = validation_dataset(self.dataset, fraction=self.config.tuning_fraction, seed=seed)
        return inner, content_digest(inner)

    def validation_scores(self, tuned: Mapping[str, Tuned], records: list[TrialRecord]) -> dict[str, float]:
        """What heads are chosen by, see :attr:`CompareConfig.tuning_chooses`; of the runs, the mean by method."""
        if self.config.tuning_chooses:
            return {name: value for one in tuned.values() for name, value in one.validation.items()}
        of_runs: dict[str, list[float]] = {}
        for record in records:
            of_runs.setdefault(record.method, []).append(record.validation)
        return {name: sum(values) / len(values) for name, values in of_runs.items()}


def _data_in(results: Any) -> dict[str, Any]:
    """What results of any version say of their data; empty where they do not."""
    data = results.get("data") if isinstance(results, dict) else None
    return data if isinstance(data, dict) else {}


def _digest_in(results: Any) -> dict[str, str]:
    """What results of any version say of the content of their data; empty where they do not."""
    digest = _data_in(results).get("digest")
    return digest if isinstance(digest, dict) else {}


def compare(config: CompareConfig, output: str | Path, *, progress: Progress | None = None) -> Comparison:
    """Compare methods on one data set: plan, tune, run, answer.

    Args:
        config: see :func:`equiangular.compare.configure`.
        output: folder for the results.
        progress: called before each training with what it is, the trainings done and those planned.

    Returns:
        The comparison, as ``results.json`` has it.

    Raises:
        ValueError: bad configuration, unknown data, unwritable folder, or a head that does not fit.
    """
    comparing = Comparing(config, output)
    return comparing.run(comparing.plan(), progress)
