"""Several trainings of a comparison at a time, each in a process of its own."""

import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from tests.compare.conftest import HELD, blobs

from equiangular.compare import Comparing, ahead, compare, configure
from equiangular.records import TrialRecord, to_json
from equiangular.training.config.options import Hardware

MEASURED = ("seconds", "peak_memory")
FEW = {"methods": ("ridge", "logistic", "logistic-pc"), "seeds": 2}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    (x, y), (own_x, own_y) = blobs(HELD, 0), blobs((20,) * len(HELD), 1)
    np.savez(tmp_path / "v.npz", train_X=x, train_y=y, test_X=own_x, test_y=own_y)
    return tmp_path / "v.npz"


def without_times(record: TrialRecord) -> object:
    return to_json(replace(record, **dict.fromkeys(MEASURED, 0.0)))


@pytest.mark.slow
def test_two_at_a_time_give_what_one_gives(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_WORTH", 0.0)
    config, told = configure(str(vectors), **FEW), []
    one = compare(config, tmp_path / "one")
    comparing = Comparing(config, tmp_path / "two")
    plan = comparing.plan(2)
    assert "  2 at a time, each in a process of its own" in plan.lines()
    store, trained = comparing.store, []
    monkeypatch.setattr(type(store), "records", _noting(type(store).records, trained))
    two = comparing.run(plan, lambda *step: told.append(step))
    assert not multiprocessing.active_children()
    assert [without_times(record) for record in two.runs] == [without_times(record) for record in one.runs]
    assert {name: one.settings for name, one in two.tuning.items()} == {
        name: one.settings for name, one in one.tuning.items()
    }
    files = [sorted(path.name for path in (tmp_path / out / "trials").iterdir()) for out in ("one", "two")]
    assert files[0] == files[1]
    assert set(trained) == {"read"}, "this process trained what another one was to train"
    first = len(files[0])
    assert [done for _, done, _ in told] == list(range(first)), "told of each once"
    assert all(done < planned for _, done, planned in told)


def _noting(records, trained):
    def noting(self, trial, dataset, content, methods, **options):
        before = len(list(self.folder.iterdir()))
        found = records(self, trial, dataset, content, methods, **options)
        trained.append("read" if len(list(self.folder.iterdir())) == before else "trained")
        return found

    return noting


@pytest.mark.slow
def test_a_process_that_fails_leaves_the_rest_to_this_one(vectors: Path, tmp_path: Path) -> None:
    comparing = Comparing(configure(str(vectors), **FEW), tmp_path / "out")
    plan, trials = comparing.plan(), tmp_path / "out" / "trials"
    trials.rmdir()
    trials.write_text("no folder", encoding="utf-8")
    options = {"jobs": 1, "planned": plan.trainings, "progress": None}
    assert ahead.train_ahead(comparing.trainings, comparing.groups, **options) == (False, [])
    assert not multiprocessing.active_children()
    with pytest.raises(OSError, match="trials"):
        comparing.run(plan)
    trials.unlink()
    trials.mkdir()
    assert len(comparing.run(plan).runs) == 6


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_of(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it starts, which is when memory is short, and while it trains."""
    monkeypatch.setattr(ahead, "_WORTH", 0.0)
    comparing = Comparing(configure(str(vectors), **FEW), tmp_path / "out")
    plan, started = comparing.plan(2), []
    begin = ahead._Worker.__init__

    def killed(self: ahead._Worker) -> None:
        begin(self)
        started.append(self)
        if len(started) == 1:
            self.process.kill()

    monkeypatch.setattr(ahead._Worker, "__init__", killed)

    def kill_the_second(what: str, done: int, planned: int) -> None:
        if len(started) == 2 and done == 0:
            started[1].process.kill()

    found = comparing.run(plan, kill_the_second)
    told = "a process that trained ended by signal 9, as for lack of memory; what it was at was made again"
    assert [note for note in found.notes if "process" in note] == [told, told]
    assert len(found.runs) == 6
    assert not multiprocessing.active_children()


def test_a_script_that_is_imported_by_the_processes_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead.check_importable(2)
    monkeypatch.setitem(sys.modules, "__mp_main__", ModuleType("__mp_main__"))
    ahead.check_importable(1)
    with pytest.raises(SystemExit, match='if __name__ == "__main__"'):
        ahead.check_importable(2)


def test_jobs_are_as_many_as_have_work(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparing = Comparing(configure(str(vectors), **FEW), tmp_path / "out")
    assert comparing.plan(2).jobs == 1, "less than the start of a process takes"
    monkeypatch.setattr(ahead, "_WORTH", 0.0)
    assert comparing.plan(500).jobs == 2 * 2 + 5  # runs of two trainings, and five to tune one of them
    comparing.run(comparing.plan())
    assert comparing.plan(8).jobs == 1, "all is done"
    with pytest.raises(ValueError, match="jobs must be"):
        compare(comparing.config, tmp_path / "out", jobs=0)


def test_usual_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def jobs(accelerator: str = "cpu", x: object = torch.zeros(10)) -> int:
        data = SimpleNamespace(train_x=x, test_x=torch.zeros(10))
        return ahead.usual_jobs(
            SimpleNamespace(config=SimpleNamespace(hardware=Hardware(accelerator=accelerator)), dataset=data)
        )

    assert jobs() == 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert jobs() == 6
    assert jobs("cuda") == 1
    assert jobs(x=object()) == 1, "images that are read again and again"
    assert jobs(x=torch.zeros(1).expand(2**28)) == 1, "data of a gigabyte"
    monkeypatch.setattr("joblib.cpu_count", lambda: 128)
    assert jobs() == 8
