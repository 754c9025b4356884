"""torchvision's MixUp and CutMix make soft targets (B, K); every loss takes them."""

from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

import equiangular as eq
from equiangular import losses

B, K, D = 8, 5, 6
COUNTS = [50, 30, 10, 5, 2]
WEIGHT = eq.simplex_etf(K, D, seed=0)

# On logits (B, K), here cosines, and targets.
ON_LOGITS = {
    "cross-entropy": losses.soft_target_cross_entropy,
    "logit-adjusted": partial(losses.logit_adjusted_cross_entropy, class_counts=COUNTS),
    "vector scaling": partial(losses.vector_scaling_loss, class_counts=COUNTS),
    "focal": losses.focal_loss,
    "class-balanced": partial(losses.class_balanced_loss, class_counts=COUNTS),
    "LDAM": partial(losses.ldam_loss, class_counts=COUNTS),
    "label-aware smoothing": partial(losses.label_aware_smoothing_loss, class_counts=COUNTS),
    "ARB": partial(losses.arb_loss, class_counts=COUNTS),
}
# On features (B, d), targets and class vectors.
ON_FEATURES = {
    "dot-regression": losses.dot_regression_loss,
    "dot-regression, balanced": partial(losses.dot_regression_loss, balance="batch"),
    "dot": losses.dot_loss,
    "cosine cross-entropy": partial(losses.cosine_cross_entropy, scale=10.0),
    "NTCE": partial(losses.ntce_loss, scale=10.0),
    "NONL": partial(losses.nonl_loss, scale=10.0),
}
LOSSES = {
    **{name: lambda x, target, loss=loss: loss(x @ WEIGHT.T, target) for name, loss in ON_LOGITS.items()},
    **{name: lambda x, target, loss=loss: loss(x, target, WEIGHT) for name, loss in ON_FEATURES.items()},
}
MIXES = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


def mixed(kind: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, soft targets and the hard labels they were made of."""
    labels = torch.arange(B) % K
    images = torch.rand(B, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        images, soft = MIXES[kind](num_classes=K, alpha=1.0)(images, labels)
    return images, soft, labels


def features() -> torch.Tensor:
    x = torch.randn(B, D, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(x).requires_grad_()


def test_every_loss_is_here() -> None:
    functions = {name for name, value in vars(losses).items() if callable(value)}
    known = {name for name in functions if name.endswith(("_loss", "_cross_entropy"))}
    used = {getattr(loss, "func", loss).__name__ for loss in (*ON_LOGITS.values(), *ON_FEATURES.values())}
    assert used == known


@pytest.mark.parametrize("kind", MIXES)
@pytest.mark.parametrize("name", LOSSES)
def test_soft_targets_are_taken_and_agree_with_the_triple(name: str, kind: str) -> None:
    """MixUp and CutMix pair sample i with i - 1: target (labels, labels rolled, lam) is the same mixture."""
    _, soft, labels = mixed(kind)
    assert soft.shape == (B, K)
    partner = labels.roll(1)
    lam = (soft[torch.arange(B), labels] - (labels == partner).float()).clamp_min(0)
    lam = torch.where(labels == partner, 1.0, lam)
    x, y = features(), features()
    loss, triple = LOSSES[name](x, soft), LOSSES[name](y, (labels, partner, lam))
    torch.testing.assert_close(loss, triple)
    loss.backward()
    triple.backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert x.grad.abs().sum() > 0
    assert not torch.allclose(loss, LOSSES[name](x, labels))


@pytest.mark.parametrize("kind", MIXES)
def test_in_a_loader_with_a_head(kind: str) -> None:
    """The way torchvision's documentation puts it: in collate_fn, then a training step."""
    mix = MIXES[kind](num_classes=K)
    data = [(torch.rand(3, 8, 8), i % K) for i in range(B)]
    loader = DataLoader(data, batch_size=B, collate_fn=lambda batch: mix(*default_collate(batch)))
    images, target = next(iter(loader))
    head = eq.ETFHead(3 * 64, K, norm="batch")
    backbone = torch.nn.Linear(3 * 64, 3 * 64)
    h = head(backbone(images.flatten(1)), pre_logits=True)
    losses.dot_regression_loss(h, target, head.weight).backward()
    assert backbone.weight.grad.abs().sum() > 0


def test_targets_that_are_no_mixture_are_refused() -> None:
    _, soft, _ = mixed("mixup")
    with pytest.raises(ValueError, match=r"must have shape \(B, K\) = \(8, 5\), got \(8, 4\)"):
        losses.soft_target_cross_entropy(torch.zeros(B, K), soft[:, :4])
    with pytest.raises(ValueError, match="Pass probabilities, not logits"):
        losses.dot_regression_loss(features(), soft - 1, WEIGHT)
