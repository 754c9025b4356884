"""What heads say about arguments and features that they cannot use."""

import pytest
import torch

from equiangular.heads import ETFHead, make_head

from .conftest import D, K

BAD_ARGUMENTS = [
    ({"num_classes": 1}, "num_classes must be an integer >= 2, got 1"),
    ({"num_classes": True}, "num_classes must be an integer >= 2, got True"),
    ({"in_features": 0}, "in_features must be an integer >= 1, got 0"),
    ({"norm": "layer"}, "norm must be one of 'none', 'batch', 'batch-first', got 'layer'"),
    ({"projection": "mpl"}, "projection must be one of 'linear', 'mlp', 'residual', got 'mpl'; did you mean 'mlp'"),
    ({"drop_rate": 1.0}, r"drop_rate must be a number in \[0, 1\), got 1.0"),
    ({"drop_rate": "half"}, "drop_rate must be a number in .*got 'half'"),
    ({"dtype": torch.int64}, "dtype must be a floating-point dtype such as torch.float32, got torch.int64"),
    ({"seed": -1}, "seed must be an integer"),
    ({"dim": 4}, "dim=4 differs from in_features=8"),
    ({"zero_norm": "drop"}, "zero_norm must be one of 'keep', 'error'"),
]


@pytest.mark.parametrize(("changed", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_refused(kind: str, changed: dict, message: str) -> None:
    arguments = {"in_features": D, "num_classes": K, **changed}
    with pytest.raises(ValueError, match=message):
        make_head(kind, arguments.pop("in_features"), arguments.pop("num_classes"), **arguments)


BAD_FEATURES = [
    (torch.full((2, D), float("nan")), "NaN or infinite values, first in row 0"),
    (torch.zeros(2, D + 1), r"features of shape \(\.\.\., 8\), got shape \(2, 9\)"),
    (torch.zeros(2, D, 4, 4), r"got shape \(2, 8, 4, 4\).*Pool or flatten"),
    (torch.zeros(2, D, dtype=torch.int64), "must be floating point, got torch.int64"),
    ([[0.0] * D], "got list"),
]


@pytest.mark.parametrize(("x", "message"), BAD_FEATURES)
def test_bad_features_are_refused(kind: str, x: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_head(kind, D, K)(x)


def test_zero_features_are_kept_or_refused(kind: str) -> None:
    x = torch.zeros(2, D, requires_grad=True)
    logits = make_head(kind, D, K, normalize=True)(x)
    logits.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.eq(0).all()
    with pytest.raises(ValueError, match=r"zero-norm row \(row 0\)"):
        make_head(kind, D, K, normalize=True, zero_norm="error")(x)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"head must be one of .*got 'eft'; did you mean 'etf'"):
        make_head("eft", D, K)


@pytest.mark.parametrize("norm", ["batch", "batch-first"])
def test_a_training_batch_of_one_is_told_what_to_do(norm: str) -> None:
    head = ETFHead(8, 3, norm=norm)
    for x in (torch.ones(1, 8), torch.ones(8), torch.ones(1, 1, 8)):
        with pytest.raises(ValueError, match=r"single sample in training.*drop_last=True"):
            head(x)
    head(torch.randn(1, 2, 8))
    head.norm.eval()
    head(torch.ones(1, 8))


def test_frozen_statistics_that_move_are_told_once() -> None:
    head = ETFHead(8, 3, norm="batch").requires_grad_(False)
    with pytest.warns(UserWarning, match=r"BatchNorm is frozen.*head\.norm\.eval"):
        head(torch.randn(4, 8))
    head(torch.randn(4, 8))
    ETFHead(8, 3, norm="batch").requires_grad_(False).eval()(torch.randn(4, 8))


@pytest.mark.parametrize("kind", ["etf", "linear"])
def test_a_simplex_of_a_million_classes_is_refused_at_once(kind: str) -> None:
    with pytest.raises(ValueError, match=r"8,000 GB in float64. Use ImplicitHead\(64, 1000000\)"):
        make_head(kind, 64, 1_000_000, projection="linear")
    head = make_head("recommended", 64, 10)
    with pytest.raises(ValueError, match="ImplicitHead"):
        make_head("etf", 64, 10, projection="linear").reset(1_000_000)
    assert head(torch.randn(2, 64)).shape == (2, 10)
