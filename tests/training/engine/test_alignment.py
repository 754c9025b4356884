"""The head that is moved between epochs: right means, right epochs, nothing carried over."""

import pytest
import torch

from equiangular import AlignmentSchedule, ETFHead, nearest_simplex_etf
from equiangular.heads import CosineHead

K, D = 4, 6


def batches(seed: int, count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(20, D, generator=generator, dtype=torch.float64), torch.randint(K, (20,), generator=generator))
        for _ in range(count)
    ]


def nearest(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    h, y = (torch.cat(part) for part in zip(*rows, strict=True))
    return nearest_simplex_etf(torch.stack([h[y == c].mean(0) for c in range(K)]))


def test_the_head_goes_to_the_means_of_the_epoch_just_ended() -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    schedule = AlignmentSchedule(head)
    for epoch in range(2):
        for h, y in batches(epoch):
            schedule.update(h, y)
        assert schedule.step()
        torch.testing.assert_close(head.weight, nearest(batches(epoch)))
    assert schedule.moments is None


@pytest.mark.parametrize(
    ("options", "moved"),
    [({}, [1, 2, 3, 4, 5, 6]), ({"every": 2}, [2, 4, 6]), ({"until": 1}, [1]), ({"every": 2, "until": 5}, [2, 4])],
)
def test_the_epochs_of_the_schedule(options: dict, moved: list[int]) -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    schedule, seen = AlignmentSchedule(head, **options), []
    for epoch in range(1, 7):
        before = head.weight.clone()
        for h, y in batches(epoch):
            schedule.update(h, y)
        if schedule.step():
            seen.append(epoch)
        assert torch.equal(before, head.weight) == (epoch not in moved)
    assert seen == moved


def test_an_epoch_without_batches_moves_nothing_and_a_resumed_run_goes_on() -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    schedule = AlignmentSchedule(head, every=2)
    assert not schedule.step()
    resumed = AlignmentSchedule(head, every=2)
    resumed.load_state_dict(schedule.state_dict())
    resumed.update(*batches(0)[0])
    assert resumed.step()
    assert resumed.epoch == 2


def test_matching_deals_the_vertices_out_anew() -> None:
    head = ETFHead(D, K, dtype=torch.float64)
    vertices = head.weight.clone()
    schedule = AlignmentSchedule(head, move="match")
    schedule.update(vertices[[2, 0, 3, 1]], torch.arange(K))
    schedule.step()
    assert torch.equal(head.weight, vertices[[2, 0, 3, 1]])


def test_training_with_an_aligned_head_starts_closer_and_ends_collapsed() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(80) % K
    x = 3 * torch.eye(K)[y] + 0.3 * torch.randn(80, K, generator=generator)
    losses = {}
    for aligned in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            backbone = torch.nn.Linear(K, D)
        head = ETFHead(D, K, seed=2)
        schedule = AlignmentSchedule(head, until=1)
        optimizer = torch.optim.SGD(backbone.parameters(), lr=0.05)
        losses[aligned] = []
        for _ in range(20):
            h = head(backbone(x), pre_logits=True)
            schedule.update(h, y)
            if aligned:
                schedule.step()
            loss = (1 - (h * head.targets(y)).sum(1)).mean()
            losses[aligned].append(float(loss.detach()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert losses[True][0] < losses[False][0]
    assert losses[True][-1] < losses[False][-1]


def test_bad_input() -> None:
    head = ETFHead(D, K)
    with pytest.raises(ValueError, match="every must be an integer >= 1"):
        AlignmentSchedule(head, every=0)
    with pytest.raises(ValueError, match="until must be an integer >= 1"):
        AlignmentSchedule(head, until=0)
    with pytest.raises(ValueError, match="move must be one of"):
        AlignmentSchedule(head, move="jump")
    schedule = AlignmentSchedule(head)
    with pytest.raises(ValueError, match="features must have width 6"):
        schedule.update(torch.ones(2, D + 1), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="labels must lie in"):
        schedule.update(torch.ones(2, D), torch.tensor([0, K]))
    learned = AlignmentSchedule(CosineHead(D, K))
    learned.update(torch.ones(2, D), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="cannot be aligned"):
        learned.step()
