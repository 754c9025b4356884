import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from equiangular.frames.implicit import CONSTRUCTIONS, implicit_rows, quadratic_nearest
from equiangular.frames.quadratic_code import quadratic_code, quadratic_code_rows
from equiangular.frames.splitmix import signed, splitmix

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """The published generator in Python's own integers (Steele, Lea and Flood 2014)."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@settings(deadline=None)
@given(state=st.integers(0, MASK))
def test_splitmix_against_python_integers(state: int) -> None:
    assert int(splitmix(torch.tensor(signed(state)))) == signed(splitmix64(state))


def test_splitmix_reference_stream() -> None:
    # First outputs for seed 1234567, as published with the xoshiro generators (prng.di.unimi.it/splitmix64.c).
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    states = [signed((1234567 + i * 0x9E3779B97F4A7C15) & MASK) for i in range(4)]
    assert [int(v) & MASK for v in splitmix(torch.tensor(states))] == expected


def row_in_python(class_id: int, dim: int, seed: int) -> torch.Tensor:
    words = (dim + 3) // 4
    start = splitmix64((class_id + splitmix64(seed)) & MASK)
    bits = [splitmix64((start + (i + 1) * 0x9E3779B97F4A7C15) & MASK) for i in range(words)]
    entries = [2 * (word >> shift & 0xFFFF) - 0xFFFF for shift in (0, 16, 32, 48) for word in bits][:dim]
    return torch.tensor(entries, dtype=torch.float64) / sum(e * e for e in entries) ** 0.5


@pytest.mark.parametrize("dim", [1, 3, 64, 130])
@pytest.mark.parametrize("class_id", [0, 1, 9_999_999, 2**62])
def test_rows_against_python_integers(class_id: int, dim: int) -> None:
    row = implicit_rows(torch.tensor(class_id), dim, seed=5, dtype=torch.float64)
    assert torch.equal(row, row_in_python(class_id, dim, 5))


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_a_row_depends_on_seed_and_class_alone(construction: str) -> None:
    options = {"construction": construction, "num_classes": 10_000_000}
    ids = torch.tensor([[5, 9_999_999], [0, 5]])
    rows = implicit_rows(ids, 256, seed=2, **options)
    assert rows.shape == (2, 2, 256)
    assert torch.allclose(rows.norm(dim=-1), torch.ones(2, 2))
    assert torch.equal(rows[0, 0], rows[1, 1])
    assert torch.equal(rows[0, 1], implicit_rows(ids[0, 1], 256, seed=2, **options))
    assert not torch.equal(rows, implicit_rows(ids, 256, seed=3, **options))
    exact = implicit_rows(ids.int(), 256, seed=2, dtype=torch.float64, **options)
    assert torch.allclose(rows.double(), exact, atol=1e-7)
    assert implicit_rows(ids[:0], 256, **options).shape == (0, 2, 256)


@pytest.mark.parametrize("dim", [16, 64, 512])
def test_cosines_are_those_of_random_directions(dim: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    ids = torch.randint(0, 10_000_000, (4000,), generator=torch.Generator().manual_seed(0))
    rows = implicit_rows(ids, dim, seed=11, dtype=torch.float64)
    cosines = (rows[::2] * rows[1::2]).sum(1)
    n = len(cosines)
    assert abs(float(cosines.mean())) < 4 / (n * dim) ** 0.5
    assert float(cosines.var()) * dim == pytest.approx(1, abs=4 * (2 / n) ** 0.5)
    half = (dim - 1) / 2  # (1 + cosine) / 2 of two random directions has the Beta(half, half) distribution
    assert stats.kstest((1 + cosines.numpy()) / 2, stats.beta(half, half).cdf).pvalue > 0.01
    first, last = implicit_rows(torch.arange(2000), dim, seed=0), implicit_rows(torch.arange(2000), dim, seed=1)
    for a, b in ((first[:-1], first[1:]), (first, last)):  # neighbours in class and in seed are unrelated
        cosines = (a.double() * b.double()).sum(1).numpy()
        assert stats.kstest((1 + cosines) / 2, stats.beta(half, half).cdf).pvalue > 0.01


def test_entries_are_centred_and_even_over_columns() -> None:
    rows = implicit_rows(torch.arange(5000), 48, seed=4, dtype=torch.float64)
    assert rows.mean(0).abs().max() < 5 / (5000 * 48) ** 0.5
    second = rows.T @ rows / 5000 * 48
    assert (second - torch.eye(48)).abs().max() < 6 / 5000**0.5


def test_quadratic_construction_keeps_its_bound() -> None:
    ids = torch.randint(0, 10_000_000, (2000,), generator=torch.Generator().manual_seed(0)).unique()
    rows = implicit_rows(ids, 512, construction="quadratic", num_classes=10_000_000, dtype=torch.float64)
    assert (rows @ rows.T).fill_diagonal_(-1).max() <= 1 / 8 + 1e-12
    random = implicit_rows(ids, 512, dtype=torch.float64)
    assert (random @ random.T).fill_diagonal_(-1).max() > 1 / 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from inside torch's own compiler
@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_compiled_rows_are_the_same(construction: str) -> None:
    def rows(ids: torch.Tensor) -> torch.Tensor:
        return implicit_rows(ids, 64, seed=3, construction=construction, num_classes=10_000)

    ids = torch.arange(0, 1000, 37)
    assert torch.equal(torch.compile(rows, fullgraph=True)(ids), rows(ids))


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        (torch.tensor([0.5]), {}, r"class_ids must hold integers, got torch.float32. Use .long\(\)"),
        ([1, 2], {}, "class_ids must be a torch.Tensor of integers, got list"),
        (torch.tensor([3, -1]), {}, "class_ids must be at least 0, got -1"),
        (torch.tensor([3]), {"seed": -1}, "seed must be an integer >= 0, got -1"),
        (torch.tensor([3]), {"seed": 2**63}, r"seed must be an integer in \[0, 2\*\*63\)"),
        (torch.tensor([3]), {"construction": "quadratics"}, "did you mean 'quadratic'"),
        (torch.tensor([3]), {"construction": "quadratic"}, "needs num_classes"),
        (torch.tensor([3]), {"construction": "quadratic", "num_classes": 10**7}, "no quadratic code holds 10000000"),
    ],
)
def test_bad_input(ids: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        implicit_rows(ids, 16, **options)


def test_bad_dimension() -> None:
    with pytest.raises(ValueError, match="dim must be an integer >= 1, got 0"):
        implicit_rows(torch.tensor([3]), 0)


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
def test_search_bad_input(features: torch.Tensor, count: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quadratic_nearest(quadratic_code(100, 16), features, count, k=k)
