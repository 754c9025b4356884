"""Two gloo processes, each with its share of the samples, end with the classifier of all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.processes import run_two

from equiangular import ClosedFormHead
from equiangular.closed_form import ClosedForm, merge_across_processes

KINDS = ("gaussian", "kernel")


def samples():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(150) % 5
    return torch.randn(5, 8, generator=generator)[y] + torch.randn(150, 8, generator=generator), y


def _rank(rank: int, folder: str) -> None:
    x, y = samples()
    mine = y < 3 if rank == 0 else y >= 3  # classes of one process alone
    for kind in KINDS:
        head = ClosedFormHead(8, kind=kind).partial_fit(x[mine], y[mine])
        np.save(f"{folder}/{kind}{rank}.npy", merge_across_processes(head)(x).numpy())


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_two(_rank, tmp_path)
    x, y = samples()
    for kind in KINDS:
        first, second = (np.load(tmp_path / f"{kind}{rank}.npy") for rank in (0, 1))
        assert (first == second).all()
        np.testing.assert_allclose(first, ClosedFormHead(8, kind=kind).fit(x, y)(x), rtol=1e-5, atol=1e-5)


def test_one_process_alone_is_left_as_it_is() -> None:
    model = ClosedForm(8, 5).update(*samples())
    count = model.class_counts.clone()
    assert merge_across_processes(model) is model
    assert torch.equal(model.class_counts, count)
