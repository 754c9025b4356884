from __future__ import annotations

import pytest
import torch

from equiangular.training import Budget, Trial
from equiangular.training.augment.growth import grown_to, resized
from equiangular.training.engine.batches import Batches


def batches(budget: Budget) -> Batches:
    images = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels, device = torch.arange(12) % 3, torch.device("cpu")
    return Batches(images, labels, budget, seed=1, prepare=lambda x: x.float() / 255, device=device)


@pytest.mark.parametrize("start", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("epochs", [1, 2, 9, 40])
def test_the_share_never_falls_and_ends_at_one(epochs: int, start: float) -> None:
    shares = [grown_to(epoch, epochs, start) for epoch in range(epochs)]
    assert shares == sorted(shares)
    assert shares[0] == start
    if epochs > 1:
        assert all(share == 1 for share in shares[round(0.6 * epochs) :])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_small_images_are_means_of_the_large(layout: torch.memory_format) -> None:
    """Halving without aliasing: a constant stays, a plane stays a plane, the checkerboard of single pixels is grey."""
    ramp = torch.arange(16.0).expand(1, 3, 16, 16)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * torch.ones(1, 3, 1, 1)
    images = torch.cat([torch.full((1, 3, 16, 16), 7.0), ramp, board]).contiguous(memory_format=layout)
    small = resized(images, 0.5)
    assert small.shape == (3, 3, 8, 8)
    assert small.is_contiguous(memory_format=layout)
    torch.testing.assert_close(small[0], torch.full((3, 8, 8), 7.0))
    inner = small[1, :, :, 1:-1]
    torch.testing.assert_close(inner, (2 * torch.arange(8.0) + 0.5)[1:-1].expand_as(inner))
    torch.testing.assert_close(small[2, :, 1:-1, 1:-1], torch.full((3, 6, 6), 0.5))


@pytest.mark.parametrize("changes", [{}, {"mix": "cutmix:1.0", "augment": "flip"}], ids=str)
def test_a_training_sees_images_that_grow_and_goes_on_alike(changes: dict[str, str]) -> None:
    made = batches(Budget(epochs=5, batch_size=4, grow_from=0.5, **changes))
    sides = [[x.shape[-1] for batch in made.epoch(epoch) for x, _ in batch.parts] for epoch in range(5)]
    assert sides == [[8] * 3, [12] * 3, [12] * 3, [16] * 3, [16] * 3]
    whole, rest = list(made.epoch(1)), list(made.epoch(1, start=2))
    assert torch.equal(whole[2].parts[0][0], rest[0].parts[0][0])
    plain = next(batches(Budget(epochs=5, batch_size=4, **changes)).epoch(0))
    torch.testing.assert_close(next(made.epoch(0)).parts[0][0], resized(plain.parts[0][0], 0.5))


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"grow_from must lie in \(0, 1\], got 0"):
        Budget(grow_from=0.0)
    with pytest.raises(ValueError, match=r"grow_from=0.5 is for images, the inputs have shape \(4, 2\)"):
        Batches(torch.zeros(4, 2), torch.arange(4) % 2, Budget(grow_from=0.5), seed=0, prepare=lambda x: x,
                device=torch.device("cpu"))  # fmt: skip


def test_what_is_not_said_changes_no_identity() -> None:
    assert "grow_from" not in Trial().decisive()
    assert Trial(grow_from=0.5).decisive()["grow_from"] == 0.5
