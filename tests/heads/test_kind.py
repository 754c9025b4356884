"""What of a classifier is learned, said by the built head."""

from __future__ import annotations

import typing

import pytest
import torch
from torch import Tensor, nn

from equiangular import recommended_head, records
from equiangular.heads import HEADS, Head, Kind, LinearHead, NamedHead, attach, find_head, make_head

MAP = {"projection": "linear"}
NAMES = {"class_vectors": torch.eye(5, 8)}
CASES = [  # head, in_features, num_classes, options, kind
    ("etf", 8, 5, {}, "fixed"),
    ("etf", 8, 5, {"norm": "batch"}, "fixed"),
    ("etf", 8, 5, {"norm": "batch-first", "scale": "learned", "drop_rate": 0.5}, "fixed"),
    ("etf", 8, 5, {"normalize": False, "basis": "minimal"}, "fixed"),
    ("etf", 4, 9, {"basis": "spread"}, "fixed"),
    ("etf", 3, 3, {"prototypes": nn.Parameter(torch.eye(3))}, "fixed"),
    ("etf", 8, 5, MAP, "mapped"),
    ("etf", 8, 5, {"projection": "mlp", "dim": 6, "norm": "batch"}, "mapped"),
    ("etf", 8, 5, {"projection": "linear", "norm": "batch-first", "scale": "learned"}, "mapped"),
    ("random", 8, 5, {"norm": "batch", "scale": "learned"}, "fixed"),
    ("random", 8, 5, MAP, "mapped"),
    ("implicit", 8, 50, {"norm": "batch"}, "fixed"),
    ("implicit", 8, 50, MAP, "mapped"),
    ("incremental-etf", 8, 3, {"reserved": 4, "norm": "batch"}, "fixed"),
    ("incremental-etf", 8, 3, {"reserved": 4, **MAP}, "mapped"),
    ("rotated-etf", 8, 5, {}, "mapped"),
    ("rotated-etf", 8, 5, MAP, "mapped"),
    ("rotated-etf", 1, 2, {}, "fixed"),  # there is nothing to turn in one dimension
    ("linear", 8, 5, {}, "learned"),
    ("linear", 8, 5, {"bias": False, "normalize": True}, "learned"),
    ("linear", 8, 5, {"projection": "mlp", "norm": "batch"}, "learned"),
    ("cosine", 8, 5, {}, "learned"),
    ("cosine", 8, 5, {"scale": "learned", **MAP}, "learned"),
    ("etf", 8, 5, {"projection": "residual"}, "mapped"),
    ("named", 8, 5, NAMES, "mapped"),
    ("named", 8, 5, {**NAMES, "projection": None}, "fixed"),
    ("named", 8, 5, {**NAMES, "learn_vectors": True}, "learned"),
    ("recommended", 64, 10, {}, "fixed"),
    ("recommended", 64, 26, {}, "mapped"),
    ("recommended", 64, 26, {"projection": None, "basis": "spread"}, "fixed"),
    ("recommended", 12, 5, {"class_means": torch.eye(5)}, "fixed"),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} {' '.join(case[3]) or '-'}")
def built(request: pytest.FixtureRequest) -> tuple[Head, str]:
    name, width, classes, options, kind = request.param
    return make_head(name, width, classes, **options), kind


def test_kinds(built: tuple[Head, str]) -> None:
    head, kind = built
    assert head.kind == kind
    if kind == "learned":
        assert any(name in ("weight", "bias") for name, _ in head.named_parameters())
    else:  # no gradient reaches a class vector but through a rotation
        assert not any(name in ("weight", "bias", "frame") for name, _ in head.named_parameters())


def test_every_head_is_in_the_table() -> None:
    assert {case[0] for case in CASES} == {*HEADS, "recommended"}
    kinds = {case[4] for case in CASES} | {"computed"}  # that of ClosedFormHead, which has tests of its own
    assert kinds == set(typing.get_args(Kind)) == set(typing.get_args(records.Kind))


def test_frozen_counts_as_fixed_and_thaws(built: tuple[Head, str]) -> None:
    head, kind = built
    assert head.requires_grad_(False).kind == "fixed"
    assert head.head_parameters() == 0
    assert head.requires_grad_(True).kind == kind


def test_one_frozen_part_does_not_freeze_the_other() -> None:
    head = LinearHead(8, 5, projection="linear")
    head.weight.requires_grad_(False)
    assert head.kind == "learned"  # by its bias
    head.bias.requires_grad_(False)
    assert head.kind == "mapped"
    head.projection.requires_grad_(False)
    assert head.kind == "fixed"


def test_a_reset_keeps_the_kind(built: tuple[Head, str]) -> None:
    head, kind = built
    if getattr(head, "basis", "") == "given" or isinstance(head, NamedHead) or head.dim == 1:
        pytest.skip("vectors that were given, or one dimension: no other number of classes")
    head.reset(0)
    assert head.kind == ("mapped" if head.projection_kind else "fixed")
    head.reset(4)
    assert head.kind == kind
    head.requires_grad_(False).reset(3)
    assert head.kind == "fixed"


def test_a_map_that_is_made_anew_is_learned_again() -> None:
    head = make_head("etf", 2, 3, **MAP).requires_grad_(False)
    head.reset(9)  # too many for a map to width 2
    assert (head.dim, head.kind) == (8, "mapped")


def test_registered_classes_and_a_baked_rotation() -> None:
    head = make_head("incremental-etf", 8, 3, reserved=4)
    samples = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    head.register_classes(samples, [3, 3, 4, 4], vector="prototype")
    assert head.kind == "fixed"
    assert make_head("rotated-etf", 8, 5).bake().kind == "fixed"
    assert make_head("rotated-etf", 8, 5, **MAP).bake().kind == "mapped"


def test_the_recommended_head_of_many_classes_learns_more_than_a_linear_one() -> None:
    head = recommended_head(64, 26)
    assert (head.kind, head.head_parameters()) == ("mapped", 1753)
    assert (LinearHead(64, 26).kind, LinearHead(64, 26).head_parameters()) == ("learned", 1690)


def test_it_does_not_depend_on_what_was_asked_for_but_on_what_is_there() -> None:
    model = attach(nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 9)), head="recommended")
    assert find_head(model).kind == "mapped"

    class Own(Head):
        def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
            self.table = nn.Embedding(num_classes, self.dim)
            return self.table.weight.detach()

    assert Own(8, 5).kind == "learned"  # what is not known to be a map is not called one
