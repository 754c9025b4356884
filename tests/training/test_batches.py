import torch
from hypothesis import given
from hypothesis import strategies as st

from equiangular.training.batches import batch_bounds, training_batches


@given(st.integers(2, 200), st.integers(2, 64))
def test_every_sample_once_and_no_batch_of_one(num_samples: int, batch_size: int) -> None:
    covered = [i for start, stop in batch_bounds(num_samples, batch_size) for i in range(start, stop)]
    assert covered == list(range(num_samples))
    assert all(2 <= stop - start <= batch_size + 1 for start, stop in batch_bounds(num_samples, batch_size))


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    labels = torch.arange(50)

    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat([y for _, y in training_batches(labels, labels, 8, seed=seed, epoch=epoch)]).tolist()

    before = torch.get_rng_state()
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(s, e)) for s in range(3) for e in range(3)}) == 9
    assert sorted(order(2, 2)) == labels.tolist()
    assert torch.equal(torch.get_rng_state(), before)


def test_inputs_follow_their_labels() -> None:
    labels = torch.arange(20)
    for x, y in training_batches(labels.float()[:, None], labels, 6, seed=1, epoch=0):
        assert torch.equal(x[:, 0].long(), y)
