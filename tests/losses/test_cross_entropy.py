"""Cross-entropy with every target, and with the log prior added."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from equiangular.losses import LogitAdjustedCrossEntropyLoss, logit_adjusted_cross_entropy, soft_target_cross_entropy

from .conftest import K, make_target
from .reference import cross_entropy, dense

COUNTS = [500, 100, 40, 10, 1]


@pytest.mark.parametrize("eps", [0.0, 0.1, 1.0])
def test_value(logits, target, eps: float) -> None:
    per_sample = cross_entropy(logits, target, label_smoothing=eps)
    options = {"label_smoothing": eps}
    torch.testing.assert_close(soft_target_cross_entropy(logits, target, reduction="none", **options), per_sample)
    torch.testing.assert_close(soft_target_cross_entropy(logits, target, reduction="sum", **options), per_sample.sum())
    torch.testing.assert_close(soft_target_cross_entropy(logits, target, **options), per_sample.mean())
    torchs = F.cross_entropy(logits, dense(target, K), label_smoothing=eps)
    torch.testing.assert_close(soft_target_cross_entropy(logits, target, **options), torchs)


def test_gradcheck(logits, target) -> None:
    z = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_target_cross_entropy(z, target, label_smoothing=0.1), z)


def test_the_gradient_in_the_features_is_a_pull_and_a_push(features, weight) -> None:
    target = make_target("hard")
    h = features.clone().requires_grad_()
    soft_target_cross_entropy(h @ weight.T, target, reduction="sum").backward()
    p = (features @ weight.T).softmax(1)
    own = p.gather(1, target[:, None])
    pull = -(1 - own) * weight[target]
    push = p @ weight - own * weight[target]
    torch.testing.assert_close(h.grad, pull + push)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_logits_are_raised_to_float32(logits, dtype: torch.dtype) -> None:
    z = logits.to(dtype)
    loss = soft_target_cross_entropy(z, make_target("hard"))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), cross_entropy(z, make_target("hard")).mean(), rtol=1e-6, atol=1e-6)


def test_large_logits_do_not_overflow() -> None:
    z = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = soft_target_cross_entropy(z, torch.tensor([1]))
    loss.backward()
    assert float(loss.detach()) == 2e4
    assert z.grad.tolist() == [[1.0, -1.0]]


# --- logit adjustment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_adjusted_value(logits, target, tau: float, eps: float) -> None:
    log_prior = (torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)).log()
    expected = cross_entropy(logits + tau * log_prior, target, label_smoothing=eps)
    options = {"tau": tau, "label_smoothing": eps}
    torch.testing.assert_close(logit_adjusted_cross_entropy(logits, target, COUNTS, **options), expected.mean())
    module = LogitAdjustedCrossEntropyLoss(COUNTS, reduction="none", **options).double()
    torch.testing.assert_close(module(logits, target), expected, rtol=1e-6, atol=1e-6)


def test_tau_one_is_balanced_softmax(logits) -> None:
    target = make_target("hard")
    weighted = torch.tensor(COUNTS, dtype=torch.float64) * logits.exp()
    expected = -(weighted / weighted.sum(1, keepdim=True)).log().gather(1, target[:, None]).mean()
    torch.testing.assert_close(logit_adjusted_cross_entropy(logits, target, COUNTS), expected)


def test_equal_counts_change_nothing(logits, target) -> None:
    torch.testing.assert_close(
        logit_adjusted_cross_entropy(logits, target, [7] * K), soft_target_cross_entropy(logits, target)
    )


@pytest.mark.parametrize("counts", [COUNTS, np.array(COUNTS), torch.tensor(COUNTS), torch.tensor(COUNTS).float()])
def test_counts_in_any_form(logits, counts) -> None:
    target = make_target("hard")
    expected = logit_adjusted_cross_entropy(logits, target, COUNTS)
    torch.testing.assert_close(logit_adjusted_cross_entropy(logits, target, counts), expected)


def test_adjusted_gradcheck(logits, target) -> None:
    z = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: logit_adjusted_cross_entropy(z, target, COUNTS, tau=1.5), z)


def test_a_module_left_on_another_device_still_serves() -> None:
    logits = torch.zeros(2, K, device="meta")
    assert LogitAdjustedCrossEntropyLoss(COUNTS)(logits, torch.zeros(2, dtype=torch.long, device="meta")).is_meta


def test_the_module_follows_to_and_keeps_out_of_the_state_dict() -> None:
    module = LogitAdjustedCrossEntropyLoss(COUNTS)
    assert module.to(torch.float64).adjustment.dtype == torch.float64
    assert not module.state_dict()
    assert not list(module.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_counts": [1, 2, 0, 4, 5]}, "above 0: class 2 has 0 .*empty class has no prior"),
        ({"class_counts": [1, 2]}, "class_counts has 2 entries for 5 classes"),
        ({"class_counts": "many"}, "class_counts must be a sequence"),
        ({"tau": -1}, "tau must be a finite number of at least 0, got -1"),
        ({"tau": "1"}, "tau must be a finite number of at least 0, got '1'"),
        ({"label_smoothing": 1.5}, r"label_smoothing must be a number in \[0, 1\], got 1.5"),
        ({"reduction": "avg"}, "reduction must be one of"),
    ],
)
def test_bad_options_are_refused(logits, change: dict, message: str) -> None:
    options = {"class_counts": COUNTS, **change}
    with pytest.raises(ValueError, match=message):
        logit_adjusted_cross_entropy(logits, make_target("hard"), **options)


def test_bad_logits_are_refused() -> None:
    nan = torch.full((1, K), float("nan"))
    for loss in (soft_target_cross_entropy, LogitAdjustedCrossEntropyLoss(COUNTS)):
        with pytest.raises(ValueError, match="logits has NaN"):
            loss(nan, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"logits must have width 5, got shape \(1, 2\)"):
        LogitAdjustedCrossEntropyLoss(COUNTS)(torch.zeros(1, 2), torch.tensor([0]))
