from __future__ import annotations

import pytest
import torch
from scipy import stats

from equiangular.losses import soft_target_cross_entropy
from equiangular.training.augment import MixDraws, Mixing

SHAPE = (3, 16, 20)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_mixup_is_the_weighted_sum():
    x = torch.randn(6, 2, generator=generator(), dtype=torch.float64)
    partner = torch.tensor([3, 2, 1, 0, 5, 4])
    mixed = Mixing.parse("mixup").apply(x, x[partner], MixDraws(partner, 0.3))
    for i in range(6):
        torch.testing.assert_close(mixed[i], 0.3 * x[i] + 0.7 * x[partner[i]])


def test_cutmix_pastes_a_box_and_its_area_is_the_share():
    mix = Mixing.parse("cutmix:1.0")
    ones = torch.ones(4, *SHAPE)
    for seed in range(50):
        drawn = mix.draw(4, SHAPE, generator(seed))
        assert sorted(drawn.partner.tolist()) == [0, 1, 2, 3]
        mixed = mix.apply(ones, 0 * ones, drawn)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), torch.full((4,), drawn.lam))
        top, left, bottom, right = drawn.box
        assert (mixed[:, :, top:bottom, left:right] == 0).all()
    assert (ones == 1).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lam_is_beta_distributed(alpha):
    mix = Mixing.parse(f"mixup:{alpha}")
    lams = [mix.draw(2, (3,), generator(seed)).lam for seed in range(400)]
    assert stats.kstest(lams, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_both_kinds_take_turns():
    mix = Mixing.parse("mixup:0.2,cutmix:1.0")
    boxes = [mix.draw(4, SHAPE, generator(seed)).box is None for seed in range(200)]
    assert 70 < sum(boxes) < 130


def test_draws_depend_on_the_generator_alone():
    mix = Mixing.parse("mixup,cutmix")
    state = torch.get_rng_state()
    for seed in range(5):
        a, b = (mix.draw(8, SHAPE, generator(seed)) for _ in range(2))
        assert torch.equal(a.partner, b.partner)
        assert (a.lam, a.box) == (b.lam, b.box)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_slice_gives_what_the_whole_batch_gives():
    x = torch.randn(10, *SHAPE, generator=generator())
    for text in ("mixup", "cutmix"):
        mix = Mixing.parse(text)
        drawn = mix.draw(10, SHAPE, generator())
        whole = mix.apply(x, x[drawn.partner], drawn)
        parts = [mix.apply(x[a:b], x[drawn.partner[a:b]], drawn) for a, b in ((0, 3), (3, 10))]
        assert torch.equal(torch.cat(parts), whole)


def test_the_target_fits_the_losses():
    drawn = Mixing.parse("mixup").draw(6, (3,), generator())
    labels = torch.arange(6) % 3
    logits = torch.randn(6, 3, generator=generator(), dtype=torch.float64)
    soft = torch.eye(3, dtype=torch.float64)
    soft = drawn.lam * soft[labels] + (1 - drawn.lam) * soft[labels[drawn.partner]]
    expected = -(soft * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(soft_target_cross_entropy(logits, (labels, labels[drawn.partner], drawn.lam)), expected)


def test_text_form():
    assert str(Mixing.parse("mixup:0.2, cutmix:1.0")) == "mixup:0.2,cutmix"
    assert str(Mixing.parse("none")) == "none"
    assert Mixing.parse("none").draw(4, SHAPE, generator()) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("mixip:1", "unknown mixing 'mixip' in 'mixip:1'; did you mean 'mixup'"),
        ("mixup:0", "alpha of mixup must be a finite number above 0, got 0.0"),
        ("cutmix:-1", "alpha of cutmix must be a finite number above 0, got -1.0"),
        ("mixup:inf", "must be a finite number above 0, got inf"),
        ("mixup:0.2:1", "takes at most 1 parameter"),
        ("mixup,mixup:2", "named twice"),
    ],
)
def test_bad_texts(text, match):
    with pytest.raises(ValueError, match=match):
        Mixing.parse(text)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r"cutmix is for images .* got inputs of shape \(7,\)"):
        Mixing.parse("mixup,cutmix").draw(4, (7,), generator())
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="two floating-point batches of one shape"):
        Mixing.parse("mixup").apply(x, x[:1], MixDraws(torch.arange(2), 0.5))
    with pytest.raises(ValueError, match=r"got torch\.uint8"):
        Mixing.parse("mixup").apply(x.byte(), x.byte(), MixDraws(torch.arange(2), 0.5))
