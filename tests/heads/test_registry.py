"""Heads by name, and from what is written down of them."""

from typing import Any

import pytest
import torch

from equiangular.heads import HEADS, make_head
from equiangular.heads.registry import build_described, describe_head

from .conftest import D, K, features

VECTORS = torch.eye(K, D)
OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "another of each": {
        "norm": "batch", "normalize": False, "scale": 3.0, "drop_rate": 0.25, "seed": 4, "zero_norm": "error",
    },
    "learned scale, behind a map": {"scale": "learned", "projection": "mlp", "dim": D},
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "linear": {"bias": False},
    "implicit": {"chunk_size": 2},
    "incremental-etf": {"reserved": 1},
    "named": {"class_vectors": VECTORS},
}
CASES = [(kind, {**MORE.get(kind, {}), **OPTIONS[name]}) for kind in HEADS for name in OPTIONS]
CASES += [(kind, {"prototypes": VECTORS}) for kind in ("etf", "rotated-etf", "incremental-etf")]


@pytest.mark.parametrize(("kind", "given"), CASES)
def test_a_head_comes_back_from_its_description_and_its_state(kind: str, given: dict[str, Any]) -> None:
    head = make_head(kind, D, K, **given).eval()
    described = describe_head(head)
    again = build_described(described, D, K, head.state_dict()).eval()
    assert describe_head(again) == described
    assert all(value == given.get(name, value) for name, value in described["options"].items())
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(features()), head(features()))
