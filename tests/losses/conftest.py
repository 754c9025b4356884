"""A small problem and one target of every kind."""

import pytest
import torch

B, K, D = 7, 5, 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(B, D, generator=generator(1), dtype=torch.float64))


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(K, D, generator=generator(2), dtype=torch.float64))


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(B, K, generator=generator(3), dtype=torch.float64)


def make_target(kind: str) -> object:
    a = torch.tensor([0, 0, 0, 1, 1, 4, 4])
    b = torch.tensor([1, 0, 2, 1, 0, 4, 2])
    return {
        "hard": a,
        "hard-int32": a.int(),
        "soft": torch.rand(B, K, generator=generator(4), dtype=torch.float64).softmax(1),
        "mixup": (a, b, 0.3),
        "mixup-list": [a, b, torch.tensor(0.3)],
        "mixup-per-sample": (a, b, torch.rand(B, generator=generator(5), dtype=torch.float64)),
        "mixup-lam-1": (a, b, 1.0),
    }[kind]


KINDS = ["hard", "hard-int32", "soft", "mixup", "mixup-list", "mixup-per-sample", "mixup-lam-1"]


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest) -> object:
    return make_target(request.param)
