"""The contract that every head keeps, over a table of heads."""

import copy
import io

import pytest
import torch
from torch import nn

from equiangular.heads import HEADS, CosineHead, ETFHead, Head, LinearHead, RandomHead, make_head, scale_for_probability

K, D = 5, 8
KINDS = sorted(set(HEADS) - {"rotated-etf", "incremental-etf"})  # see test_rotated.py and test_incremental.py
FIXED = ["etf", "random"]


def features(rows: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


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


# --- scale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_the_automatic_scale_lets_a_collapsed_feature_reach_999_in_1000(num_classes: int) -> None:
    head = ETFHead(128, num_classes)
    p = head(head.weight).softmax(1).diagonal()
    torch.testing.assert_close(p, torch.full((num_classes,), 0.999), atol=1e-5, rtol=0)


def test_scales() -> None:
    assert float(LinearHead(D, K).scale) == 1.0
    assert float(ETFHead(D, K, normalize=False).scale) == 1.0
    assert float(CosineHead(D, K, scale=7).scale) == 7.0
    assert float(RandomHead(D, K).scale) == pytest.approx(scale_for_probability(0.999, K))


def test_a_learned_scale_is_positive_and_learns() -> None:
    head = ETFHead(D, K, scale="learned")
    assert head.head_parameters() == 1
    assert float(head.scale.detach()) == pytest.approx(scale_for_probability(0.999, K), rel=1e-6)
    nn.functional.cross_entropy(head(features()), torch.arange(6) % K).backward()
    assert head.log_scale.grad.abs() > 0


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), "best", None])
def test_a_bad_scale_is_refused(scale: object) -> None:
    with pytest.raises(ValueError, match="scale must be"):
        ETFHead(D, K, scale=scale)


# --- reset ----------------------------------------------------------------------------------------------------------


def test_reset_keeps_device_dtype_frozen_state_and_seed(kind: str) -> None:
    head = make_head(kind, D, K, dtype=torch.float64, seed=3, scale="learned", norm="batch").eval()
    for parameter in head.parameters(recurse=False):
        parameter.requires_grad_(False)
    head.reset(7)
    fresh = make_head(kind, D, 7, dtype=torch.float64, seed=3, scale="learned")
    assert head.num_classes == 7
    assert not head.training
    assert not any(p.requires_grad for p in head.parameters(recurse=False))
    assert head.norm.weight.requires_grad
    torch.testing.assert_close(head.weight, fresh.weight)
    torch.testing.assert_close(head.scale, fresh.scale)
    assert head(features(dtype=torch.float64)).shape == (6, 7)
    head.reset(0)
    assert torch.equal(head(features(dtype=torch.float64)), head(features(dtype=torch.float64), pre_logits=True))
    assert "weight" not in head.state_dict()
    head.reset(4)
    assert head.weight.dtype == torch.float64
    assert not any(p.requires_grad for p in head.parameters(recurse=False))


def test_reset_keeps_trained_batchnorm_and_projection_where_they_fit() -> None:
    head = ETFHead(D, K, projection="linear", norm="batch")  # dim = 4
    with torch.no_grad():
        head.projection.weight.fill_(0.5)
        head.norm.weight.fill_(0.25)
    head.reset(3)
    assert head.dim == 4
    assert head.projection.weight.eq(0.5).all()
    assert head.norm.weight.eq(0.25).all()
    head.reset(9)
    assert head.dim == 8
    assert head(features()).shape == (6, 9)


def test_a_reset_that_does_not_fit_changes_nothing() -> None:
    head = ETFHead(D, K)
    before = head(features())
    with pytest.raises(ValueError, match=r"K=20 classes needs features of width >= 19, got d=8"):
        head.reset(20)
    assert head.num_classes == K
    assert torch.equal(head(features()), before)


def test_no_classes_from_the_start(kind: str) -> None:
    head = make_head(kind, D, 0, normalize=False)
    assert torch.equal(head(features()), features())
    with pytest.raises(ValueError, match="num_classes=0 has no targets"):
        head.targets(torch.tensor([0]))


