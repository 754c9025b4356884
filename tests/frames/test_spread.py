import json
import math
from pathlib import Path

import pytest
import torch

from equiangular.frames import candidates
from equiangular.frames import spread as module
from equiangular.frames.checks import is_simplex_etf
from equiangular.frames.code_objectives import cosine_range, one_vs_rest_distance
from equiangular.frames.spread import best_frame, explain_frame, spread_frame


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def both(num_classes: int, dim: int, **options: object) -> tuple[torch.Tensor, dict]:
    return spread_frame(num_classes, dim, **options), explain_frame(num_classes, dim, **options)


# (K, d), name, largest cosine, and whether it is proved optimal.
CASES = [
    ((2, 1), "simplex ETF", -1.0, True),
    ((5, 4), "simplex ETF", -1 / 4, True),
    ((5, 64), "simplex ETF", -1 / 4, True),
    ((6, 4), "orthoplex", 0.0, True),
    ((8, 4), "orthoplex", 0.0, True),
    ((100, 64), "orthoplex", 0.0, True),
    ((1000, 512), "orthoplex", 0.0, True),
    ((7, 2), "regular polygon", math.cos(2 * math.pi / 7), True),
    ((24, 4), "24-cell", 1 / 2, True),
    ((27, 6), "Schläfli configuration", 1 / 4, True),
    ((4224, 64), "Kerdock code", 1 / 8, True),
    ((230, 8), "230 vectors of: E8 roots, K=240, d=8", 1 / 2, False),
    ((500, 16), "500 vectors of the quadratic-form code bch2, K=544, d=16", 1 / 2, False),
    ((30_000, 96), "30000 vectors of the quadratic-form code bch3, K=524416, d=64", 1 / 2, False),
]


@pytest.mark.parametrize(("size", "name", "cosine", "optimal"), CASES, ids=lambda v: str(v)[:30])
def test_construction_by_size(
    size: tuple[int, int], name: str, cosine: float, optimal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_WORK", 0)
    monkeypatch.setattr(candidates, "SMALL_PROBLEM", 0)  # nothing is optimised here: closed forms only
    weight, report = both(*size, dtype=torch.float64 if size[0] < 5000 else torch.float32)
    assert weight.shape == size
    assert (weight.norm(dim=1) - 1).abs().max() < 1e-6
    assert report["construction"] == name
    assert report["max_cosine"] == pytest.approx(cosine, abs=1e-6)
    assert (report["optimal"] is not None) == optimal
    assert report["max_cosine"] >= max(report["bounds"]["rankin"], report["bounds"]["levenshtein"]) - 1e-6


def test_optimised_code_is_between_bound_and_closed_form() -> None:
    weight, report = both(40, 8, steps=50, restarts=2)
    assert report["construction"] == "optimised spherical code"
    assert report["optimal"] is None
    assert report["bounds"]["levenshtein"] < report["max_cosine"] < 0.5  # 40 of the E8 roots would have 1/2
    low, high = cosine_range(weight)
    assert (report["min_cosine"], report["max_cosine"]) == (low, high)
    assert report["coherence"] == max(-low, high)
    assert report["pairs_measured"] == 1
    assert json.loads(json.dumps(report)) == report


def test_seed_sets_the_orientation_and_nothing_else() -> None:
    for size in [(5, 8), (9, 6), (24, 4)]:
        first, again, other = (spread_frame(*size, seed=seed, dtype=torch.float64) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.allclose(first, other, atol=1e-3)
        assert torch.allclose(first @ first.T, other @ other.T, atol=1e-12)


def test_global_generators_are_untouched() -> None:
    state = torch.get_rng_state()
    spread_frame(13, 3, steps=5, restarts=1)
    spread_frame(30, 3, seed=2, objective="softmax", steps=5, restarts=1)
    assert torch.equal(state, torch.get_rng_state())


def test_optimised_codes_are_cached(own_cache: Path) -> None:
    calls = []
    options = {"steps": 5, "restarts": 1, "progress": lambda *args: calls.append(args)}
    first = spread_frame(40, 8, **options)
    made = len(calls)
    assert made
    assert torch.equal(spread_frame(40, 8, **options), first)
    assert len(calls) == made
    assert len(list(own_cache.iterdir())) == 1
    spread_frame(40, 8, seed=1, **options)
    spread_frame(40, 8, **{**options, "steps": 6})
    assert len(list(own_cache.iterdir())) == 3
    spread_frame(40, 8, cache=False, **options)
    assert len(calls) == 4 * made
    spread_frame(24, 4)
    assert len(list(own_cache.iterdir())) == 3  # closed forms are not stored


def test_a_corrupt_cache_file_is_reported_from_the_callers_line(own_cache: Path) -> None:
    first = spread_frame(40, 8, steps=5, restarts=1)
    (path,) = own_cache.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match=f"{path.name}.* is corrupt") as caught:
        assert torch.equal(spread_frame(40, 8, steps=5, restarts=1), first)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("size", "distance"), [((5, 4), 5 / 4), ((8, 4), 1.0), ((12, 3), 1 - 5**-0.5)])
