from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import experiments.tail_mixing  # noqa: F401 - its kinds of mixing are known by name once it is imported
from equiangular.longtail.labels import ClassMembers
from equiangular.training.augment import MixDraws, Mixing

LABELS = torch.tensor([0] * 90 + [1] * 9 + [2])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(text, seed=0, labels=LABELS):
    mix = Mixing.parse(text)
    return mix.draw(len(labels), (3,), generator(seed), labels=labels, members=ClassMembers(LABELS))


@pytest.mark.parametrize(("text", "power"), [("balanced-mixup", 0), ("unimix", -1)])
def test_partners_come_from_all_data_by_a_power_of_the_class_frequency(text, power):
    drawn = [draw(text, seed) for seed in range(40)]
    for d in drawn:
        assert torch.equal(d.partner, torch.arange(100, 200))
        assert set(d.extra.tolist()) <= set(range(100))
    counts = np.bincount(LABELS[torch.cat([d.extra for d in drawn])].numpy(), minlength=3)
    weights = np.array([90.0, 9.0, 1.0]) ** power
    assert stats.chisquare(counts, 4000 * weights / weights.sum()).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0])
def test_the_share_of_balanced_mixup_is_beta_alpha_1(alpha):
    shares = [1 - draw(f"balanced-mixup:{alpha}", seed).lam for seed in range(400)]
    assert stats.kstest(shares, stats.beta(alpha, 1).cdf).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_the_share_of_unimix_is_a_beta_distribution_moved_towards_the_rarer_class(alpha):
    """The density of the source, integrated: Beta moved by n_j / (n_i + n_j) - 1/2, what leaves [0, 1] comes back."""
    xi, pairs = [], []
    for seed in range(600):
        d = draw(f"unimix:{alpha}", seed)
        xi.append(d.lam.double().numpy())
        pairs.append(torch.stack([LABELS, LABELS[d.extra]], 1))
    xi, pairs = np.concatenate(xi), torch.cat(pairs).numpy()
    beta = stats.beta(alpha, alpha)
    ratios = {(0, 1): 9 / 99, (1, 0): 90 / 99, (0, 2): 1 / 91, (1, 2): 0.1, (0, 0): 0.5, (1, 1): 0.5, (2, 2): 0.5}
    for (i, j), ratio in ratios.items():
        found = xi[(pairs == (i, j)).all(1)]

        def moved(x, ratio=ratio):
            return np.where(x < ratio, beta.cdf(x + 1 - ratio), beta.cdf(x - ratio) + 1) - beta.cdf(1 - ratio)

        assert moved(np.array(1.0)) == pytest.approx(1.0)
        assert len(found) > 20
        assert stats.kstest(found, moved).pvalue > 0.001


def test_a_small_alpha_gives_the_shares_of_inverse_frequency():
    drawn = [draw("unimix:0.001", seed) for seed in range(5)]
    pairs = torch.cat([torch.stack([LABELS, LABELS[d.extra]], 1) for d in drawn])
    counts = torch.tensor([90.0, 9.0, 1.0])[pairs]
    distance = (torch.cat([d.lam for d in drawn]) - counts[:, 1] / counts.sum(1)).abs()
    assert float((distance < 0.01).float().mean()) > 0.95


def test_a_share_for_every_sample_mixes_rows_and_slices_like_the_whole():
    x, lam = torch.randn(5, 2, 3, generator=generator()), torch.tensor([0.0, 0.25, 0.5, 1.0, 0.75])
    partner = torch.tensor([4, 3, 2, 1, 0])
    mix, draws = Mixing.parse("unimix"), MixDraws(partner, lam)
    whole = mix.apply(x, x[partner], draws)
    for i in range(5):
        torch.testing.assert_close(whole[i], lam[i] * x[i] + (1 - lam[i]) * x[partner[i]])
    part = draws.rows(slice(2, 5))
    assert torch.equal(part.partner, partner[2:5])
    assert torch.equal(mix.apply(x[2:5], x[part.partner], part), whole[2:5])


@pytest.mark.parametrize("text", ["balanced-mixup:0.1", "unimix", "mixup,unimix:0.2"])
def test_draws_depend_on_the_generator_alone(text):
    state = torch.get_rng_state()
    a, b = draw(text, 3), draw(text, 3)
    assert torch.equal(a.partner, b.partner)
    assert torch.equal(torch.as_tensor(a.lam), torch.as_tensor(b.lam))
    assert torch.equal(torch.get_rng_state(), state)
    assert str(Mixing.parse(text)) == text


def test_partners_outside_the_batch_need_the_data():
    with pytest.raises(ValueError, match="pass labels= and members="):
        Mixing.parse("unimix").draw(4, (3,), generator())
    with pytest.raises(ValueError, match="alpha of unimix"):
        Mixing.parse("unimix:0")
