"""The contract that every head keeps, over a table of heads."""

import copy
import io

import pytest
import torch
from torch import nn

from equiangular.heads import ETFHead, Head, make_head

from .conftest import FIXED, D, K, features


def test_logits_follow_from_features_weight_scale_and_bias(kind: str) -> None:
    head = make_head(kind, D, K, scale=3.0, normalize=True, norm="batch", dtype=torch.float64).eval()
    x = features(dtype=torch.float64)
    h = head(x, pre_logits=True)
    bn = head.norm
    y = (x - bn.running_mean) / (bn.running_var + bn.eps).sqrt()
    torch.testing.assert_close(h, y / y.norm(dim=1, keepdim=True))
    w = head.weight.detach()
    if kind == "cosine":
        w = w / w.norm(dim=1, keepdim=True)
    expected = 3.0 * h @ w.T + (head.bias if kind == "linear" else 0.0)
    torch.testing.assert_close(head(x), expected)
    torch.testing.assert_close(head.logits_from_features(h), expected)
    both = head.features_and_logits(x)
    torch.testing.assert_close(both[0], h)
    torch.testing.assert_close(both[1], expected)


def test_fixed_heads_keep_a_buffer_and_learned_ones_a_parameter(kind: str) -> None:
    head = make_head(kind, D, K)
    assert ("weight" in dict(head.named_buffers())) == (kind in FIXED)
    assert ("weight" in dict(head.named_parameters())) == (kind not in FIXED)
    assert "weight" in head.state_dict()
    assert head.head_parameters() == {"etf": 0, "random": 0, "cosine": K * D, "linear": K * D + K}[kind]
    assert make_head(kind, D, K, norm="batch").head_parameters() == head.head_parameters() + 2 * D


def test_a_state_dict_brings_back_the_weights_and_the_scale(kind: str) -> None:
    first = make_head(kind, D, K, seed=1, scale=5.0, normalize=True)
    second = make_head(kind, D, K, seed=2, scale=2.0, normalize=True)
    assert not torch.equal(first(features()), second(features()))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(first(features()), second(features()))


def test_a_state_dict_of_another_shape_is_torchs_ordinary_error(kind: str) -> None:
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        make_head(kind, D, K).load_state_dict(make_head(kind, D, K + 1).state_dict())


def test_deepcopy_is_equal_and_apart(kind: str) -> None:
    head = make_head(kind, D, K)
    twin = copy.deepcopy(head)
    assert torch.equal(head(features()), twin(features()))
    with torch.no_grad():
        twin.weight.zero_()
    assert not torch.equal(head.weight, twin.weight)


def test_to_moves_everything(kind: str) -> None:
    head = make_head(kind, D, K, norm="batch", projection="linear", dim=6).to(torch.float64)
    assert head(features(dtype=torch.float64)).dtype == torch.float64
    assert head.to("meta")(features(dtype=torch.float64).to("meta")).shape == (6, K)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_argument(kind: str, dtype: torch.dtype) -> None:
    head = make_head(kind, D, K, dtype=dtype)
    assert head.weight.dtype == dtype
    assert head(features(dtype=dtype)).dtype == dtype
    exact = make_head(kind, D, K, dtype=torch.float64).weight
    torch.testing.assert_close(head.weight.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_the_seed_alone_decides_and_global_generators_are_untouched(kind: str) -> None:
    before = torch.get_rng_state()
    options = {"projection": "mlp", "dim": 6}
    a, b, c = (make_head(kind, D, K, seed=s, **options).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not torch.equal(a["weight"], c["weight"])
    assert not torch.equal(a["projection.0.weight"], c["projection.0.weight"])


@pytest.mark.parametrize("shape", [(D,), (2, D), (2, 3, D), (2, 3, 4, D)])
def test_any_number_of_leading_axes(kind: str, shape: tuple[int, ...]) -> None:
    head = make_head(kind, D, K, norm="batch").eval()
    x = torch.randn(*shape)
    flat = x.reshape(-1, D)
    torch.testing.assert_close(head(x), head(flat).reshape(*shape[:-1], K))
    torch.testing.assert_close(head(x, pre_logits=True), head(flat, pre_logits=True).reshape(*shape[:-1], D))


def test_training_batchnorm_sees_all_positions(kind: str) -> None:
    head = make_head(kind, D, K, norm="batch", normalize=False)
    h = head(torch.randn(4, 7, D), pre_logits=True).reshape(-1, D)
    torch.testing.assert_close(h.mean(0), torch.zeros(D), atol=1e-6, rtol=0)


def test_dropout_comes_before_the_normalisation() -> None:
    head = ETFHead(D, K, drop_rate=0.5)
    h = head(features(200), pre_logits=True)
    alive = h.abs().sum(1) > 0
    assert (h == 0).double().mean() > 0.3
    torch.testing.assert_close(h[alive].norm(dim=1), torch.ones(int(alive.sum())))
    assert (head.eval()(features(200), pre_logits=True) != 0).all()


def test_targets_are_the_class_vectors(kind: str) -> None:
    head = make_head(kind, D, K)
    labels = torch.tensor([3, 0, 3])
    targets = head.targets(labels)
    w = head.weight.detach()
    expected = w / w.norm(dim=1, keepdim=True) if kind == "cosine" else w
    torch.testing.assert_close(targets, expected[labels])
    assert targets.requires_grad == (kind not in FIXED)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\] for 5 classes, got values from 5 to 5"):
        head.targets(torch.tensor([5]))
    with pytest.raises(ValueError, match="labels must hold integers"):
        head.targets(torch.tensor([1.0]))


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_training_moves_what_is_learned_and_nothing_else(kind: str, weight_decay: float) -> None:
    """A baseline called learnable must learn, a frame must not move, not even by weight decay."""
    model = nn.Sequential(nn.Linear(D, D), make_head(kind, D, K, normalize=True))
    before = model[1].weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=weight_decay)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features()), torch.arange(6) % K).backward()
        optimizer.step()
    moved = (model[1].weight.detach() - before).norm(dim=1)
    assert (moved == 0).all() if kind in FIXED else (moved > 0.01).all()


def test_repr_says_what_matters() -> None:
    head = ETFHead(D, K, basis="minimal", scale="learned")
    assert "in_features=8, num_classes=5, dim=8, normalize=True, scale=learned, basis='minimal'" in repr(head)
    assert isinstance(head, Head)
