"""The threshold keeps its promise exactly, by ranks; and declines where it could not."""

import pytest
import torch

from equiangular.posthoc import rejection_threshold


@pytest.mark.parametrize("n", [19, 20, 39, 57])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_of_exchangeable_samples_the_promised_share_is_rejected(n: int, rate: float) -> None:
    """Each of n + 1 samples is left out in turn: that is the probability over their order."""
    scores = torch.randn(n + 1, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    others = [torch.cat([scores[:i], scores[i + 1 :]]) for i in range(n + 1)]
    share = sum(float(s) > rejection_threshold(o, rate) for s, o in zip(scores, others, strict=True)) / (n + 1)
    assert rate - 1 / (n + 1) < share <= rate + 1e-12


def test_ties_are_not_rejected() -> None:
    scores = torch.tensor([0.0] * 10 + [1.0] * 30)
    assert rejection_threshold(scores, 0.5) == 1.0


def test_the_rate_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(2000):
        held = torch.rand(50, generator=generator, dtype=torch.float64)
        shares.append(1 - rejection_threshold(held, 0.1))  # of uniform scores
    mean = torch.tensor(shares).mean()
    assert abs(mean - 5 / 51) < 3 * 0.042 / 2000**0.5


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"18 held-out samples are too few to reject at most 5 %.* at least 19"):
        rejection_threshold(torch.rand(18), 0.05)
    rejection_threshold(torch.rand(19), 0.05)
    for rate in (0, 1, -0.1, float("nan"), True, "0.05", None):
        with pytest.raises(ValueError, match="rate must lie strictly between 0 and 1"):
            rejection_threshold(torch.rand(50), rate)
    with pytest.raises(ValueError, match=r"shape \(n,\), got \(5, 5\)"):
        rejection_threshold(torch.rand(5, 5), 0.5)
    with pytest.raises(ValueError, match="must not be NaN"):
        rejection_threshold(torch.tensor([1.0, float("nan"), 2.0]), 0.5)
