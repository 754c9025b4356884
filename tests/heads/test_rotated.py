"""The rotated ETF: starts as the ETF head, keeps the geometry while it learns, travels with its state."""

import copy

import pytest
import torch
from torch.nn import functional as F

from equiangular.frames import is_simplex_etf
from equiangular.heads import ETFHead
from equiangular.heads.etf import RotatedETFHead, rotation_matrix

K, D = 5, 8
ANGLES = D * (D - 1) // 2


def turned(seed=0, size=1.0, **options):
    """A head whose rotation has been moved away from the identity."""
    head = RotatedETFHead(D, K, **options)
    with torch.no_grad():
        head.skew.copy_(size * torch.randn(ANGLES, generator=torch.Generator().manual_seed(seed)))
    return head


def batch(seed=0, size=32, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, D, generator=generator, dtype=dtype), torch.randint(K, (size,), generator=generator)


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_rotation_is_the_cayley_map_of_the_skew_matrix(size):
    skew = size * torch.randn(ANGLES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lower, position = torch.zeros(D, D, dtype=torch.float64), 0
    for row in range(D):
        for column in range(row):
            lower[row, column] = skew[position]
            position += 1
    values, vectors = torch.linalg.eig(lower - lower.T)  # the map acts on the eigenvalues, all imaginary
    expected = (vectors @ torch.diag((1 + values / 2) / (1 - values / 2)) @ torch.linalg.inv(vectors)).real
    rotation = rotation_matrix(skew, D)
    torch.testing.assert_close(rotation, expected, atol=1e-11, rtol=0)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(D, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(torch.linalg.det(rotation)) == pytest.approx(1)


@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
def test_single_precision_rotations_are_orthogonal_to_rounding(size):
    skew = size * torch.randn(64 * 63 // 2, generator=torch.Generator().manual_seed(1))
    rotation = rotation_matrix(skew, 64).double()
    assert float((rotation @ rotation.T - torch.eye(64)).abs().max()) < 8 * torch.finfo(torch.float32).eps
    assert rotation_matrix(skew.bfloat16(), 64).dtype == torch.float32


def test_untrained_it_is_the_etf_head_of_the_same_seed():
    x, _ = batch()
    head, fixed = RotatedETFHead(D, K, seed=3), ETFHead(D, K, seed=3)
    assert torch.equal(head.weight, fixed.weight)
    assert torch.equal(head(x), fixed(x))
    assert torch.equal(head(x, pre_logits=True), fixed(x, pre_logits=True))


def test_logits_and_targets_follow_the_rotated_frame():
    head = turned(dtype=torch.float64)
    weight = head.frame @ rotation_matrix(head.skew, D)
    assert float((weight - head.frame).norm().detach()) > 1
    torch.testing.assert_close(head.weight, weight)
    x, labels = batch(dtype=torch.float64)
    torch.testing.assert_close(head(x), F.normalize(x, dim=1) @ weight.T * head.scale)
    torch.testing.assert_close(head.targets(labels), weight[labels])


def test_training_turns_the_frame_to_the_features_and_keeps_its_geometry():
    aim = turned(seed=1, size=0.3).weight.detach()
    head = RotatedETFHead(D, K)
    start = head.weight.detach().clone()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(head(aim), torch.arange(K)).backward()
        optimizer.step()
    assert is_simplex_etf(head.weight.detach())
    assert float((start * aim).sum(1).mean()) < 0.75
    assert float((head.weight.detach() * aim).sum(1).mean()) > 0.99
    assert torch.equal(head.frame, ETFHead(D, K).weight)


def test_gradcheck_through_the_rotation():
    head = turned(dtype=torch.float64)
    x, labels = batch(size=4, dtype=torch.float64)
    skew = head.skew.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: F.cross_entropy(torch.func.functional_call(head, {"skew": s}, (x,)), labels), skew
    )


def test_state_travels_with_the_state_dict_and_copies():
    x, _ = batch()
    head = turned(norm="batch")
    other = RotatedETFHead(D, K, norm="batch", seed=9)
    assert not torch.equal(other.weight, head.weight)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.eval()(x), head.eval()(x))
    assert torch.equal(copy.deepcopy(head)(x), head(x))
    assert {"frame", "skew"} <= set(head.state_dict())
    assert "weight" not in head.state_dict()
    assert head.head_parameters() == 2 * D + ANGLES


def test_reset_starts_anew_and_keeps_dtype_and_frozen_rotation():
    x, _ = batch(dtype=torch.float64)
    head = turned(dtype=torch.float64)
    head.skew.requires_grad_(False)
    head.reset(3)
    assert torch.equal(head.weight, ETFHead(D, 3, dtype=torch.float64).weight)
    assert head.head_parameters() == 0
    head.reset(0)
    assert head.weight is None
    assert [n for n, _ in head.named_parameters()] == []
    torch.testing.assert_close(head(x), F.normalize(x, dim=1))
    head.reset(4)
    assert head(x).shape == (32, 4)
    assert not head.skew.requires_grad


def test_half_precision_and_autocast():
    x, _ = batch()
    head = turned()
    expected = head.weight.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head.weight, expected)
        assert head(x).dtype == torch.bfloat16
    half = turned().to(torch.bfloat16)
    assert half.weight.dtype == torch.bfloat16
    torch.testing.assert_close(half.weight.float(), expected, atol=0.02, rtol=0)


def test_it_moves_to_any_device_and_dtype_and_leaves_global_generators_alone():
    state = torch.get_rng_state()
    head = RotatedETFHead(D, K, norm="batch", dtype=torch.float64)
    assert torch.equal(torch.get_rng_state(), state)
    assert {t.dtype for n, t in head.state_dict().items() if not n.endswith("tracked")} == {torch.float64}
    assert head.to("meta").weight.device.type == "meta"
    assert RotatedETFHead(D, K, device="meta").weight.shape == (K, D)


def test_compiled_exported_and_baked_heads_give_the_same_logits():
    x, _ = batch()
    head = turned(norm="batch").eval()
    expected = head(x)
    torch.testing.assert_close(torch.compile(head, fullgraph=True, backend="eager")(x), expected)
    rows = {0: torch.export.Dim("batch", min=2, max=1000)}
    exported = torch.export.export(head, (x,), dynamic_shapes=(rows,)).module()
    torch.testing.assert_close(exported(x), expected)
    torch.testing.assert_close(exported(x[:7]), expected[:7])
    baked = copy.deepcopy(head).bake()
    assert torch.equal(baked(x), expected)
    assert baked.head_parameters() == 2 * D
    assert set(baked.state_dict()) == set(head.state_dict()) - {"skew"}
    graph = torch.export.export(baked, (x,)).graph
    assert not any("solve" in str(node.target) for node in graph.nodes)


def test_a_given_frame_is_rotated_too():
    vectors = torch.eye(D)[:K]
    assert torch.equal(RotatedETFHead(D, K, prototypes=vectors).weight, vectors)


def test_too_narrow_features():
    with pytest.raises(ValueError, match="needs features of width >= 9, got d=8"):
        RotatedETFHead(D, 10)


def test_a_reset_that_does_not_fit_changes_nothing():
    head, (x, _) = turned(), batch()
    before = head(x)
    with pytest.raises(ValueError, match="K=20 classes needs features of width >= 19"):
        head.reset(20)
    assert torch.equal(head(x), before)
