import pytest
import torch
from torch.overrides import TorchFunctionMode

from equiangular.frames.implicit import quadratic_nearest
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows

# (K, d) of the three families, whole codes and cuts: within a block, between two, within the axes.
SIZES = [(10, 16), (288, 16), (280, 16), (544, 16), (80, 8), (79, 8), (144, 8), (4101, 64), (5000, 64), (30_000, 64)]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_against_every_inner_product(size: tuple[int, int], k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count, dim = size
    monkeypatch.setattr("equiangular.frames.implicit._ENTRIES", 5 * 7 * dim)  # several parts
    code = quadratic_code(count, dim)
    rows = quadratic_code_rows(code, torch.arange(count), dtype=torch.float64)
    h = torch.randn(7, dim + 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    products = h[:, : code.dim] @ rows.T
    values, ids = quadratic_nearest(code, h, count, k=k)
    torch.testing.assert_close(values, products.topk(k, dim=1).values)
    torch.testing.assert_close(products.gather(1, ids), values)
    assert all(len(set(row)) == k for row in ids.tolist())


def test_its_own_vectors_are_found() -> None:
    code = quadratic_code(10_000, 64)
    ids = torch.randint(0, 10_000, (50,), generator=torch.Generator().manual_seed(0))
    values, found = quadratic_nearest(code, quadratic_code_rows(code, ids))
    assert torch.equal(found[:, 0], ids)
    torch.testing.assert_close(values, torch.ones(50, 1))


class LargestTensor(TorchFunctionMode):
    """Remembers the number of entries of the largest tensor that any function returned."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_memory_does_not_grow_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiangular.frames.implicit._ENTRIES", 64 * 64)
    code = quadratic_code(100_000, 64)
    with LargestTensor() as seen:
        quadratic_nearest(code, torch.ones(2, 64), 100_000)
    assert 64 * 64 <= seen.entries < 8 * 64 * 64


@pytest.mark.parametrize(
    ("features", "count", "k", "message"),
    [
        (torch.ones(1, 8), 100, 1, r"at least the 16 coordinates of the code, got \(1, 8\)"),
        (torch.ones(1, 16), 1000, 1, "the code has 288 vectors, got num_classes=1000"),
        (torch.ones(1, 16), 100, 51, "k must be at most half of the 100 vectors, got 51"),
        (torch.ones(1, 16), 100, 0, "k must be an integer >= 1, got 0"),
        (torch.ones(16), 100, 1, r"features must have shape \(B, d\)"),
    ],
)
def test_bad_input(features: torch.Tensor, count: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quadratic_nearest(quadratic_code(100, 16), features, count, k=k)
