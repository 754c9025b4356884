"""Cross-entropy on cosines: whole and in chunks, against a dense float64 reference."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.losses import CosineCrossEntropyLoss, cosine_cross_entropy, soft_target_cross_entropy

from .conftest import B, D, K, make_target
from .probe import Results
from .reference import cross_entropy

CHUNKS = [None, 1, 2, 3, 5, 100]
BIAS = torch.tensor([0.5, -1.0, 0.0, 2.0, 1.0], dtype=torch.float64)


def reference(features, target, weight, *, bias=None, eps: float = 0.0, scale: float = 8.0) -> torch.Tensor:
    h = features / features.norm(dim=1, keepdim=True)
    w = weight / weight.norm(dim=1, keepdim=True)
    z = scale * h @ w.T
    return cross_entropy(z if bias is None else z + bias, target, label_smoothing=eps)


@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize("bias", [None, BIAS])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_value_and_gradients(features, weight, target, chunk_size, bias, eps: float) -> None:
    ours = [t.clone().requires_grad_() for t in (2 * features, 3 * weight)]
    theirs = [t.clone().requires_grad_() for t in (2 * features, 3 * weight)]
    loss = cosine_cross_entropy(
        ours[0], target, ours[1], scale=8.0, bias=bias, label_smoothing=eps, chunk_size=chunk_size
    )
    expected = reference(theirs[0], target, theirs[1], bias=bias, eps=eps).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_gradcheck_with_a_learned_scale_and_bias(features, weight, chunk_size) -> None:
    def loss(h, w, scale, bias):
        return cosine_cross_entropy(h, make_target("mixup"), w, scale=scale, bias=bias, chunk_size=chunk_size)

    scale = torch.tensor(5.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, [t.clone().requires_grad_() for t in (features, weight, scale, BIAS)])


def test_the_gradient_follows_the_formula(features, weight) -> None:
    target, scale = make_target("hard"), 8.0
    h = features.clone().requires_grad_()
    cosine_cross_entropy(h, target, weight, scale=scale, reduction="sum").backward()
    p = (scale * features @ weight.T).softmax(1)
    own = p.gather(1, target[:, None])
    free = scale * (-(1 - own) * weight[target] + (p @ weight - own * weight[target]))
    tangent = free - (free * features).sum(1, keepdim=True) * features
    torch.testing.assert_close(h.grad, tangent)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_agrees_with_cross_entropy_on_the_logits(features, weight, target, reduction: str) -> None:
    expected = soft_target_cross_entropy(8 * features @ weight.T, target, reduction=reduction)
    torch.testing.assert_close(cosine_cross_entropy(features, target, weight, scale=8, reduction=reduction), expected)
    module = CosineCrossEntropyLoss(scale=8, reduction=reduction, chunk_size=2)
    torch.testing.assert_close(module(features, target, weight), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_low_precision_against_the_naive_version(features, weight, dtype: torch.dtype, chunk_size) -> None:
    target = make_target("hard")
    exact = reference(features, target, weight)
    h, w = features.to(dtype), weight.to(dtype)
    naive = F.cross_entropy(8 * F.normalize(h) @ F.normalize(w).T, target, reduction="none")
    ours = cosine_cross_entropy(h, target, w, scale=8.0, reduction="none", chunk_size=chunk_size)
    assert ours.dtype == torch.float32
    assert (ours - exact).abs().max() <= (naive.double() - exact).abs().max()


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_zero_feature_gets_a_zero_gradient(weight, chunk_size, dtype: torch.dtype) -> None:
    features = torch.zeros(2, D, dtype=dtype, requires_grad=True)
    loss = cosine_cross_entropy(features, torch.tensor([0, 1]), weight.to(dtype), scale=8.0, chunk_size=chunk_size)
    loss.backward()
    assert float(loss.detach().exp()) == pytest.approx(K, rel=1e-5)
    assert features.grad.eq(0).all()


def test_autocast_does_not_lower_the_precision(features, weight) -> None:
    target, h, w = make_target("hard"), features.float(), weight.float()
    expected = cosine_cross_entropy(h, target, w, scale=8.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cosine_cross_entropy(h, target, w, scale=8.0), expected)


def test_chunks_keep_b_by_k_logits_from_being_made() -> None:
    batch, dim, classes, chunk = 64, 4, 2000, 50
    g = torch.Generator().manual_seed(0)
    weight = torch.randn(classes, dim, generator=g)
    features = torch.randn(batch, dim, generator=g).requires_grad_()
    target = torch.randint(classes, (batch,), generator=g)
    largest = {}
    for size in (None, chunk):
        with Results() as results:
            cosine_cross_entropy(features, target, weight, scale=8.0, chunk_size=size).backward()
        largest[size] = results.largest
    assert largest[None] == batch * classes
    assert largest[chunk] <= max(batch * chunk, classes * dim)
    assert results.shapes.count((batch * chunk,)) == 1  # one buffer for all blocks


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the compiler's own
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_compiles_without_a_graph_break(features, weight, chunk_size) -> None:
    def loss(h, t, w):
        return cosine_cross_entropy(h, t, w, scale=8.0, chunk_size=chunk_size)

    target = make_target("hard")
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    theirs, ours = features.clone().requires_grad_(), features.clone().requires_grad_()
    results = compiled(theirs, target, weight), loss(ours, target, weight)
    torch.testing.assert_close(*results)
    for result in results:
        result.backward()
    torch.testing.assert_close(theirs.grad, ours.grad)
    torch._dynamo.reset()


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_no_gradient_is_made_for_a_frozen_weight(features, weight, chunk_size) -> None:
    h = features.requires_grad_()
    for learned in (False, True):
        w = weight.clone().requires_grad_(learned)
        loss = cosine_cross_entropy(h, make_target("hard"), w, scale=8.0, chunk_size=chunk_size)
        with Results() as results:
            loss.backward()
        assert ((K, D) in results.shapes) == learned


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "scale must be a finite number above 0, got 0"),
        ({"scale": 8.0, "chunk_size": 0}, "chunk_size must be an integer >= 1, got 0"),
        ({"scale": 8.0, "label_smoothing": -0.1}, "label_smoothing must be a number in"),
        ({"scale": 8.0, "reduction": "avg"}, "reduction must be one of"),
    ],
)
def test_bad_options_are_refused(features, weight, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cosine_cross_entropy(features, make_target("hard"), weight, **options)
    with pytest.raises(ValueError, match=message):
        CosineCrossEntropyLoss(**options)


def test_a_bias_of_the_wrong_shape_is_refused(features, weight) -> None:
    with pytest.raises(ValueError, match=rf"bias must have shape \(K,\) = \({K},\), got \({B},\)"):
        cosine_cross_entropy(features, make_target("hard"), weight, scale=8.0, bias=torch.zeros(B))
    with pytest.raises(ValueError, match=r"bias must have shape .*, got list"):
        cosine_cross_entropy(features, make_target("hard"), weight, scale=8.0, bias=[0.0] * K)


@pytest.mark.parametrize(("scale", "received"), [(torch.tensor(-1.0), "-1"), (torch.ones(2), r"shape \(2,\)")])
def test_a_scale_that_is_a_bad_tensor_is_refused(features, weight, scale, received: str) -> None:
    with pytest.raises(ValueError, match=f"scale must be a number above 0 or a 0-dim tensor of one, got {received}"):
        cosine_cross_entropy(features, make_target("hard"), weight, scale=scale)
