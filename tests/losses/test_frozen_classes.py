"""Cross-entropy over class vectors that do not learn: in one pass over their blocks, and without storing them."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.frames.blocks import implicit_blocks
from equiangular.frames.implicit import CONSTRUCTIONS, implicit_rows
from equiangular.frames.quadratic_code import quadratic_code
from equiangular.heads import ImplicitHead
from equiangular.losses import CosineCrossEntropyLoss, cosine_cross_entropy

from .probe import Results

B, D, K = 6, 16, 90
every = pytest.mark.parametrize("construction", CONSTRUCTIONS)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def targets(kind: str) -> object:
    labels = torch.tensor([0, 3, 89, -100, 7, 45])
    if kind == "soft":
        return draw(B, K).softmax(1)
    return labels if kind == "hard" else (labels, labels.flip(0), 0.3)


@pytest.mark.parametrize("scale", [0.5, 16.0, 200.0])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("norms", [1.0, 3.0, 0.0])
def test_the_gradient_of_one_pass_is_that_of_the_logits(scale: float, with_bias: bool, norms: float) -> None:
    weight = F.normalize(draw(K, D, seed=1)) * (norms or torch.arange(K).double()[:, None])  # a zero row among them
    bias = draw(K, seed=2) if with_bias else None
    upstream = draw(B, seed=3)
    given = {"scale": scale, "bias": bias, "reduction": "none", "label_smoothing": 0.1}
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
        x, y = (draw(B, D).requires_grad_() for _ in range(2))
        whole = cosine_cross_entropy(x, targets("hard"), weight, **given)
        small = given | {"bias": None if bias is None else bias.to(dtype)}
        chunked = cosine_cross_entropy(y.to(dtype), targets("hard"), weight.to(dtype), chunk_size=7, **small)
        torch.testing.assert_close(chunked.double(), whole, rtol=tolerance, atol=tolerance * scale)
        whole.backward(upstream)
        chunked.backward(upstream.to(dtype))
        torch.testing.assert_close(y.grad, x.grad, rtol=tolerance, atol=tolerance * scale)


def test_gradcheck_and_a_learned_scale() -> None:
    weight, x, scale = draw(K, D, seed=1), draw(3, D).requires_grad_(), torch.tensor(5.0, dtype=torch.float64)

    def loss(h: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return cosine_cross_entropy(h, targets("hard")[:3], weight, scale=s, chunk_size=32, reduction="none")

    assert torch.autograd.gradcheck(loss, (x, scale.requires_grad_()))


@pytest.mark.parametrize("kind", ["hard", "soft", "mixup"])
@pytest.mark.parametrize("head_dtype", [torch.float64, torch.bfloat16])
@every
def test_a_head_without_class_vectors(construction: str, kind: str, head_dtype: torch.dtype) -> None:
    head = ImplicitHead(D, K, construction=construction, seed=4, dtype=head_dtype, chunk_size=13)
    stored, bias = head.class_vectors().double(), draw(K, seed=2)
    loss = CosineCrossEntropyLoss(scale=9.0, label_smoothing=0.05)
    for given in (None, bias):
        x, y = (draw(B, D).requires_grad_() for _ in range(2))
        ours, theirs = loss(x, targets(kind), head, given), loss(y, targets(kind), stored, given)
        # The vectors of a head in half precision are not normalised again.
        exact = head_dtype == torch.float64
        tolerance = {"rtol": 1e-12, "atol": 1e-12} if exact else {"rtol": 2e-3, "atol": 2e-3}
        torch.testing.assert_close(ours, theirs, **tolerance)
        ours.backward()
        theirs.backward()
        torch.testing.assert_close(x.grad, y.grad, **tolerance)
    learned = bias.clone().requires_grad_()
    cosine_cross_entropy(draw(B, D), targets(kind), head, scale=9.0, bias=learned).backward()
    assert learned.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="num_classes=0 has no class vectors"):
        loss(draw(B, D), targets("hard"), ImplicitHead(D, 0))
    with pytest.raises(ValueError, match="must have width 16"):
        loss(draw(B, D + 1), targets("hard"), head)


@every
def test_nothing_of_the_size_of_the_classes_is_made(construction: str) -> None:
    dim, classes, batch = 64, 20_000, 8
    head = ImplicitHead(dim, classes, construction=construction, chunk_size=256)
    x = draw(batch, dim).float().requires_grad_()
    cosine_cross_entropy(x, torch.arange(batch), head, scale=16.0).backward()
    with Results() as results:
        cosine_cross_entropy(x, torch.arange(batch), head, scale=16.0).backward()
    assert results.largest <= max(classes, 4 * dim * 256)


@pytest.mark.parametrize("size", [1, 40, 1000])
@pytest.mark.parametrize("num_classes", ["few", "into the axes", "all"])
def test_blocks_are_the_rows(num_classes: str, size: int) -> None:
    dim, code = 12, quadratic_code(16, 12)
    count = {"few": 21, "into the axes": code.size - 5, "all": code.size}[num_classes]
    h, p = draw(5, dim), draw(5, count, seed=1)
    for construction in CONSTRUCTIONS:
        rows = implicit_rows(
            torch.arange(count), dim, seed=3, construction=construction, num_classes=count, dtype=torch.float64
        )
        found, total, end = torch.full((5, count), torch.nan, dtype=torch.float64), torch.zeros_like(h), 0
        for block in implicit_blocks(
            count, dim, seed=3, construction=construction, size=size, dtype=torch.float64, rounded_to=torch.float64,
            device=h.device,
        ):  # fmt: skip
            assert block.start == end
            end = block.stop
            block.products(h, found[:, block.start : block.stop])
            total += block.weighted(p[:, block.start : block.stop])
        assert end == count
        torch.testing.assert_close(found, h @ rows.T, rtol=0, atol=1e-12)
        torch.testing.assert_close(total, p @ rows, rtol=0, atol=1e-12)


@every
def test_logits_of_the_head_and_derivatives_of_any_order(construction: str) -> None:
    head = ImplicitHead(8, 9, construction=construction, dtype=torch.float64, chunk_size=7, scale="learned")
    frozen = ImplicitHead(8, 9, construction=construction, dtype=torch.float64, chunk_size=7)
    x = draw(2, 8).requires_grad_()
    for some in (head, frozen):
        assert torch.autograd.gradcheck(some.logits_from_features, x, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(lambda h, some=some: some.logits_from_features(h) ** 2, x)
    head(x).sum().backward()
    assert head.log_scale.grad is not None
    three = frozen.logits_from_features(x.reshape(1, 2, 8))
    assert torch.equal(three[0], frozen.logits_from_features(x))
