"""A comparison from data to answer: plan, tuning, paired runs, all of it resumable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from equiangular._checks import check_int
from equiangular._defaults import usual_defaults
from equiangular._files import json_plain, prepare_folder, read_json, write_json
from equiangular._lock import FolderLock
from equiangular._provenance import provenance
from equiangular.compare.ahead import check_importable, train_ahead, useful_jobs, usual_jobs
from equiangular.compare.config import NAMED_METHODS, NAMED_SAMPLES, CompareConfig, fit_to, without_etf
from equiangular.compare.plan import Plan, describe_data, estimate_fits, estimate_seconds
from equiangular.compare.summary import answer_of, rows_of, samples_behind
from equiangular.compare.trainings import Progress, Trainings, width_of
from equiangular.data import content_digest
from equiangular.data.preview import previews
from equiangular.encoders.embedding import Progress as EmbedProgress
from equiangular.records import Comparison, TrialRecord, Tuned, from_json, to_json
from equiangular.training.config.budget import Budget
from equiangular.training.config.options import Numerics
from equiangular.training.methods import FittedMethod, Method, get_method
from equiangular.training.methods.fitted import KERNEL_SAMPLES
from equiangular.training.run.folder import RunFolder
from equiangular.training.run.store import TrialStore
from equiangular.training.run.trial import load_data, split_of

_OF_GRADIENTS = {f.name for f in (*fields(Budget), *fields(Numerics))}


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
        self.folder = Path(output).expanduser()
        self.results, self.known = self.folder / "results.json", self.folder / "data.json"
        self.read_only = False
        if not self.results.exists():  # what is finished may lie on a disk that cannot be written
            prepare_folder(self.folder)
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
        widths = (width_of(self.config, self.dataset, get_method(name)) for name in self.config.methods)
        if not config.methods and self.dataset.num_classes > 1 + max(widths):
            self.config = replace(self.config, methods=without_etf(self.config.methods))
        self.remarks: list[str] = []
        if not config.methods and self.dataset.kind == "vectors":
            self._leave_out_what_is_slow()
        self.trainings = Trainings(self.config, self.dataset, self.content, self.store)
        self.groups = self.trainings.groups
        trained = [group[0] for group in self.groups if not isinstance(group[0], FittedMethod)]
        networks = [self.trainings.backbone_of(method) for method in trained or (self.groups[0][0],)]
        self.backbone = " and ".join(dict.fromkeys(networks))

    def _check_folder(self) -> None:
        """Raise if the folder has a comparison on other data, which this one would overwrite."""
        for path in (self.known, self.results):
            name = _data_in(read_json(path)).get("name") if path.exists() else None
            if isinstance(name, str) and name != self.dataset.name:
                raise ValueError(
                    f"{self.folder} has a comparison on {name!r}, and this one is on {self.dataset.name!r}. Give it "
                    "another folder with --output."
                )

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

    def plan(self, jobs: int | None = 1) -> Plan:
        """What will be done and for how long; nothing is trained but a few steps, to time them.

        ``jobs``: trainings at a time, each in a process of its own; None: as many as :func:`usual_jobs`.
        """
        data, blind = describe_data(self.trainings)
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
            done[name] = self.trainings.finished(group)
            # With those of a search that went on.
            efforts[name] = math.prod(self.trainings.effort(group[0])) + self.trainings.planned
        left = {name: self.config.seeds + efforts[name] - done[name] for name in done}
        data.notes.extend(self._damaged())
        of_trained, of_fitted = ([g[0].training_name for g in groups] for groups in (trained, fitted))
        self.seconds = {
            **self._seconds_of_trainings([g[0] for g in trained], left),
            **self._seconds_of_fits([g for g in fitted if left[g[0].training_name]], left),
        }
        jobs = useful_jobs(usual_jobs(self.trainings) if jobs is None else jobs, sum(self.seconds.values()))
        jobs = min(jobs, sum(left.values())) or 1
        return Plan(
            self.config,
            data,
            self.backbone,
            heads=len(trained),
            seconds=sum(self.seconds.get(name, 0.0) for name in of_trained) / jobs,
            done=sum(map(done.__getitem__, of_trained)),
            tuning=sum(map(efforts.__getitem__, of_trained)),
            fits=len(fitted),
            fits_done=sum(map(done.__getitem__, of_fitted)),
            fits_tuning=sum(map(efforts.__getitem__, of_fitted)),
            fits_seconds=sum(self.seconds.get(name, 0.0) for name in of_fitted) / jobs,
            jobs=jobs,
            alike=len({efforts[name] for name in of_trained}) < 2,
            blind=blind,
        )

    def _seconds_of_trainings(self, methods: list[Method], left: Mapping[str, int]) -> dict[str, float]:
        """Of those that are left, by name; one is timed for each backbone."""
        seconds = {}
        for backbone in dict.fromkeys(map(self.trainings.backbone_of, methods)):
            behind = [method for method in methods if self.trainings.backbone_of(method) == backbone]
            if any(left[method.training_name] for method in behind):
                each = estimate_seconds(self.config.trial_of(behind[0], 0, {}), self.dataset, self.config.hardware)
                seconds.update({method.training_name: each * left[method.training_name] for method in behind})
        return seconds

    def _seconds_of_fits(self, groups: list[list[Method]], left: Mapping[str, int]) -> dict[str, float]:
        if not groups:
            return {}
        each = estimate_fits(self.config.trial_of(groups[0][0], 0, {}), self.dataset, groups)
        names = [group[0].training_name for group in groups]
        return {name: left[name] * seconds for name, seconds in zip(names, each, strict=True)}

    def _damaged(self) -> list[str]:
        return [
            f"{self.store.folder / name} is damaged, so its training is made anew: {why}"
            for name, why in self.store.damaged.items()
        ]

    def run(self, plan: Plan, progress: Progress | None = None) -> Comparison:
        """Tune, run and answer; writes ``results.json``.

        Finished trainings are kept; a killed comparison goes on from them, and a changed configuration or data set
        trains again exactly what it changes. A finished one on a disk that cannot be written is read, and
        ``read_only`` is true from then on.
        """
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(FolderLock(self.folder))
            except OSError:
                if (stored := self._stored()) is None:
                    prepare_folder(self.folder)  # which says what to do
                    raise
                self.read_only = True
                return stored
            return self._run(plan, progress, lock)

    def _stored(self) -> Comparison | None:
        """The results in the folder, where they are of this comparison on these data."""
        if not self.results.exists():
            return None
        values = read_json(self.results)
        if values.get("config") != json_plain(self._told()) or _digest_in(values) != self.content:
            return None
        return from_json(Comparison, values)

    def _run(self, plan: Plan, progress: Progress | None, lock: FolderLock) -> Comparison:
        self._check_folder()  # again: another comparison may have begun before the lock was had
        self.store.lock = lock
        # At once: a comparison that is killed leaves what its trainings were made on.
        write_json(self.known, {"data": to_json(plan.data)})
        planned = sum(self.config.seeds + math.prod(self.trainings.effort(group[0])) for group in self.groups)
        ended: list[str] = []
        if plan.jobs > 1:
            groups = [group for group in self.groups if self.seconds.get(group[0].training_name)]
            groups.sort(key=lambda group: -math.prod(self.trainings.effort(group[0])))  # tuning cannot be divided
            whole, ended = train_ahead(self.trainings, groups, jobs=plan.jobs, planned=planned, progress=progress)
            progress = None if whole else progress  # all is told
        self.trainings.start(planned, progress)
        tuned = {group[0].training_name: self.trainings.tune(group) for group in self.groups}
        records: list[TrialRecord] = []
        for seed in range(self.config.seeds):  # seed by seed: an early stop leaves whole pairs
            for group in self.groups:
                records += self.trainings.run(group, seed, tuned[group[0].training_name].settings)
        validation = self.validation_scores(tuned, records)
        rows = rows_of(records, self.config.methods, validation)
        answer = answer_of(rows, records, self.dataset.test_y, self.config, self.dataset.name, len(plan.blind))
        comparison = Comparison(
            config=self._told(),
            data=plan.data,
            backbone=self.backbone,
            rows=rows,
            answer=answer,
            runs=records,
            tuning={name: one for name, one in tuned.items() if one.trainings},
            notes=[f"{row.label}: {row.note}" for row in rows if row.note] + self._damaged() + ended,
            provenance=provenance(),
            samples=previews(self.dataset, samples_behind(records, (answer.fixed, answer.learned))),
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

    def validation_scores(self, tuned: Mapping[str, Tuned], records: list[TrialRecord]) -> dict[str, float]:
        """What heads are chosen by, see :attr:`Trainings.chooses`; of the runs, the mean by method."""
        if self.trainings.chooses:
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


@usual_defaults()
def compare(
    config: CompareConfig, output: str | Path, *, jobs: int = 1, progress: Progress | None = None
) -> Comparison:
    """Compare methods on one data set: plan, tune, run, answer.

    Args:
        config: see :func:`equiangular.compare.configure`.
        output: folder for the results.
        jobs: trainings at a time, each in a process of its own. The results are the same. A script that asks for
            several is imported by each process, so its own work stands behind ``if __name__ == "__main__":``.
        progress: called before each training with what it is, the trainings done and those planned.

    Returns:
        The comparison, as ``results.json`` has it.

    Raises:
        ValueError: bad configuration, unknown data, unwritable folder, or a head that does not fit.
    """
    check_importable(check_int(jobs, "jobs", minimum=1))
    comparing = Comparing(config, output)
    return comparing.run(comparing.plan(jobs), progress)