def test_softmax_objective(size: tuple[int, int], distance: float) -> None:
    weight, report = both(*size, objective="softmax", steps=300, restarts=2, dtype=torch.float64)
    assert report["one_vs_rest_distance"] == pytest.approx(distance, abs=1e-4)
    assert float(one_vs_rest_distance(weight)[1].min()) == pytest.approx(distance, abs=1e-4)


def test_softmax_takes_the_better_of_optimised_and_closed_form() -> None:
    assert explain_frame(8, 4, objective="softmax")["optimal"].startswith("Jiang")
    report = explain_frame(56, 7, objective="softmax", steps=1, restarts=1)  # one step gets nowhere
    assert report["construction"].startswith("kissing configuration of E8")
    assert report["one_vs_rest_distance"] == pytest.approx(2 / 3, abs=1e-5)


def test_nonnegative() -> None:
    weight, report = both(10, 64, nonnegative=True)
    assert weight.min() >= 0
    assert report["construction"] == "non-negative orthogonal frame"
    assert report["max_cosine"] == 0
    with pytest.raises(ValueError, match="11 non-negative vectors cannot be orthogonal in 10 dimensions"):
        spread_frame(11, 10, nonnegative=True)


def test_huge_sizes_are_measured_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEASURED_WORK", 4000 * 4000 * 64 / 10)
    report = explain_frame(4000, 64, steps=1, cache=False)
    assert 0.01 < report["pairs_measured"] < 0.2
    assert report["max_cosine"] == pytest.approx(1 / 8, abs=1e-6)
    assert report["proved_max_cosine"] == 1 / 8
    assert report["coherence"] == pytest.approx(1, abs=1e-6)


def test_dtype_and_chunks() -> None:
    assert spread_frame(5, 4).dtype == torch.get_default_dtype()
    assert spread_frame(30, 4, steps=3, dtype=torch.float16).dtype == torch.float16
    assert is_simplex_etf(spread_frame(5, 4, dtype=torch.float64))
    report = explain_frame(100, 64, dtype=torch.bfloat16, chunk_size=7)
    assert abs(report["max_cosine"]) < 0.02


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, 4), {}, "num_classes must be an integer >= 2, got 1"),
        ((True, 4), {}, "num_classes must be an integer >= 2, got True"),
        ((10, 0), {}, "dim must be an integer >= 1, got 0"),
        ((10, 2.5), {}, "dim must be an integer >= 1, got 2.5"),
        ((3, 1), {}, "one dimension has two unit vectors, got num_classes=3. Use at least 2 dimensions"),
        ((30, 4), {"objective": "tammes"}, "objective must be one of 'max_cosine', 'softmax', got 'tammes'"),
        ((30, 4), {"steps": 0}, "steps must be an integer >= 1, got 0"),
        ((30, 4), {"chunk_size": 0}, "chunk_size must be an integer >= 2, got 0"),
        ((30, 4), {"seed": -1}, "seed must be an integer"),
    ],
)
def test_impossible_requests(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spread_frame(*arguments, **options)


def test_the_name_of_the_last_release() -> None:
    with pytest.warns(DeprecationWarning, match="best_frame is written spread_frame now") as caught:
        assert torch.equal(best_frame(8, 4, seed=1), spread_frame(8, 4, seed=1))
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="best_frame is written spread_frame .*explain_frame"):
        weight, report = best_frame(7, 2, explain=True, seed=3)
    assert torch.equal(weight, spread_frame(7, 2, seed=3))
    assert report == explain_frame(7, 2, seed=3)
