import numpy as np
import pytest
import torch

from equiangular.frames.quadratic_code import QuadraticCode, field_tables, quadratic_code, quadratic_code_rows


def carryless_product(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
    return product


def remainder(a: int, polynomial: int) -> int:
    while a.bit_length() >= polynomial.bit_length():
        a ^= polynomial << (a.bit_length() - polynomial.bit_length())
    return a


# The smallest primitive polynomials, from the tables of Lidl and Niederreiter.
@pytest.mark.parametrize(("m", "polynomial"), [(2, 7), (3, 11), (4, 19), (6, 67), (9, 529)])
def test_products_are_products_of_polynomials(m: int, polynomial: int) -> None:
    exp, log, _ = field_tables(m)
    for a, b in np.random.default_rng(0).integers(1, 2**m, (50, 2)):
        assert exp[log[a] + log[b]] == remainder(carryless_product(int(a), int(b)), polynomial)


@pytest.mark.parametrize("m", range(1, 12))
def test_trace_is_linear_balanced_and_fixed_by_squaring(m: int) -> None:
    exp, log, trace = field_tables(m)
    assert set(exp[: 2**m - 1].tolist()) == set(range(1, 2**m))
    assert trace.sum() == 2 ** (m - 1)
    a, b = np.random.default_rng(1).integers(0, 2**m, (2, 200))
    assert (trace[a ^ b] == trace[a] ^ trace[b]).all()
    x = np.arange(1, 2**m)
    assert (trace[exp[2 * log[x] % (2**m - 1)]] == trace[x]).all()


def test_size_is_limited() -> None:
    with pytest.raises(ValueError, match=r"m must be at most 16 .*got 17"):
        field_tables(17)


# (K, d) and the family, size and largest cosine that the theory gives.
CASES = [
    (144, 8, "bch2", 144, 1 / 2),
    (288, 16, "kerdock", 288, 1 / 4),
    (289, 16, "bch2", 544, 1 / 2),
    (2112, 32, "bch2", 2112, 1 / 4),
    (2113, 32, "bch3", 65600, 1 / 2),
    (4224, 64, "kerdock", 4224, 1 / 8),
    (4225, 64, "bch2", 8320, 1 / 4),
    (8321, 64, "bch3", 524416, 1 / 2),
    (100_000, 512, "bch2", 525312, 1 / 16),
    (10_000_000, 512, "bch3", 268436480, 1 / 8),
    (100_000, 768, "bch2", 525312, 1 / 16),
]


@pytest.mark.parametrize(("num_classes", "dim", "family", "size", "cosine"), CASES)
def test_choice(num_classes: int, dim: int, family: str, size: int, cosine: float) -> None:
    code = quadratic_code(num_classes, dim)
    assert code == QuadraticCode(dim.bit_length() - 1, family, size, pytest.approx(cosine))


@pytest.mark.parametrize(("num_classes", "dim"), [(10, 4), (1041, 8), (100_000, 16), (5, 1)])
def test_none_is_large_enough(num_classes: int, dim: int) -> None:
    assert quadratic_code(num_classes, dim) is None


@pytest.mark.parametrize(("num_classes", "dim", "family", "size", "cosine"), CASES)
def test_largest_cosine_is_the_proved_one(num_classes: int, dim: int, family: str, size: int, cosine: float) -> None:
    code = quadratic_code(num_classes, dim)
    if size <= 4224:
        ids = torch.arange(size)
    else:  # both ends, and a sample of the rest
        between = torch.randint(500, size - 500, (1000,), generator=torch.Generator().manual_seed(0)).unique()
        ids = torch.cat([torch.arange(500), between, torch.arange(size - 500, size)])
    rows = quadratic_code_rows(code, ids, dim, dtype=torch.float64)
    assert rows.shape == (len(ids), dim)
    gram = rows @ rows.T
    assert (gram.diagonal() - 1).abs().max() < 1e-12
    gram.fill_diagonal_(-2)
    assert float(gram.max()) == pytest.approx(cosine, abs=1e-12)
    squares = gram[::20][gram[::20] > -1.5].square() * code.dim  # the cosines are 0 or +-2^(r/2) / sqrt(d)
    allowed = torch.tensor([0.0, 1, 2, 4, 8, 16, code.dim])
    assert torch.stack([(squares - value).abs() for value in allowed]).amin(0).max() < 1e-9


def test_the_first_2d_rows_are_an_orthoplex() -> None:
    rows = quadratic_code_rows(quadratic_code(1000, 512), torch.arange(1024), dtype=torch.float64)
    assert torch.equal(rows[::2], -rows[1::2])
    assert (rows[::2] @ rows[::2].T - torch.eye(512)).abs().max() < 1e-12


def test_a_row_depends_on_its_number_alone() -> None:
    code = quadratic_code(100_000, 512)
    ids = torch.tensor([3, 99_999, 3, 0, 525_311])
    rows = quadratic_code_rows(code, ids)
    for i, number in enumerate(ids):
        assert torch.equal(rows[i], quadratic_code_rows(code, number[None])[0])


def test_bad_input() -> None:
    code = quadratic_code(100, 8)
    with pytest.raises(ValueError, match=r"class_ids must lie in \[0, 143\], got values from 0 to 144"):
        quadratic_code_rows(code, torch.arange(145))
    with pytest.raises(ValueError, match="dim must be an integer >= 8, got 7"):
        quadratic_code_rows(code, torch.arange(2), 7)
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2"):
        quadratic_code(1, 8)
