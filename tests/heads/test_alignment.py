"""Heads moved to the class means: the geometry stays, the distance falls as far as it can, the buffers stay."""

import itertools

import pytest
import torch

from equiangular import CosineHead, ETFHead, LinearHead, RandomHead, align_head, is_simplex_etf, nearest_simplex_etf
from equiangular.frames import simplex_etf
from equiangular.frames.orthogonal import orthoplex
from equiangular.heads import IncrementalETFHead, RotatedETFHead, match_vertices

K, D = 5, 8


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared_distance(head: torch.nn.Module, means: torch.Tensor) -> float:
    return float((head.weight.detach().double() - means).square().sum())


HEADS = {
    "etf": lambda: ETFHead(D, K, dtype=torch.float64),
    "prototypes": lambda: ETFHead(4, 7, prototypes=orthoplex(7, 4, dtype=torch.float64), dtype=torch.float64),
    "random": lambda: RandomHead(D, 12, dtype=torch.float64),
    "rotated": lambda: RotatedETFHead(D, K, dtype=torch.float64),
    "incremental": lambda: IncrementalETFHead(D, K, reserved=3, dtype=torch.float64),
}


@pytest.fixture(params=sorted(HEADS))
def head(request: pytest.FixtureRequest) -> torch.nn.Module:
    return HEADS[request.param]()


def test_turning_keeps_the_geometry_and_no_small_turn_comes_closer(head: torch.nn.Module) -> None:
    means = randn(head.num_classes, head.dim)
    gram = (head.weight @ head.weight.T).detach()
    before = squared_distance(head, means)
    assert align_head(head, means) is head
    weight = head.weight.detach()
    torch.testing.assert_close(weight @ weight.T, gram)
    best = squared_distance(head, means)
    assert best < before
    for seed in range(30):
        skew = 0.1 * randn(head.dim, head.dim, seed=seed)
        turn = torch.linalg.matrix_exp(skew - skew.T)
        assert float((weight @ turn - means).square().sum()) >= best


def test_an_etf_becomes_the_nearest_etf_in_the_heads_dtype() -> None:
    means = randn(K, D)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        head = align_head(ETFHead(D, K, dtype=dtype), means)
        assert torch.equal(head.weight, nearest_simplex_etf(means).to(dtype))


def test_a_hundred_turns_in_half_precision_do_not_wear_the_frame_down() -> None:
    head = ETFHead(D, K, dtype=torch.bfloat16)
    for seed in range(100):
        align_head(head, randn(K, D, seed=seed))
    assert torch.equal(head.weight, nearest_simplex_etf(randn(K, D, seed=99)).bfloat16())


def test_the_buffer_stays_the_same_tensor_and_travels(head: torch.nn.Module) -> None:
    name = "frame" if "frame" in dict(head.named_buffers()) else "weight"
    buffer = dict(head.named_buffers())[name]
    aligned = align_head(head, randn(head.num_classes, head.dim))
    assert dict(aligned.named_buffers())[name] is buffer
    twin = type(head)(head.in_features, head.num_classes, dtype=torch.float64, seed=9, **(
        {"reserved": 3} if isinstance(head, IncrementalETFHead) else
        {"prototypes": orthoplex(7, 4, seed=2, dtype=torch.float64)} if head.num_classes == 7 else {}
    ))  # fmt: skip
    twin.load_state_dict(head.state_dict())
    x = randn(3, head.in_features)
    torch.testing.assert_close(twin(x), head(x))


def test_a_class_without_samples_follows_the_others() -> None:
    head, aim = ETFHead(D, K, dtype=torch.float64), simplex_etf(K, D, seed=5, dtype=torch.float64)
    means = aim.clone()
    means[3] = 50.0
    align_head(head, means, torch.tensor([4, 1, 9, 0, 2]))
    torch.testing.assert_close(head.weight, aim)  # four vertices leave the fifth no choice
    twin = align_head(ETFHead(D, K, dtype=torch.float64), means, counts=[True, True, True, False, True])
    torch.testing.assert_close(twin.weight, aim)


