"""What is each head's own: its vectors, its initial values, its scale."""

import pytest
import torch
from torch import nn

from equiangular.heads import CosineHead, ETFHead, LinearHead, RandomHead, scale_for_probability

from .conftest import D, K, features


@pytest.mark.parametrize(("num_classes", "dim"), [(2, 1), (6, 5), (5, 8)])
def test_the_etf_head_holds_an_etf(num_classes: int, dim: int) -> None:
    weight = ETFHead(dim, num_classes, dtype=torch.float64).weight
    gram = torch.full((num_classes, num_classes), -1 / (num_classes - 1), dtype=torch.float64).fill_diagonal_(1)
    torch.testing.assert_close(weight @ weight.T, gram, atol=1e-12, rtol=0)


def test_too_narrow_features_name_the_remedies() -> None:
    with pytest.raises(ValueError, match=r'K=100 .* d=64.*projection="linear".*width 99.*spread_frame\(100, 64\)'):
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
