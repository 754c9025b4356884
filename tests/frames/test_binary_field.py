import numpy as np
import pytest

from equiangular.frames.quadratic_code import field_tables


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