def test_reserved_vertices_follow_the_classes_that_are_there() -> None:
    head = IncrementalETFHead(D, 4, reserved=2, dtype=torch.float64)
    aim = simplex_etf(6, D, seed=5, dtype=torch.float64)
    align_head(head, aim[:4])
    torch.testing.assert_close(head.weight, aim[:4])
    assert is_simplex_etf(head.frame, atol=1e-12)


def test_the_learned_rotation_starts_anew() -> None:
    head = RotatedETFHead(D, K, dtype=torch.float64)
    with torch.no_grad():
        head.skew.normal_(generator=torch.Generator().manual_seed(0))
    skew, means = head.skew, randn(K, D)
    align_head(head, means)
    torch.testing.assert_close(head.weight.detach(), nearest_simplex_etf(means))
    assert head.skew is skew
    assert not skew.any()
    assert skew.requires_grad


@pytest.mark.parametrize("kind", ["etf", "prototypes", "rotated"])
def test_matching_finds_the_best_of_all_permutations(kind: str) -> None:
    head = HEADS[kind]()
    means, before = randn(head.num_classes, head.dim), head.weight.detach().clone()
    best = max(itertools.permutations(range(head.num_classes)), key=lambda p: float((means * before[list(p)]).sum()))
    align_head(head, means, move="match")
    torch.testing.assert_close(head.weight.detach(), before[list(best)])


def test_matching_may_take_reserved_vertices() -> None:
    head = IncrementalETFHead(D, 3, reserved=3, dtype=torch.float64)
    before = head.frame.clone()
    align_head(head, before[[4, 0, 5]] + 0.01 * randn(3, D), move="match")
    torch.testing.assert_close(head.weight, before[[4, 0, 5]])
    assert {tuple(row) for row in head.frame.tolist()} == {tuple(row) for row in before.tolist()}


def test_turning_a_simplex_leaves_a_matching_nothing_to_gain() -> None:
    means = randn(K, D)
    head = align_head(ETFHead(D, K, dtype=torch.float64), means)
    turned = squared_distance(head, means)
    assert squared_distance(align_head(head, means, move="match"), means) == pytest.approx(turned)
    assert turned < squared_distance(align_head(ETFHead(D, K, dtype=torch.float64), means, move="match"), means)


@pytest.mark.parametrize(("rows", "vertices"), [(1, 4), (4, 4), (3, 6)])
def test_match_vertices_against_all_assignments(rows: int, vertices: int) -> None:
    a, m = randn(rows, 5), randn(vertices, 5, seed=1)
    gains = {p: float((a * m[list(p)]).sum()) for p in itertools.permutations(range(vertices), rows)}
    assert tuple(match_vertices(a, m).tolist()) == max(gains, key=gains.get)


@pytest.mark.parametrize("head", [CosineHead(D, K), LinearHead(D, K)])
def test_a_learned_head_is_refused(head: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="cannot be aligned: it learns its class vectors"):
        align_head(head, torch.randn(K, D))


@pytest.mark.parametrize(
    ("means", "options", "message"),
    [
        (torch.ones(K, D + 1), {}, "means must have width 8"),
        (torch.ones(K - 1, D), {}, "means has 4 rows for the 5 classes"),
        (torch.full((K, D), float("nan")), {}, "means has NaN"),
        (torch.ones(K, D), {"counts": [1, 2]}, r"counts must have shape \(5,\)"),
        (torch.ones(K, D), {"counts": [0] * K}, "no class has samples"),
        (torch.ones(K, D), {"move": "trun"}, "did you mean 'turn'"),
    ],
)
def test_bad_input(means: torch.Tensor, options: dict, message: str) -> None:
    head = ETFHead(D, K)
    before = head.weight.clone()
    with pytest.raises(ValueError, match=message):
        align_head(head, means, **options)
    assert torch.equal(head.weight, before)


def test_more_vectors_than_vertices() -> None:
    with pytest.raises(ValueError, match="3 vectors cannot have a vertex each: there are 2"):
        match_vertices(torch.eye(3), torch.eye(3)[:2])


def test_a_head_without_classes() -> None:
    with pytest.raises(ValueError, match="has no classes"):
        align_head(ETFHead(D, 0), torch.ones(2, D))
