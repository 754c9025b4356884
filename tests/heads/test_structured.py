"""Large canonical and minimal frames give logits without a product, until their vectors are no longer those."""

import copy

import pytest
import torch

from equiangular.heads import ETFHead, align_head
from equiangular.heads.etf import LARGE_FRAME

K, D = 520, 530
assert K * D >= LARGE_FRAME


def product(head: ETFHead, h: torch.Tensor) -> torch.Tensor:
    return (h.double() @ head.weight.double().T) * head.scale.double()


@pytest.mark.parametrize("scale", ["auto", "learned"])
@pytest.mark.parametrize("basis", ["canonical", "minimal"])
def test_logits_and_gradients_are_those_of_the_product(basis: str, scale: str) -> None:
    head = ETFHead(D, K, basis=basis, scale=scale)
    assert head._are_as_built()
    h = torch.randn(7, D, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours, exact = head.logits_from_features(h), product(head, h)
    dense = h @ head.weight.T * head.scale
    naive = float((dense - exact).detach().abs().max())
    assert float((ours - exact).detach().abs().max()) <= 4 * naive
    upstream = torch.randn(7, K, generator=torch.Generator().manual_seed(1))
    wanted = [h, *head.parameters()]
    for got, expected in zip(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(exact, wanted, upstream.double()), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    three = head.logits_from_features(h.detach().reshape(7, 1, D))
    torch.testing.assert_close(three[:, 0], ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize("basis", ["canonical", "minimal"])
def test_vectors_that_were_changed_are_multiplied(basis: str) -> None:
    h = torch.randn(3, D, generator=torch.Generator().manual_seed(0))

    def check(head: ETFHead, *, as_built: bool) -> None:
        assert head._are_as_built() == as_built
        torch.testing.assert_close(head.logits_from_features(h).double(), product(head, h), rtol=0, atol=1e-4)

    head = ETFHead(D, K, basis=basis)
    state = copy.deepcopy(head.state_dict())
    with torch.no_grad():
        head.weight[[0, 1]] = head.weight[[1, 0]]
    check(head, as_built=False)
    check(copy.deepcopy(head), as_built=False)
    fresh = ETFHead(D, K, basis=basis)
    fresh.load_state_dict(state)
    check(fresh, as_built=True)
    fresh.load_state_dict(head.state_dict())
    check(fresh, as_built=False)
    given = ETFHead(D, K, basis=basis)
    given.weight = head.weight.clone()
    check(given, as_built=False)
    moved = ETFHead(D, K, basis=basis)
    means = torch.randn(K, D, generator=torch.Generator().manual_seed(2))
    align_head(moved, means, torch.ones(K), move="turn")
    check(moved, as_built=False)


def test_moved_and_cast_it_is_still_the_frame() -> None:
    head = ETFHead(D, K, basis="minimal").double()
    assert head._are_as_built()
    h = torch.randn(3, D, dtype=torch.float64)
    torch.testing.assert_close(head.logits_from_features(h), product(head, h), rtol=0, atol=1e-5)
    assert not ETFHead(D, K, basis="minimal").to("meta").to_empty(device="cpu")._lost