# --- each head's own ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_classes", "dim"), [(2, 1), (6, 5), (5, 8)])
def test_the_etf_head_holds_an_etf(num_classes: int, dim: int) -> None:
    weight = ETFHead(dim, num_classes, dtype=torch.float64).weight
    gram = torch.full((num_classes, num_classes), -1 / (num_classes - 1), dtype=torch.float64).fill_diagonal_(1)
    torch.testing.assert_close(weight @ weight.T, gram, atol=1e-12, rtol=0)


def test_too_narrow_features_name_the_remedies() -> None:
    with pytest.raises(ValueError, match=r'K=100 .* d=64.*projection="linear".*width 99.*best_frame\(100, 64\)'):
        ETFHead(64, 100)


@pytest.mark.parametrize(("projection", "count"), [("linear", 4 * 8 + 8), ("mlp", 4 * 4 + 4 + 4 * 8 + 8)])
def test_a_projection_makes_room(projection: str, count: int) -> None:
    head = ETFHead(4, 9, projection=projection)
    assert head.dim == 8
    assert head.head_parameters() == count
    assert head(torch.randn(3, 4)).shape == (3, 9)
    assert ETFHead(4, 9, projection=projection, dim=32).weight.shape == (9, 32)


def test_given_prototypes() -> None:
    prototypes = torch.eye(3)[torch.tensor([0, 1, 2, 0])].clone()
    head = ETFHead(3, 4, prototypes=prototypes)
    assert torch.equal(head.weight, prototypes)
    prototypes.zero_()
    assert head.weight.abs().sum() == 4
    assert head.head_parameters() == 0
    with pytest.raises(ValueError, match="cannot draw 5 new ones; make a new head with prototypes="):
        head.reset(5)
    with pytest.raises(ValueError, match=r"shape \(K, d\) = \(4, 3\), got \(3, 3\)"):
        ETFHead(3, 4, prototypes=torch.eye(3))
    with pytest.raises(ValueError, match="rows of norm 1, row 1 has norm 2"):
        ETFHead(2, 2, prototypes=torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match=r"must be floating point, got torch\.int64"):
        ETFHead(2, 2, prototypes=torch.eye(2).long())
    assert ETFHead(2, 2, prototypes=nn.Parameter(torch.eye(2))).head_parameters() == 0


def test_the_linear_head_is_nn_linear() -> None:
    head, layer = LinearHead(D, K), nn.Linear(D, K)
    layer.load_state_dict({name: head.state_dict()[name] for name in ("weight", "bias")})
    torch.testing.assert_close(head(features()), layer(features()))
    assert LinearHead(D, K, bias=False).bias is None


def test_linear_initial_values_have_nn_linears_distribution() -> None:
    weight = LinearHead(400, 300).weight
    bound = 400**-0.5
    assert weight.abs().max() <= bound
    torch.testing.assert_close(weight.var(), torch.tensor(bound**2 / 3), rtol=0.02, atol=0)


def test_random_vectors_are_unit_and_isotropic() -> None:
    weight = RandomHead(3, 20_000, dtype=torch.float64).weight
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    torch.testing.assert_close(weight.T @ weight / 20_000, torch.eye(3, dtype=torch.float64) / 3, atol=0.01, rtol=0)


def test_cosine_logits_do_not_depend_on_the_length_of_the_learned_vectors() -> None:
    head = CosineHead(D, K)
    before = head(features())
    with torch.no_grad():
        head.weight.mul_(torch.rand(K, 1) + 0.5)
    torch.testing.assert_close(head(features()), before)


# --- bad input --------------------------------------------------------------------------------------------------------

BAD_ARGUMENTS = [
    ({"num_classes": 1}, "num_classes must be an integer >= 2, got 1"),
    ({"num_classes": True}, "num_classes must be an integer >= 2, got True"),
    ({"in_features": 0}, "in_features must be an integer >= 1, got 0"),
    ({"norm": "layer"}, "norm must be one of 'none', 'batch', got 'layer'"),
    ({"projection": "mpl"}, "projection must be one of 'linear', 'mlp', got 'mpl'; did you mean 'mlp'"),
    ({"drop_rate": 1.0}, r"drop_rate must be a number in \[0, 1\), got 1.0"),
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


def test_repr_says_what_matters() -> None:
    head = ETFHead(D, K, basis="minimal", scale="learned")
    assert "in_features=8, num_classes=5, dim=8, normalize=True, scale=learned, basis='minimal'" in repr(head)
    assert isinstance(head, Head)
