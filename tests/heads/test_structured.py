"""Large canonical and minimal frames are not stored: logits, targets and checkpoints without the matrix."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equiangular import simplex_etf, simplex_logits
from equiangular.frames import reachable_cosine, structured
from equiangular.frames.structured import simplex_reach, simplex_rows
from equiangular.heads import ETFHead, ImplicitHead, align_head, recommended_head
from equiangular.heads.registry import build_described, describe_head
from equiangular.heads.unstored import LARGE_FRAME
from equiangular.losses import dot_regression_loss

K, D = 520, 530
assert K * D >= LARGE_FRAME
both = pytest.mark.parametrize("basis", ["canonical", "minimal"])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def product(head: ETFHead, h: torch.Tensor) -> torch.Tensor:
    return (h.double() @ head.class_vectors().double().T) * head.scale.double()


def numbers(head: nn.Module) -> int:
    """All numbers that a head keeps, in modules or beside them."""
    kept = getattr(head, "_kept", None)
    return sum(t.numel() for t in [*head.parameters(), *head.buffers()]) + (kept[0].numel() if kept else 0)


@pytest.mark.parametrize("scale", ["auto", "learned"])
@both
def test_logits_and_gradients_are_those_of_the_product(basis: str, scale: str) -> None:
    head = ETFHead(D, K, basis=basis, scale=scale)
    h = draw(7, D).requires_grad_()
    ours, exact = head.logits_from_features(h), product(head, h)
    dense = h @ head.class_vectors().T * head.scale
    naive = float((dense - exact).detach().abs().max())
    assert float((ours - exact).detach().abs().max()) <= 4 * naive
    upstream = draw(7, K, seed=1)
    wanted = [h, *head.parameters()]
    for got, expected in zip(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(exact, wanted, upstream.double()), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    three = head.logits_from_features(h.detach().reshape(7, 1, D))
    torch.testing.assert_close(three[:, 0], ours, rtol=0, atol=1e-5)


@both
def test_nothing_of_size_k_times_d_is_kept_or_saved(basis: str) -> None:
    head = ETFHead(D, K, basis=basis).train()
    x, labels = draw(3, D).abs().requires_grad_(), torch.tensor([0, K - 1, -100])
    if basis == "minimal":
        with pytest.warns(UserWarning, match=f"cannot point at 5 of the {K} class vectors"):
            loss = F.cross_entropy(head(x), labels)
    else:
        loss = F.cross_entropy(head(x), labels)
    (loss + dot_regression_loss(head(x, pre_logits=True)[:2], torch.arange(2), head.targets(labels)[:2])).backward()
    assert numbers(head) + sum(t.numel() for t in head.state_dict().values()) < 10
    assert set(head.state_dict()) == {"recipe", "fixed_scale"}
    frame = simplex_etf(K, D, basis=basis)
    assert torch.equal(head.class_vectors(), frame)
    assert torch.equal(head.targets(labels), torch.stack([frame[0], frame[-1], torch.zeros(D)]))
    assert numbers(head) < 10
    assert head.weight is head.weight  # from here on it is kept
    assert torch.equal(head.weight, frame)
    assert set(head.state_dict()) == {"recipe", "fixed_scale"}
    head.reset(K - 1)
    assert numbers(head) < 10
    assert torch.equal(head.class_vectors(), simplex_etf(K - 1, D, basis=basis))
    with pytest.raises(ValueError, match="needs features of width >= 599"):
        head.reset(600)
    assert torch.equal(head.class_vectors(), simplex_etf(K - 1, D, basis=basis))
    head.reset(0)
    assert head.weight is None
    assert head(x).shape == (3, D)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "d"), [(2, 1), (2, 5), (9, 8), (9, 30)])
@both
def test_rows_and_their_reach_are_those_of_the_frame(basis: str, k: int, d: int, dtype: torch.dtype) -> None:
    if basis == "canonical" and d < k:
        with pytest.raises(ValueError, match="needs d >= K"):
            simplex_etf(k, d, basis=basis)
        return
    frame = simplex_etf(k, d, basis=basis, dtype=dtype)
    ids = torch.arange(k).flip(0)
    assert torch.equal(simplex_rows(ids, k, d, basis, dtype), frame.flip(0))
    exact = reachable_cosine(simplex_etf(k, d, basis=basis, dtype=torch.float64))
    torch.testing.assert_close(simplex_reach(k, d, basis), exact, rtol=1e-12, atol=1e-12)


@both
def test_vectors_that_were_changed_are_multiplied_and_stored(basis: str) -> None:
    h = draw(3, D)

    def check(head: ETFHead, *, stored: bool) -> None:
        assert (head.structure is None) == stored
        assert ("weight" in head.state_dict()) == stored
        assert ("recipe" in head.state_dict()) != stored
        torch.testing.assert_close(head.logits_from_features(h).double(), product(head, h), rtol=0, atol=1e-4)

    head = ETFHead(D, K, basis=basis)
    state = copy.deepcopy(head.state_dict())
    with torch.no_grad():
        head.weight[[0, 1]] = head.weight[[1, 0]]
    assert torch.equal(head.targets(torch.tensor([0]))[0], simplex_etf(K, D, basis=basis)[1])
    check(head, stored=True)
    check(copy.deepcopy(head), stored=True)
    fresh = ETFHead(D, K, basis=basis)
    assert fresh.weight.shape == (K, D)
    fresh.load_state_dict(state)
    check(fresh, stored=False)
    fresh.load_state_dict(head.state_dict())
    check(fresh, stored=True)
    assert torch.equal(fresh.weight, head.weight)
    fresh.load_state_dict(state)
    check(fresh, stored=False)
    given = ETFHead(D, K, basis=basis)
    given.weight = head.weight.clone()
    check(given, stored=True)
    moved = ETFHead(D, K, basis=basis)
    align_head(moved, draw(K, D, seed=2), torch.ones(K), move="turn")
    check(moved, stored=True)
    again = build_described(describe_head(moved), D, K, moved.state_dict())
    again.load_state_dict(moved.state_dict())
    check(again, stored=True)
    assert torch.equal(again.weight, moved.weight)


@both
def test_checkpoints_with_the_matrix_still_load(basis: str) -> None:
    head = ETFHead(D, K, basis=basis)
    old = {"weight": simplex_etf(K, D, basis=basis), "fixed_scale": head.fixed_scale}
    for new in (ETFHead(D, K, basis=basis), build_described(describe_head(head), D, K, old)):
        assert isinstance(new, ETFHead)
        new.load_state_dict(old)
        assert set(new.state_dict()) == {"recipe", "fixed_scale"}
        assert numbers(new) < 10
    assert set(old) == {"weight", "fixed_scale"}
    with pytest.raises(RuntimeError, match=r"size mismatch for weight: \(520, 531\)"):
        head.load_state_dict({**old, "weight": torch.zeros(K, D + 1)})
    model = nn.Sequential(nn.Linear(D, D), ETFHead(D, K, basis=basis))
    model.load_state_dict({**model[0].state_dict(prefix="0."), **{f"1.{name}": t for name, t in old.items()}})
    assert numbers(model[1]) < 10


@both
def test_a_recipe_is_the_frame_in_a_head_of_another_kind(basis: str) -> None:
    """As a stored frame always was: the checkpoint decides."""
    state = ETFHead(D, K, basis=basis).state_dict()
    head = ETFHead(D, K)
    head.load_state_dict(state)
    assert torch.equal(head.class_vectors(), simplex_etf(K, D, basis=basis))
    other = ETFHead(D, K, basis="minimal" if basis == "canonical" else "canonical")
    other.load_state_dict(state)
    assert torch.equal(other.class_vectors(), simplex_etf(K, D, basis=basis))
    with pytest.raises(RuntimeError, match=r"recipe of class vectors is \[., 520, 530\]; this head: in_features=531"):
        ETFHead(D + 1, K, basis=basis).load_state_dict(state)


@both
def test_moved_cast_and_built_on_the_meta_device(basis: str) -> None:
    head = ETFHead(D, K, basis=basis)
    assert head.weight.dtype == torch.float32
    head = head.double()
    h = draw(3, D).double()
    torch.testing.assert_close(head.logits_from_features(h), product(head, h), rtol=0, atol=1e-10)
    assert torch.equal(head.weight, simplex_etf(K, D, basis=basis, dtype=torch.float64))
    with torch.device("meta"):
        meta = ETFHead(D, K, basis=basis)
        assert meta(torch.empty(3, D)).shape == (3, K)
        assert meta.weight.is_meta
        assert meta.targets(torch.zeros(3, dtype=torch.int64)).is_meta
    meta.to_empty(device="cpu")
    assert torch.equal(meta.fixed_scale, ETFHead(D, K).fixed_scale)
    assert torch.equal(meta.class_vectors(), simplex_etf(K, D, basis=basis))
    assert meta.state_dict()["recipe"].tolist() == ETFHead(D, K, basis=basis).state_dict()["recipe"].tolist()
    stored = ETFHead(D, K, basis=basis)
    stored.store_frame()
    with torch.no_grad():
        stored.weight.zero_()
    stored.reset_parameters()
    assert torch.equal(stored.weight, simplex_etf(K, D, basis=basis))


@both
def test_compiled_exported_and_in_half_precision(basis: str) -> None:
    head, x = ETFHead(D, K, basis=basis).eval(), draw(3, D)
    expected = head(x)
    labels = torch.tensor([3, 0, 519])

    def step(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return head(h), head.targets(labels)

    for _ in range(2):  # with class vectors that were handed out, too
        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
        y = x.clone().requires_grad_()
        logits, targets = compiled(y)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(targets, head.targets(labels), rtol=0, atol=1e-6)
        z = x.clone().requires_grad_()
        head(z).square().sum().backward()
        logits.square().sum().backward()
        torch.testing.assert_close(y.grad, z.grad, rtol=1e-4, atol=1e-4)
        torch._dynamo.reset()
        assert head.weight.shape == (K, D)
    with torch.no_grad():
        head.weight.neg_()
    assert torch.allclose(torch.compile(head, fullgraph=True, backend="aot_eager")(x), -expected, atol=1e-4)
    torch._dynamo.reset()
    head = ETFHead(D, K, basis=basis).eval()
    program = torch.export.export(head, (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch", min=2)}})
    torch.testing.assert_close(program.module()(draw(5, D, seed=1)), head(draw(5, D, seed=1)), rtol=0, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = head(x)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=2e-2, atol=1e-2)
    halved = ETFHead(D, K, basis=basis).bfloat16()
    assert halved(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(halved(x.bfloat16()).float(), expected, rtol=3e-2, atol=5e-2)


@both
@pytest.mark.parametrize("dim", [5, 8])
def test_what_runs_where_values_cannot_be_read_is_the_same_product(
    monkeypatch: pytest.MonkeyPatch, basis: str, dim: int
) -> None:
    x, y = draw(2, 3, dim).double(), draw(2, 3, 5, seed=1).double()
    frame = simplex_etf(5, dim, basis=basis, dtype=torch.float64)
    for logits in (structured._logits, structured._logits_in_place):
        torch.testing.assert_close(logits(x, 2.0, 5, basis), 2 * x @ frame.T)
    for pulled in (structured._pulled_back, structured._pulled_back_in_place):
        torch.testing.assert_close(pulled(y, 2.0, 5, basis, dim), 2 * y @ frame)
    x = x.flatten(0, 1)
    whole = structured._logits_in_place(x, 2.0, 5, basis)
    monkeypatch.setattr(structured, "_NEAR", 10)  # two rows at a time
    assert torch.equal(structured._logits_in_place(x, 2.0, 5, basis), whole)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forward mode's own
@both
def test_gradients_of_gradients_and_many_at_once(basis: str) -> None:
    x = draw(2, 6).double().requires_grad_()
    ours = lambda v: simplex_logits(v, 5, basis=basis)  # noqa: E731
    assert torch.autograd.gradcheck(ours, x, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: ours(v) ** 2, x)
    frame = simplex_etf(5, 6, basis=basis, dtype=torch.float64)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(ours)(x[0].detach()), frame)
    torch.testing.assert_close(torch.func.vmap(ours)(x), x @ frame.T)


@pytest.mark.parametrize(
    "head",
    [ETFHead(D, K, basis="canonical"), ImplicitHead(8, 10007, seed=2**53 + 1, construction="random")],
    ids=["structured", "implicit"],
)
def test_an_average_of_weights_and_buffers_keeps_the_recipe(head: nn.Module) -> None:
    average = AveragedModel(nn.Sequential(head), multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    for _ in range(3):
        average.update_parameters(nn.Sequential(head))
        assert head.class_vectors() is not None
    saved = average.module.state_dict()["0.recipe"]
    assert torch.equal(saved, head.state_dict()["recipe"])
    head.load_state_dict(average.module[0].state_dict())


@pytest.mark.parametrize("num_classes", [2048, 2049])
def test_behind_a_map_a_large_frame_needs_no_matrix(num_classes: int) -> None:
    head = recommended_head(4, num_classes).eval()
    large = num_classes > 2048
    assert (head.basis, head.dim) == (("canonical", num_classes) if large else ("haar", num_classes - 1))
    assert (head.recipe is not None) == large
    x = torch.randn(3, 4)
    mapped = head(x, pre_logits=True)
    torch.testing.assert_close(head(x), mapped @ head.class_vectors().T, rtol=1e-4, atol=1e-5)


def test_the_recommended_head_of_many_classes_trains_resets_and_comes_back() -> None:
    head = recommended_head(4, 3000)
    torch.nn.functional.cross_entropy(head(torch.randn(8, 4)), torch.arange(8)).backward()
    assert max(t.numel() for t in head.state_dict().values()) == 4 * 3000
    again = build_described(describe_head(head), 4, 3000, head.state_dict())
    again.load_state_dict(head.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(again.eval()(x), head.eval()(x))
    head.reset(3100)
    assert head(x).shape == (3, 3100)
    with pytest.raises(ValueError, match="2998"):
        recommended_head(4, 3000, dim=2998)
    assert recommended_head(4, 3000, basis="minimal").dim == 2999
    assert recommended_head(4, 3000, projection="mlp").dim == 3000
