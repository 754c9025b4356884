from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributed as dist
from scipy import stats
from torch.utils.data import DataLoader, DistributedSampler

from equiangular.training.config.draws import epoch_generator
from equiangular.training.engine.sampling import ClassBalancedSampler, class_balanced_order, uniform_order

LABELS = np.repeat(["c", "a", "b"], [80, 16, 4])


def test_uniform_order_is_the_epoch_generator_s():
    assert torch.equal(uniform_order(50, 3, 7), torch.randperm(50, generator=epoch_generator(3, 7)))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_classes_are_drawn_with_their_probabilities(alpha):
    drawn = class_balanced_order(LABELS, seed=0, epoch=0, alpha=alpha, num_samples=20_000)
    sizes = np.array([16, 4, 80.0]) ** (1 - alpha)
    found = np.unique(LABELS[drawn], return_counts=True)[1]
    assert stats.chisquare(found, 20_000 * sizes / sizes.sum()).pvalue > 0.001


def test_samples_of_a_class_are_drawn_equally_often():
    drawn = class_balanced_order(LABELS, seed=1, epoch=0, num_samples=24_000).numpy()
    own = np.bincount(drawn, minlength=100)[LABELS == "a"]
    assert stats.chisquare(own).pvalue > 0.001


def test_an_epoch_is_a_function_of_seed_and_epoch():
    a, b = (class_balanced_order(LABELS, seed=2, epoch=5) for _ in range(2))
    assert torch.equal(a, b)
    assert len(a) == 100
    assert torch.equal(class_balanced_order(LABELS, 2, 5, num_samples=250)[:100], a)
    for seed, epoch in ((2, 6), (3, 5)):
        assert not torch.equal(class_balanced_order(LABELS, seed, epoch), a)


@pytest.mark.parametrize(("num_samples", "replicas"), [(100, 1), (100, 4), (101, 4), (3, 5)])
def test_processes_share_the_draw_of_one(num_samples, replicas):
    for epoch in (0, 3):
        parts = []
        for rank in range(replicas):
            sampler = ClassBalancedSampler(
                LABELS, num_samples=num_samples, seed=9, num_replicas=replicas, rank=rank, alpha=0.5
            )
            sampler.set_epoch(epoch)
            parts.append(list(sampler))
            assert len(parts[-1]) == len(sampler) == -(-num_samples // replicas)
        together = [index for turn in zip(*parts, strict=True) for index in turn]
        single = class_balanced_order(LABELS, 9, epoch, 0.5, num_samples=num_samples).tolist()
        assert together[:num_samples] == single
        assert len(together) - num_samples < replicas


def test_in_a_data_loader():
    sampler = ClassBalancedSampler(torch.tensor([0] * 90 + [1] * 10), seed=1)
    assert isinstance(sampler, DistributedSampler)  # what trainers look for before they put in their own
    loader = DataLoader(torch.arange(100), batch_size=10, sampler=sampler)
    first, again = (torch.cat(list(loader)) for _ in range(2))
    assert torch.equal(first, again)
    sampler.set_epoch(1)
    assert not torch.equal(torch.cat(list(loader)), first)


def test_processes_are_found_by_themselves(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(dist, "get_rank", lambda: 2)
    assert list(ClassBalancedSampler(LABELS)) == list(ClassBalancedSampler(LABELS, num_replicas=3, rank=2))


def test_fifty_thousand_classes_are_drawn_at_once():
    labels = np.arange(100_000) % 50_000
    assert len(class_balanced_order(labels, 0, 0).unique()) > 50_000


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"labels": []}, "labels is empty"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1.5"),
        ({"alpha": "half"}, "alpha must lie in"),
        ({"num_samples": 0}, "num_samples must be an integer >= 1"),
        ({"num_replicas": 2, "rank": 2}, r"rank must lie in \[0, 1\] for 2 processes, got 2"),
        ({"num_replicas": 0}, "num_replicas must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer >= 0"),
    ],
)
def test_bad_arguments(arguments, match):
    labels = arguments.pop("labels", LABELS)
    with pytest.raises(ValueError, match=match):
        ClassBalancedSampler(labels, **arguments)
