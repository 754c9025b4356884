"""A head without stored class vectors, and the search among them."""

import copy

import pytest
import torch
from torch import nn

from equiangular.frames import implicit_rows
from equiangular.heads import ImplicitHead, attach, find_head, make_head
from equiangular.heads.describe import build_described, describe_head
from equiangular.losses import dot_loss, dot_regression_loss


def features(rows: int = 5, dim: int = 16, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.filterwarnings("ignore:.*torch.cpu.amp.autocast:FutureWarning")  # PyTorch 2.4's own checkpointing
@pytest.mark.parametrize("construction", ["random", "quadratic"])
def test_logits_and_gradients_are_those_of_the_stored_class_vectors(construction: str) -> None:
    options = {"construction": construction, "seed": 3, "scale": 2.5, "dtype": torch.float64}
    head = ImplicitHead(16, 100, chunk_size=7, **options)
    rows = {"seed": 3, "construction": construction, "num_classes": 100, "dtype": torch.float64}
    weight = implicit_rows(torch.arange(100), 16, **rows)
    x, y = features(dtype=torch.float64).requires_grad_(), features(dtype=torch.float64).requires_grad_()
    logits, expected = head(x), 2.5 * nn.functional.normalize(y, dim=1) @ weight.T
    torch.testing.assert_close(logits, expected)
    logits.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert torch.equal(head.class_vectors(), weight)
    with torch.no_grad():
        torch.testing.assert_close(head(x), expected.detach())


def test_nothing_of_the_size_of_k_is_held() -> None:
    head = ImplicitHead(64, 10_000_000)
    assert sum(t.numel() for t in [*head.parameters(), *head.buffers()]) == 5
    assert head.head_parameters() == 0
    assert head.weight is None


@pytest.mark.parametrize("loss", [dot_loss, dot_regression_loss])
def test_a_training_step_at_ten_million_classes(loss) -> None:
    labels = torch.tensor([0, 9_999_999, 5_000_000])
    head = ImplicitHead(32, 10_000_000, seed=1)
    x = features(3, 32).requires_grad_()
    h = head(x, pre_logits=True)
    value = loss(h, torch.arange(3), head.targets(labels))
    value.backward()
    y = features(3, 32).requires_grad_()
    rows = implicit_rows(labels, 32, seed=1)
    cosine = (nn.functional.normalize(y, dim=1) * rows).sum(1)
    expected = (1 - cosine).mean() if loss is dot_loss else (1 - cosine).square().mean() / 2
    expected.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(x.grad, y.grad)
    assert head.targets(labels).requires_grad is False


def test_auto_takes_the_quadratic_code_where_its_bound_is_better() -> None:
    assert ImplicitHead(512, 10_000_000).construction == "quadratic"  # 1/8 against about .36
    assert ImplicitHead(100, 10_000_000).construction == "random"  # no code of that size
    assert ImplicitHead(8, 80).construction == "quadratic"
    assert ImplicitHead(4, 10).construction == "random"


def test_a_checkpoint_brings_its_class_vectors_back() -> None:
    trained, other = ImplicitHead(16, 1000, seed=5), ImplicitHead(16, 1000, seed=0)
    assert not torch.equal(trained(features()), other(features()))
    other.load_state_dict(trained.state_dict())
    assert torch.equal(trained(features()), other(features()))
    assert other.seed == 5
    assert torch.equal(copy.deepcopy(trained)(features()), trained(features()))


@pytest.mark.parametrize("other", [{"num_classes": 501}, {"construction": "random"}], ids=["size", "construction"])
def test_a_checkpoint_of_other_class_vectors_is_refused(other: dict) -> None:
    state = ImplicitHead(16, 500, construction="quadratic").state_dict()
    with pytest.raises(RuntimeError, match="checkpoint's class vectors have K=500, d=16, construction='quadratic'"):
        ImplicitHead(16, **{"num_classes": 500, "construction": "quadratic", **other}).load_state_dict(state)


def test_it_follows_dtype_and_shape_and_reset() -> None:
    head = ImplicitHead(16, 50, norm="batch", projection="linear", dim=8, scale="learned").to(torch.float64)
    assert head(features(dtype=torch.float64).reshape(5, 1, 16)).shape == (5, 1, 50)
    assert head.targets(torch.tensor([1])).dtype == torch.float64
    head.reset(9)
    assert head(features(dtype=torch.float64)).shape == (5, 9)
    assert head.recipe.tolist()[1] == 9
    head.reset(0)
    assert head.recipe is None
    assert head(features(dtype=torch.float64)).shape == (5, 8)


def test_attached_described_and_made_by_name() -> None:
    model = attach(nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 40)), head="implicit", seed=2)
    head = find_head(model)
    again = build_described(describe_head(head), 16, 40, head.state_dict())
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(features()), head(features()))
    assert isinstance(make_head("implicit", 16, 40), ImplicitHead)
    assert "construction='quadratic', seed=2" in repr(head)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((16, 1), {}, "num_classes must be an integer >= 2, got 1"),
        ((16, 10**7), {"construction": "quadratic"}, "no quadratic code holds 10000000 classes in 16 dimensions"),
        ((16, 10), {"construction": "randon"}, "did you mean 'random'"),
        ((16, 10), {"chunk_size": 0}, "chunk_size must be an integer >= 1"),
        ((16, 10), {"seed": -1}, "seed must be an integer"),
    ],
)
def test_bad_input(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImplicitHead(*arguments, **options)


def test_labels_out_of_range_and_no_classes() -> None:
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 9\]"):
        ImplicitHead(16, 10).targets(torch.tensor([10]))
    with pytest.raises(ValueError, match="num_classes=0 has no class vectors"):
        ImplicitHead(16, 0).rows(torch.tensor([0]))
