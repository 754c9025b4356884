"""What the summary does not reach: tiles, nearest class means, open-set orthogonality."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from equiangular import simplex_etf
from equiangular.measures.collapse import (
    ClassMoments,
    alignment,
    cdnv,
    classifier_agreement,
    collapse_measures,
    equiangular,
    mean_cosine,
    nc1_pinv,
    nearest_mean,
    ood_orthogonality,
    self_duality,
)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_nearest_mean_against_distances() -> None:
    h, mu = randn(200, 6) + 30, randn(9, 6, seed=1) + 30
    assert torch.equal(nearest_mean(h, mu, chunk_size=7), torch.cdist(h, mu).argmin(1))
    seen = torch.arange(9) % 2 == 0
    assert torch.equal(nearest_mean(h, mu, seen), torch.where(seen, torch.cdist(h, mu), torch.inf).argmin(1))


def test_agreement_counts_the_bias() -> None:
    frame = simplex_etf(5, 8, dtype=torch.float64)
    h = frame[torch.arange(5).repeat(10)] + 0.3 * randn(50, 8)
    logits = h @ frame.T
    assert float(classifier_agreement(h, logits.argmax(1), frame)) == 1.0
    biased = (logits + torch.tensor([9.0, 0, 0, 0, 0])).argmax(1)
    expected = (logits.argmax(1) == 0).double().mean()
    assert float(classifier_agreement(h, biased, frame)) == pytest.approx(float(expected))


def test_ood_orthogonality() -> None:
    means = torch.eye(6, dtype=torch.float64)[:3]
    assert float(ood_orthogonality(means, torch.eye(6)[4])) == 0
    assert float(ood_orthogonality(means, -means[0])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("k", [300, 3000])
def test_tiles_do_not_change_the_result(k: int) -> None:
    means = randn(k, 16)
    unit = torch.nn.functional.normalize(means)
    cosines = (unit @ unit.T)[~torch.eye(k, dtype=torch.bool)]
    measured = equiangular(means)
    assert float(measured["std"]) == pytest.approx(float(cosines.std(correction=0)))
    assert float(measured["max_cosine"]) == pytest.approx(float(cosines.max()))
    assert float(mean_cosine(unit)) == pytest.approx(float(cosines.mean()), abs=1e-12)
    if k < 1000:
        v = randn(k).abs()
        pairs = (v[:, None] + v) / (2 * torch.cdist(means, means).square())
        expected = pairs[~torch.eye(k, dtype=torch.bool)].mean()
        assert float(cdnv(v, means)) == pytest.approx(float(expected), rel=1e-9)


class LargestTensor(TorchDispatchMode):
    """Records the number of entries of the largest tensor that any operation makes."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.entries = max(self.entries, result.numel())
        return result


@pytest.mark.slow
def test_many_classes_need_no_k_by_k_matrix() -> None:
    """At K = 8,000 a K x K matrix would have 6.4 x 10^7 entries; no tensor made has more than a tile's."""
    k, d = 8_000, 4
    moments = ClassMoments.empty(k, d).update(randn(k, d), torch.arange(k))
    with LargestTensor() as largest:
        collapse_measures(moments, weight=randn(k, d, seed=1))
    assert largest.entries <= 2**22


def test_memory_without_covariance_is_of_the_order_of_the_means() -> None:
    """K (d + 2) numbers are kept, d x d more with a covariance; without one, no operation makes a d x d matrix."""
    k, d = 5, 3000
    moments = ClassMoments.empty(k, d, covariance=False)
    with LargestTensor() as largest:
        for seed in range(2):
            moments.update(randn(20, d, seed=seed), torch.arange(20) % k)
        collapse_measures(moments, weight=randn(k, d, seed=9), groups={"few": [3, 4]})
    assert largest.entries <= 20 * d
    kept = [moments.count, moments.mean, moments.squares]
    assert sum(t.numel() for t in kept) == k * (d + 2)
    assert ClassMoments.empty(k, 30).scatter.numel() == 30**2


def test_nc1_of_coinciding_means() -> None:
    zero = torch.zeros(3, 4, dtype=torch.float64)
    assert float(nc1_pinv(torch.eye(4, dtype=torch.float64), zero)) == np.inf
    assert np.isnan(float(nc1_pinv(torch.zeros(4, 4, dtype=torch.float64), zero)))


def test_the_trace_form_of_nc3() -> None:
    m, w = randn(5, 7), randn(5, 7, seed=1)
    expected = 1 - float((m * w).sum() / (m.norm() * w.norm()))
    assert float(alignment(m, w)) == pytest.approx(expected)
    assert float(self_duality(m, w)) == pytest.approx(2 * expected)
