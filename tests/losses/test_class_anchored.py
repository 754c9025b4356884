"""NTCE and NONL: sums written out sample by sample in float64, what cancels in them, a class alone in its batch."""

import pytest
import torch

from equiangular.losses import NONLLoss, NTCELoss, nonl_loss, ntce_loss

from .conftest import B, D, K, make_target
from .reference import dense

LOSSES = {"ntce": (ntce_loss, NTCELoss), "nonl": (nonl_loss, NONLLoss)}
both = pytest.mark.parametrize("name", LOSSES)


def by_hand(name: str, features, target, weight, scale: float) -> torch.Tensor:
    """Losses (B,): for each class of a sample, the sum over the samples of the batch."""
    z = scale * torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(weight).T
    t = dense(target, K)
    losses = []
    for i in range(B):
        loss = 0.0
        for k in range(K):
            total = sum((1 - t[j, k] if name == "nonl" else 1.0) * z[j, k].exp() for j in range(B))
            if t[i, k] > 0:
                loss = loss + t[i, k] * (total.log() - z[i, k])
        losses.append(loss)
    return torch.stack(losses)


@both
def test_value_and_gradients(name: str, features, weight, target) -> None:
    loss, module = LOSSES[name]
    ours = [t.clone().requires_grad_() for t in (2 * features, 3 * weight)]
    theirs = [t.clone().requires_grad_() for t in (2 * features, 3 * weight)]
    losses = loss(ours[0], target, ours[1], scale=8.0, reduction="none")
    expected = by_hand(name, theirs[0], target, theirs[1], 8.0)
    torch.testing.assert_close(losses, expected)
    losses.mean().backward()
    expected.mean().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(module(scale=8.0, reduction="sum")(features, target, weight), expected.sum())


@both
def test_gradcheck_with_a_learned_scale(name: str, features, weight) -> None:
    scale = torch.tensor(5.0, dtype=torch.float64)
    inputs = [t.clone().requires_grad_() for t in (features, weight, scale)]
    assert torch.autograd.gradcheck(lambda h, w, s: LOSSES[name][0](h, make_target("mixup"), w, scale=s), inputs)


def test_the_gradient_of_ntce_follows_the_formula(features, weight) -> None:
    """dL/dz_jk = n_k q_jk - [y_j = k], q the softmax over the samples: columns sum to 0, whatever the class sizes."""
    target, scale = make_target("hard"), 8.0
    own = torch.eye(K, dtype=torch.float64)[target]
    q = (scale * features @ weight.T).softmax(0)
    of_logits = own.sum(0) * q - own
    torch.testing.assert_close(of_logits.sum(0), torch.zeros(K, dtype=torch.float64))
    free = scale * of_logits @ weight
    tangent = free - (free * features).sum(1, keepdim=True) * features
    h = features.clone().requires_grad_()
    ntce_loss(h, target, weight, scale=scale, reduction="sum").backward()
    torch.testing.assert_close(h.grad, tangent)


@both
def test_an_offset_of_the_logits_of_a_class_cancels(name: str, features, weight) -> None:
    """Each cosine up by a constant of its class: what a bias, and so a class's frequency, would do to the logits."""
    target = make_target("hard")
    shift = torch.randn(K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = 3 * features @ weight.T
    t = dense(target, K)
    log_other = (1 - t).log() if name == "nonl" else torch.zeros_like(t)
    losses = [((v + log_other).logsumexp(0) - v)[torch.arange(B), target] for v in (z, z + shift)]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(LOSSES[name][0](features, target, weight, scale=3.0, reduction="none"), losses[0])


def test_a_class_alone_in_its_batch_has_no_repulsion(features, weight) -> None:
    h = features.clone().requires_grad_()
    loss = nonl_loss(h, torch.full((B,), 2), weight, scale=8.0, reduction="none")
    assert loss.eq(0).all()
    loss.sum().backward()
    assert h.grad.eq(0).all()


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_against_the_naive_version(name: str, features, weight, dtype: torch.dtype) -> None:
    target, loss = make_target("hard"), LOSSES[name][0]
    h, w = features.to(dtype), weight.to(dtype)
    ours = loss(h, target, w, scale=8.0)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), by_hand(name, h.double(), target, w.double(), 8.0).mean())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(features.float(), target, weight.float(), scale=8.0),
                           loss(features.float(), target, weight.float(), scale=8.0))  # fmt: skip


@both
def test_a_zero_feature_gets_a_zero_gradient(name: str, weight) -> None:
    h = torch.zeros(2, D, requires_grad=True)
    LOSSES[name][0](h, torch.tensor([0, 1]), weight.float(), scale=8.0).backward()
    assert h.grad.eq(0).all()


@both
def test_bad_options_are_refused(name: str, features, weight) -> None:
    loss, module = LOSSES[name]
    with pytest.raises(ValueError, match="scale must be a finite number above 0, got 0"):
        loss(features, make_target("hard"), weight, scale=0)
    with pytest.raises(ValueError, match="scale must be a finite number above 0"):
        module(scale=-1.0)
    with pytest.raises(ValueError, match="reduction must be one of"):
        loss(features, make_target("hard"), weight, scale=8.0, reduction="avg")
