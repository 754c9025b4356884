"""Labels of ``head.targets``, and gradients of class vectors in half precision."""

import pytest
import torch
from torch.nn import functional as F

from equiangular.heads import HEADS, make_head
from equiangular.losses import cosine_cross_entropy, dot_loss, dot_regression_loss

from .conftest import D, K, given

every_head = pytest.mark.parametrize("kind", HEADS)


@every_head
def test_a_sample_without_a_class_has_a_zero_row(kind: str) -> None:
    head = make_head(kind, D, K, **given(kind))
    rows = head.targets(torch.tensor([3, -100, 0]))
    torch.testing.assert_close(rows[[0, 2]], head.class_vectors()[[3, 0]])
    assert not rows[1].any()


@every_head
@pytest.mark.parametrize("bad", [-1, K, -101])
def test_a_label_out_of_range_is_an_error_in_eager_and_compiled_code(kind: str, bad: int) -> None:
    head, labels = make_head(kind, D, K, **given(kind)), torch.tensor([0, bad, 2])
    with pytest.raises(ValueError, match=rf"labels must lie in \[0, {K - 1}\].*got values from.*has the label -100"):
        head.targets(labels)
    torch._dynamo.reset()
    compiled = torch.compile(head.targets, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(torch.tensor([0, -100, 2])), head.targets(torch.tensor([0, -100, 2])))
    with pytest.raises(RuntimeError, match=rf"must lie in \[0, {K - 1}\] for {K} classes"):
        compiled(labels)


LOSSES = {
    "dot-regression": dot_regression_loss,
    "dot": dot_loss,
    "cosine": lambda h, y, w: cosine_cross_entropy(h, y, w, scale=4.0),
    "cosine, chunks": lambda h, y, w: cosine_cross_entropy(h, y, w, scale=4.0, chunk_size=3),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_learned_class_vectors_do_not_stop_growing(name: str, dtype: torch.dtype) -> None:
    """8,192 samples of ten classes: a sum of such parts in bfloat16 was wrong by up to 70 %."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(8192) % 10
    weight = F.normalize(torch.randn(10, D, generator=generator), dim=1).to(dtype).requires_grad_()
    h = F.normalize(torch.randn(8192, D, generator=generator) + 2, dim=1).to(dtype)
    exact = weight.detach().double().requires_grad_()
    LOSSES[name](h, y, weight).backward()
    LOSSES[name](h.double(), y, exact).backward()
    torch.testing.assert_close(weight.grad.double(), exact.grad, rtol=0.01, atol=0.01 * float(exact.grad.abs().max()))


def test_targets_of_a_learned_head_in_half_precision() -> None:
    head = make_head("linear", D, K, dtype=torch.bfloat16)
    rows = head.targets(torch.arange(8192) % K)
    assert rows.dtype == torch.bfloat16
    rows.sum().backward()
    torch.testing.assert_close(head.weight.grad.float(), torch.full((K, D), 8192 / K), rtol=0.01, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from inside torch's own compiler
@pytest.mark.parametrize("construction", ["random", "quadratic"])
def test_vectors_that_are_computed_are_the_same_in_machine_code(construction: str) -> None:
    """The compiler takes int64 sums for free of overflow: what it knows of the labels may not reach the generator."""
    head = make_head("implicit", D, 4, construction=construction)
    labels = torch.tensor([0, 1, 2, 3, -100, 1])
    torch._dynamo.reset()
    compiled = torch.compile(head.targets, fullgraph=True)
    assert torch.equal(compiled(labels), head.targets(labels))
    for bad in (-1, 4):
        with pytest.raises(RuntimeError, match=r"labels must lie in \[0, 3\] for 4 classes"):
            compiled(labels.masked_fill(labels == 2, bad))
