"""One rule for labels in every loss: ``ignore_index`` counts for nothing, anything else out of range is an error."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equiangular.losses import (
    arb_loss,
    batch_class_counts,
    class_balanced_loss,
    cosine_cross_entropy,
    dot_loss,
    dot_regression_loss,
    focal_loss,
    label_aware_smoothing_loss,
    ldam_loss,
    logit_adjusted_cross_entropy,
    nonl_loss,
    ntce_loss,
    soft_target_cross_entropy,
    vector_scaling_loss,
)

from .conftest import generator

B, K = 12, 4
COUNTS = [40, 20, 9, 3]
TABLE = F.normalize(torch.randn(K, K, generator=generator(1), dtype=torch.float64), dim=1)
# Every loss as a function of (B, K) values in [-1, 1] and a target, over K classes.
LOSSES = {
    "dot-regression": lambda x, y, **o: dot_regression_loss(x, y, TABLE, **o),
    "dot-regression, weighted": lambda x, y, **o: dot_regression_loss(x, y, TABLE, class_weight=COUNTS, **o),
    "dot-regression, batch": lambda x, y, **o: dot_regression_loss(x, y, TABLE, balance="batch", **o),
    "dot": lambda x, y, **o: dot_loss(x, y, TABLE, **o),
    "cosine": lambda x, y, **o: cosine_cross_entropy(x, y, TABLE, scale=8.0, label_smoothing=0.1, **o),
    "cosine, chunks": lambda x, y, **o: cosine_cross_entropy(x, y, TABLE, scale=8.0, chunk_size=3, **o),
    "ntce": lambda x, y, **o: ntce_loss(x, y, TABLE, scale=8.0, **o),
    "nonl": lambda x, y, **o: nonl_loss(x, y, TABLE, scale=8.0, **o),
    "cross-entropy": partial(soft_target_cross_entropy, label_smoothing=0.1),
    "logit-adjusted": lambda x, y, **o: logit_adjusted_cross_entropy(x, y, COUNTS, **o),
    "vector-scaling": lambda x, y, **o: vector_scaling_loss(x, y, COUNTS, **o),
    "label-aware": lambda x, y, **o: label_aware_smoothing_loss(x, y, COUNTS, **o),
    "arb": arb_loss,
    "focal": lambda x, y, **o: focal_loss(x, y, class_weight=COUNTS, **o),
    "class-balanced": lambda x, y, **o: class_balanced_loss(x, y, COUNTS, **o),
    "ldam": lambda x, y, **o: ldam_loss(x, y, COUNTS, class_weight=COUNTS, **o),
}
X = torch.rand(B, K, generator=generator(2), dtype=torch.float64) * 2 - 1
Y = torch.arange(B) % K
LEFT_OUT = torch.zeros(B, dtype=torch.bool).index_fill(0, torch.tensor([0, 3, 7, 11]), True)
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the compiler's own
every_loss = pytest.mark.parametrize("name", LOSSES)


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


@every_loss
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_an_ignored_sample_is_as_good_as_absent(name: str, how: str) -> None:
    target = Y.masked_fill(LEFT_OUT, -100)
    for reduction in ("mean", "sum", "none") if how == "eager" else ("mean",):
        loss = partial(LOSSES[name], reduction=reduction)
        x, rest = X.clone().requires_grad_(), X[~LEFT_OUT].clone().requires_grad_()
        result = (compiled(loss) if how == "compiled" else loss)(x, target)
        expected = loss(rest, Y[~LEFT_OUT])
        result.sum().backward()
        expected.sum().backward()
        if reduction == "none":
            assert not result[LEFT_OUT].any()
            result = result[~LEFT_OUT]
        torch.testing.assert_close(result, expected)
        torch.testing.assert_close(x.grad[~LEFT_OUT], rest.grad)
        assert not x.grad[LEFT_OUT].any()


@every_loss
def test_another_ignore_index(name: str) -> None:
    usual = LOSSES[name](X, Y.masked_fill(LEFT_OUT, -100))
    torch.testing.assert_close(LOSSES[name](X, Y.masked_fill(LEFT_OUT, 255), ignore_index=255), usual)
    torch.testing.assert_close(LOSSES[name](X, Y, ignore_index=1), LOSSES[name](X, Y.masked_fill(Y == 1, -100)))
    with pytest.raises(ValueError, match=r"target must lie in \[0, 3\].*label 255"):
        LOSSES[name](X, Y.masked_fill(LEFT_OUT, -100), ignore_index=255)


@every_loss
def test_mixup_with_ignored_labels_gives_both_parts_their_own_samples(name: str) -> None:
    lam = torch.rand(B, generator=generator(3), dtype=torch.float64)
    a, b = Y.masked_fill(LEFT_OUT, -100), Y.flip(0).masked_fill(LEFT_OUT, -100)
    torch.testing.assert_close(
        LOSSES[name](X, (a, b, lam)), LOSSES[name](X[~LEFT_OUT], (a[~LEFT_OUT], b[~LEFT_OUT], lam[~LEFT_OUT]))
    )


def test_mixup_of_an_ignored_and_a_known_sample_counts_by_share() -> None:
    a, b = torch.tensor([0, -100]), torch.tensor([-100, 2])
    result = soft_target_cross_entropy(X[:2], (a, b, 0.75))
    parts = F.cross_entropy(X[:2], torch.tensor([0, 2]), reduction="none")
    torch.testing.assert_close(result, 0.75 * parts[0] + 0.25 * parts[1])  # shares .75 and .25, which sum to 1


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_that_of_torch(smoothing: float, reduction: str) -> None:
    target = Y.masked_fill(LEFT_OUT, -100)
    ours = soft_target_cross_entropy(X, target, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(ours, F.cross_entropy(X, target, label_smoothing=smoothing, reduction=reduction))
    nothing = torch.full_like(Y, -100)
    ours = soft_target_cross_entropy(X, nothing, label_smoothing=smoothing, reduction=reduction)
    theirs = F.cross_entropy(X, nothing, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@every_loss
@pytest.mark.parametrize("bad", [-1, K])
def test_any_other_label_is_an_error(name: str, bad: int) -> None:
    target = Y.clone()
    target[5] = bad
    with pytest.raises(ValueError, match=rf"target must lie in \[0, {K - 1}\] for {K} classes, got values from"):
        LOSSES[name](X, target)
    with pytest.raises(RuntimeError, match=rf"must lie in \[0, {K - 1}\] for {K} classes"):
        compiled(LOSSES[name])(X, target)
    with pytest.raises(ValueError, match="target_b must lie in"):
        LOSSES[name](X, (Y, target, 0.5))


def test_infinite_values_of_ignored_samples_stay_out() -> None:
    logits = X.clone()
    logits[0, 0] = -torch.inf  # what restrict_logits writes; class 0 stands in for the ignored label
    target = torch.full_like(Y, 1)
    target[0] = -100
    with torch.no_grad():
        losses = -torch.log_softmax(logits[1:], 1)[:, 1]
    compiled_loss = compiled(soft_target_cross_entropy)
    torch.testing.assert_close(compiled_loss(logits, target), losses.mean())


def test_counts_of_a_batch_leave_ignored_samples_out() -> None:
    assert batch_class_counts(torch.tensor([0, -100, 2]), 3).tolist() == [1, 0, 1]
    assert batch_class_counts(torch.tensor([0, 9, 2]), 3, ignore_index=9).tolist() == [1, 0, 1]


@pytest.mark.parametrize("bad", [None, 1.0, True])
def test_ignore_index_must_be_an_integer(bad: object) -> None:
    with pytest.raises(ValueError, match="ignore_index must be an integer"):
        soft_target_cross_entropy(X, Y, ignore_index=bad)


def modules() -> dict[str, Tensor]:
    from equiangular import losses

    y = Y.masked_fill(LEFT_OUT, 7)
    cases = {
        "DotRegressionLoss": ({}, (X, y, TABLE)),
        "DotLoss": ({}, (X, y, TABLE)),
        "CosineCrossEntropyLoss": ({"scale": 8.0}, (X, y, TABLE)),
        "LogitAdjustedCrossEntropyLoss": ({"class_counts": COUNTS}, (X, y)),
        "VectorScalingLoss": ({"class_counts": COUNTS}, (X, y)),
        "LabelAwareSmoothingLoss": ({"class_counts": COUNTS}, (X, y)),
        "ARBLoss": ({}, (X, y)),
        "FocalLoss": ({}, (X, y)),
        "ClassBalancedLoss": ({"class_counts": COUNTS}, (X, y)),
        "LDAMLoss": ({"class_counts": COUNTS}, (X, y)),
    }
    return {name: (getattr(losses, name), *case) for name, case in cases.items()}


@pytest.mark.parametrize("name", modules())
def test_modules_pass_it_on(name: str) -> None:
    loss, options, (x, y, *rest) = modules()[name]
    usual = loss(**options)(x, y.masked_fill(y == 7, -100), *rest)
    torch.testing.assert_close(loss(**options, ignore_index=7)(x, y, *rest), usual)
    with pytest.raises(ValueError, match="must lie in"):
        loss(**options)(x, y, *rest)
