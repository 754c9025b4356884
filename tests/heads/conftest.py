"""The table of heads, and features for them."""

import pytest
import torch

from equiangular.heads import HEADS

K, D = 5, 8
KINDS = sorted(set(HEADS) - {"rotated-etf", "incremental-etf", "implicit", "named"})  # each has a test file of its own
FIXED = ["etf", "random"]


def given(kind: str, dim: int = D) -> dict[str, torch.Tensor]:
    """The options that a kind of head cannot do without."""
    return {"class_vectors": torch.eye(K, dim)} if kind == "named" else {}


def features(rows: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param
