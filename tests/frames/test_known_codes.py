import math

import pytest
import torch

from equiangular.frames import explain_frame, minimal_vectors
from equiangular.frames.bounds import levenshtein_bound
from equiangular.frames.candidates import _proof
from equiangular.frames.known_codes import (
    BEST_KNOWN_CODES,
    KNOWN_CODES,
    PROVED_COSINES,
    KnownCode,
    find_known_code,
    known_code,
)
from equiangular.frames.quadratic_code import quadratic_code

CODES = [c for c in KNOWN_CODES.values() if c.num_classes <= 5000]
LARGE = [c for c in KNOWN_CODES.values() if 5000 < c.num_classes < 1_000_000]


def largest_cosine(weight: torch.Tensor) -> float:
    largest = -1.0
    for start in range(0, len(weight), 1024):
        gram = weight[start : start + 1024] @ weight.T
        gram[torch.arange(len(gram)), start + torch.arange(len(gram))] = -2
        largest = max(largest, float(gram.max()))
    return largest


@pytest.mark.parametrize("code", CODES, ids=lambda c: f"{c.num_classes}-{c.dim}-{c.name}")
def test_gram_matrix(code: KnownCode) -> None:
    weight = known_code(code.num_classes, code.dim, seed=None, dtype=torch.float64)
    assert weight.shape == (code.num_classes, code.dim)
    assert (weight.norm(dim=1) - 1).abs().max() < 1e-12
    assert largest_cosine(weight) == pytest.approx(code.max_cosine, abs=1e-12)
    rank = int(torch.linalg.matrix_rank(weight.T @ weight))
    assert rank == code.dim


@pytest.mark.parametrize("code", CODES, ids=lambda c: f"{c.num_classes}-{c.dim}")
def test_no_code_is_below_the_bound(code: KnownCode) -> None:
    bound = levenshtein_bound(code.num_classes, code.dim)
    attained = "Levenshtein" in code.source
    assert (code.max_cosine - bound < 1e-12) == attained
    assert code.max_cosine >= bound - 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("code", LARGE, ids=lambda c: f"{c.num_classes}-{c.dim}")
def test_large_gram_matrix_on_a_sample_of_rows(code: KnownCode) -> None:
    weight = known_code(code.num_classes, code.dim, seed=None, dtype=torch.float32)
    rows = torch.randperm(len(weight), generator=torch.Generator().manual_seed(0))[:512]
    gram = weight[rows] @ weight.T
    gram[torch.arange(512), rows] = -2
    assert float(gram.max()) == pytest.approx(code.max_cosine, abs=1e-6)


# Cosines of each vector with the others and how often, from Cohn and Kumar 2007 and Cohn's list of universal optima.
SPECTRA = {
    (12, 3): {-1: 1, -(5**-0.5): 5, 5**-0.5: 5},
    (16, 5): {-0.6: 5, 0.2: 10},
    (27, 6): {-0.5: 10, 0.25: 16},
    (56, 7): {-1: 1, -1 / 3: 27, 1 / 3: 27},
    (240, 8): {-1: 1, -0.5: 56, 0: 126, 0.5: 56},
    (24, 4): {-1: 1, -0.5: 8, 0: 6, 0.5: 8},
    (10, 4): {-2 / 3: 3, 1 / 6: 6},
    (50, 21): {-3 / 7: 7, 1 / 21: 42},
    (56, 20): {-0.4: 10, 1 / 15: 45},
    (77, 21): {-3 / 8: 16, 1 / 12: 60},
    (100, 22): {-4 / 11: 22, 1 / 11: 77},
    (112, 21): {-1 / 3: 30, 1 / 9: 81},
    (162, 21): {-2 / 7: 56, 1 / 7: 105},
    (275, 22): {-1 / 4: 112, 1 / 6: 162},
    (891, 22): {-1 / 2: 42, -1 / 8: 512, 1 / 4: 336},
    (552, 23): {-1: 1, -1 / 5: 275, 1 / 5: 275},
    (4600, 23): {-1: 1, -1 / 3: 891, 0: 2816, 1 / 3: 891},
    (756, 105): {-1 / 5: 130, 1 / 25: 625},
    (325, 52): {-1 / 4: 68, 1 / 16: 256},
}


