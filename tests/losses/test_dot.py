"""The plain dot loss."""

import pytest
import torch

from equiangular.losses import DotLoss, dot_loss

from .conftest import K, make_target
from .reference import dense


@pytest.mark.parametrize(("e_w", "e_h"), [(1.0, 1.0), (2.0, 3.0)])
def test_value(features, weight, target, e_w: float, e_h: float) -> None:
    h, w = features * e_h**0.5, weight * e_w**0.5
    per_sample = (dense(target, K) * ((e_w * e_h) ** 0.5 - h @ w.T)).sum(1)
    options = {"e_w": e_w, "e_h": e_h}
    torch.testing.assert_close(dot_loss(h, target, w, reduction="none", **options), per_sample)
    torch.testing.assert_close(dot_loss(h, target, w, **options), per_sample.mean())
    torch.testing.assert_close(DotLoss(reduction="sum", **options)(h, target, w), per_sample.sum())


def test_gradcheck(features, weight, target) -> None:
    inputs = (features.clone().requires_grad_(), weight.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda h, w: dot_loss(h, target, w), inputs)


def test_the_pull_does_not_fade(features, weight) -> None:
    target = make_target("hard")
    h = features.clone().requires_grad_()
    dot_loss(h, target, weight, reduction="sum").backward()
    torch.testing.assert_close(h.grad, -weight[target])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"reduction": "max"}, "reduction must be one of"), ({"e_w": 0}, "e_w must be"), ({"e_h": None}, "e_h must be")],
)
def test_bad_options_are_refused(features, weight, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dot_loss(features, make_target("hard"), weight, **options)
    with pytest.raises(ValueError, match=message):
        DotLoss(**options)
