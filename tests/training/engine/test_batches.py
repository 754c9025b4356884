"""Batches: every sample once, and the same whatever the number of processes, of parts and of the step begun at."""

from typing import Any

import pytest
import tests.training.partners  # noqa: F401 - adds the mixing 'from-all'
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from equiangular.data.split import as_float
from equiangular.training.config.budget import Budget
from equiangular.training.config.draws import batch_bounds, derived_seed, even_parts
from equiangular.training.engine.batches import Batches

IMAGES = torch.randint(0, 256, (37, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(37) % 5


def make(inputs: Any = IMAGES, *, budget: Budget | None = None, seed: int = 0, **options: Any) -> Batches:
    budget = budget or Budget(batch_size=8)
    labels = LABELS[: inputs.shape[0]]
    return Batches(inputs, labels, budget, seed=seed, prepare=as_float, device=torch.device("cpu"), **options)


def whole(batches: Batches, epoch: int = 0, start: int = 0) -> list[tuple[Tensor, Any]]:
    """Inputs and targets of each step with its parts put together again."""
    return [(torch.cat([x for x, _ in b.parts]), b.target) for b in batches.epoch(epoch, start=start)]


@given(st.integers(2, 200), st.integers(2, 64))
def test_every_sample_once_and_no_batch_of_one(num_samples: int, batch_size: int) -> None:
    covered = [i for start, stop in batch_bounds(num_samples, batch_size) for i in range(start, stop)]
    assert covered == list(range(num_samples))
    assert all(2 <= stop - start <= batch_size + 1 for start, stop in batch_bounds(num_samples, batch_size))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9))
def test_even_parts(start: int, length: int, parts: int) -> None:
    bounds = even_parts(start, start + length, parts)
    assert [i for a, b in bounds for i in range(a, b)] == list(range(start, start + length))
    sizes = [b - a for a, b in bounds]
    assert len(bounds) == parts
    assert max(sizes) - min(sizes) <= 1


def test_the_draws_of_augmentation_and_dropout_have_seeds_of_their_own() -> None:
    epochs = [(s, e) for s in range(9) for e in range(9)]
    numbers = [(*n, step, 1) for n in epochs for step in range(9)]
    numbers += [(*n, step, 2, rank) for n in epochs for step in range(9) for rank in range(4)]
    seeds = [derived_seed(*n) for n in numbers]
    assert len({s % 2**32 for s in seeds}) == len(numbers)  # torch's CPU generator takes 32 bits
    assert all(0 <= s < 2**63 for s in seeds)


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    rows = torch.arange(37).float()[:, None]

    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([x for x, _ in whole(make(rows, seed=seed), epoch)])[:, 0].long().tolist()

    before = torch.get_rng_state()
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(s, e)) for s in range(3) for e in range(3)}) == 9
    assert sorted(order(2, 2)) == list(range(37))
    assert torch.equal(torch.get_rng_state(), before)


def test_targets_follow_their_inputs() -> None:
    rows = torch.arange(37).float()[:, None]
    for batch in make(rows).epoch(0):
        for x, y in batch.parts:
            assert torch.equal(LABELS[x[:, 0].long()], y)


MIXES = [("none", "none"), ("crop,flip", "none"), ("crop,flip", "mixup:1.0"), ("none", "cutmix:1.0")]
MIXES += [("crop,flip", "from-all"), ("none", "from-all:2.0")]


@pytest.mark.parametrize(("augment", "mix"), MIXES)
@pytest.mark.parametrize(("world_size", "accumulate"), [(2, 1), (3, 1), (1, 3), (2, 2)])
def test_processes_and_parts_make_up_the_batch_of_one(augment: str, mix: str, world_size: int, accumulate: int) -> None:
    budget = Budget(batch_size=8, augment=augment, mix=mix)
    one = list(make(budget=budget).epoch(3))
    ranks = [
        list(make(budget=budget, rank=r, world_size=world_size, accumulate=accumulate).epoch(3))
        for r in range(world_size)
    ]
    for i, expected in enumerate(one):
        assert {r[i].size for r in ranks} == {expected.size}
        assert len({len(r[i].parts) for r in ranks}) == 1
        order = [r[i].parts[p] for p in range(len(ranks[0][i].parts)) for r in ranks]
        assert torch.equal(torch.cat([x for x, _ in order]), expected.parts[0][0])
        targets = [t if mix == "none" else t[0] for _, t in order]
        assert torch.equal(torch.cat(targets), expected.target if mix == "none" else expected.target[0])
        if mix != "none":
            assert torch.equal(torch.cat([t[1] for _, t in order]), expected.target[1])
            if mix.startswith("from-all"):
                assert torch.equal(torch.cat([t[2] for _, t in order]), expected.target[2])
            else:
                assert all(t[2] == expected.target[2] for _, t in order)
    assert one[-1].size == 5  # an uneven last batch is among them


@pytest.mark.parametrize("mix", ["mixup:1.0", "from-all"])
def test_mixup_is_what_its_target_says(mix: str) -> None:
    rows = torch.eye(37)
    for batch in make(rows, budget=Budget(batch_size=8, mix=mix)).epoch(0):
        ((x, (a, b, lam)),) = batch.parts
        shares = torch.zeros(len(a), 5).index_add(1, LABELS, x)
        expected = torch.zeros(len(a), 5)
        expected[torch.arange(len(a)), a] += lam
        expected[torch.arange(len(a)), b] += 1 - lam
        torch.testing.assert_close(shares, expected)


@pytest.mark.parametrize("start", [1, 4])
def test_an_epoch_taken_up_in_the_middle(start: int) -> None:
    budget = Budget(batch_size=8, augment="crop,flip", mix="mixup:1.0")
    all_of_it, rest = whole(make(budget=budget), 2), whole(make(budget=budget), 2, start)
    assert len(rest) == len(all_of_it) - start
    for (x, t), (y, u) in zip(all_of_it[start:], rest, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(t[0], u[0])


def test_the_class_balanced_sampler() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    budget = Budget(batch_size=20, sampler="class-balanced")
    batches = Batches(torch.zeros(100, 1), labels, budget, seed=0, prepare=as_float, device=torch.device("cpu"))
    drawn = torch.cat([b.target for e in range(20) for b in batches.epoch(e)])
    assert len(drawn) == 2000
    assert abs(float(drawn.float().mean()) - 0.5) < 0.05


def test_augmentation_of_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augment='crop,flip' is for images, the inputs have shape \(37, 2\)"):
        make(torch.zeros(37, 2), budget=Budget(augment="crop,flip"))