@pytest.mark.parametrize("size", SPECTRA, ids=str)
def test_every_vector_sees_the_same_cosines(size: tuple[int, int]) -> None:
    weight = known_code(*size, seed=4, dtype=torch.float64)
    gram = weight @ weight.T
    gram.fill_diagonal_(7)
    counted = 0
    for cosine, count in SPECTRA[size].items():
        assert ((gram - cosine).abs() < 1e-9).sum(1).eq(count).all()
        counted += count
    assert counted == size[0] - 1


BEST = list(BEST_KNOWN_CODES.values())
# How many vectors are at 60 degrees to each, at least and at most, counted on the constructions of the source.
NEIGHBOURS = {40: (12, 12), 72: (20, 20), 126: (32, 32), 4320: (280, 280)}


@pytest.mark.parametrize("code", BEST, ids=lambda c: f"{c.num_classes}-{c.dim}")
def test_best_known(code: KnownCode) -> None:
    weight = torch.from_numpy(code.build())
    assert weight.shape == (code.num_classes, code.dim)
    assert (weight.norm(dim=1) - 1).abs().max() < 1e-12
    assert largest_cosine(weight) == pytest.approx(1 / 2, abs=1e-12)
    assert not code.proved
    assert levenshtein_bound(code.num_classes, code.dim) < 1 / 2
    assert find_known_code(code.num_classes, code.dim) is None
    if code.num_classes in NEIGHBOURS:
        near = ((weight @ weight.T - 1 / 2).abs() < 1e-9).sum(1)
        assert (int(near.min()), int(near.max())) == NEIGHBOURS[code.num_classes]


def test_best_known_are_explained_without_an_optimisation() -> None:
    report = explain_frame(72, 6, dtype=torch.float64, cache=False)
    assert report["construction"].startswith("E6 roots (Conway and Sloane 1999")
    assert report["optimal"] is None
    assert report["max_cosine"] == pytest.approx(1 / 2, abs=1e-12)


def test_quadruples_share_two_points_at_most() -> None:
    for vectors, count in ((minimal_vectors.packing_9(), 18), (minimal_vectors.packing_12(), 51)):
        blocks = {tuple(row.nonzero()[0]) for row in vectors if (row != 0).sum() == 4}
        assert len(blocks) == count
        assert max(len(set(a) & set(b)) for a in blocks for b in blocks if a != b) == 2


def test_an_optimised_code_that_reaches_a_proved_optimum_says_so() -> None:
    proved = {size: math.degrees(math.acos(cosine)) for size, (cosine, _) in PROVED_COSINES.items()}
    assert proved == pytest.approx({(10, 3): 66.14682198, (13, 3): 57.13670308, (14, 3): 55.67057000}, abs=1e-7)
    far = known_code(12, 3, dtype=torch.float64)[:10]
    assert _proof(far) is None


@pytest.mark.parametrize("count", [5, 6, 17])
def test_plane(count: int) -> None:
    weight = known_code(count, 2, dtype=torch.float64)
    assert largest_cosine(weight) == pytest.approx(math.cos(2 * math.pi / count), abs=1e-12)


def test_seed_turns_the_code() -> None:
    first, again, second = (known_code(27, 6, seed=seed, dtype=torch.float64) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, atol=1e-2)
    assert torch.allclose(first @ first.T, second @ second.T)
    assert known_code(27, 6).dtype == torch.get_default_dtype()


def test_unknown_size() -> None:
    assert find_known_code(13, 3) is None
    message = r"no optimal code of 25 vectors in 4 dim.*\(10, 4\), \(24, 4\), \(120, 4\)\). Use spread_frame\(25, 4\)"
    with pytest.raises(ValueError, match=message):
        known_code(25, 4)


def test_a_kerdock_code_is_built_in_the_size_that_it_is_listed_with() -> None:
    """The larger ones are built in no test; each is a quadratic code of its size, which a wrong size has none of."""
    codes = [code for code in KNOWN_CODES.values() if code.name == "Kerdock code"]
    assert len(codes) == 4
    for code in codes:
        assert code.build.args == (code.num_classes, code.dim)
        assert quadratic_code(code.num_classes, code.dim).max_cosine == code.max_cosine


def test_every_entry_says_what_it_is_and_who_says_so() -> None:
    for code in (*KNOWN_CODES.values(), *BEST_KNOWN_CODES.values()):
        assert code.name
        assert any(character.isdigit() for character in code.source)  # a year
    for _, source in PROVED_COSINES.values():
        assert any(character.isdigit() for character in source)
