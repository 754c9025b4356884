import math
from importlib import import_module

import pytest
import torch

from equiangular.frames.bounds import levenshtein_bound
from equiangular.frames.code_objectives import cosine_range, one_vs_rest_distance
from equiangular.frames.spherical_code import spherical_code

module = import_module("equiangular.frames.spherical_code")  # the package's attribute of that name is the function

# (K, d), the optimum, restarts. The optimiser never looks at the table of known codes.
OPTIMA = [
    ((12, 3), 5**-0.5, 1),
    ((24, 4), 1 / 2, 2),
    ((16, 5), 1 / 5, 1),
    ((27, 6), 1 / 4, 1),
    ((56, 7), 1 / 3, 1),
    ((7, 3), 0.2101383, 2),
    ((8, 3), 1 / (1 + 2 * math.sqrt(2)), 1),
    ((9, 3), 1 / 3, 1),
    ((10, 3), 0.4043943, 6),
    ((11, 3), 5**-0.5, 4),
    ((14, 3), 0.5639525, 2),  # Musin and Tarasov 2015: 55.6706 degrees
    ((24, 3), 0.7230785, 1),
    ((10, 4), 1 / 6, 1),
    ((5, 7), -1 / 4, 1),
    ((6, 5), -1 / 5, 1),
    ((16, 9), 0.0, 1),
    ((33, 2), math.cos(2 * math.pi / 33), 1),
    ((120, 4), math.cos(math.pi / 5), 2),
]


@pytest.mark.parametrize(("size", "cosine", "restarts"), OPTIMA, ids=lambda v: str(v))
def test_reaches_known_optima(size: tuple[int, int], cosine: float, restarts: int) -> None:
    weight = spherical_code(*size, restarts=restarts, dtype=torch.float64)
    assert weight.shape == size
    assert (weight.norm(dim=1) - 1).abs().max() < 1e-12
    assert cosine_range(weight)[1] == pytest.approx(cosine, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "cosine"), [((240, 8), 1 / 2), ((100, 22), 1 / 11)])
def test_reaches_larger_optima(size: tuple[int, int], cosine: float) -> None:
    # Two starts of five end there at (100, 22); which ones is a matter of rounding, so of the processor.
    found = (cosine_range(spherical_code(*size, seed=seed, dtype=torch.float64))[1] for seed in range(16))
    assert any(value == pytest.approx(cosine, abs=1e-4) for value in found)


def test_restarts_keep_the_best() -> None:
    values = [cosine_range(spherical_code(13, 3, restarts=n, steps=100, dtype=torch.float64))[1] for n in (1, 2, 3)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("method", ["quasi-newton", "momentum", "stochastic"])
@pytest.mark.parametrize("objective", ["max_cosine", "softmax"])
def test_same_seed_same_code(method: str, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method != "quasi-newton":
        monkeypatch.setattr(module, "SMALL_PROBLEM", 0)
    if method == "stochastic":
        monkeypatch.setattr(module, "DENSE_WORK", 0)
    options = {"objective": objective, "steps": 5, "chunk_size": 16}
    state = torch.get_rng_state()
    first, again, other = (spherical_code(40, 6, seed=s, **options) for s in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert (first.norm(dim=1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize(("k", "d", "within"), [(27, 6, 2e-3), (300, 32, 0.02)])
def test_momentum_comes_close_to_the_quasi_newton_method(
    k: int, d: int, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    precise = cosine_range(spherical_code(k, d, steps=60))[1]
    monkeypatch.setattr(module, "SMALL_PROBLEM", 0)
    assert cosine_range(spherical_code(k, d, steps=300))[1] < precise + within


def test_stochastic_is_better_than_random_and_worse_than_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_PROBLEM", 0)
    k, d = 600, 16
    vectors = torch.randn(k, d, generator=torch.Generator().manual_seed(0))
    random = cosine_range(vectors)[1]
    dense = cosine_range(spherical_code(k, d, steps=50))[1]
    monkeypatch.setattr(module, "DENSE_WORK", 0)
    stochastic = cosine_range(spherical_code(k, d, steps=50, chunk_size=150))[1]
    assert levenshtein_bound(k, d) < dense < stochastic < random - 0.05


@pytest.mark.parametrize(("k", "d", "distance"), [(12, 3, 1 - 5**-0.5), (4, 7, 4 / 3), (8, 4, 1.0), (9, 2, None)])
def test_softmax_code(k: int, d: int, distance: float | None) -> None:
    if distance is None:  # in the plane the polygon: its own axis, to the chord between the two neighbours
        distance = 1 - math.cos(2 * math.pi / k)
    weight = spherical_code(k, d, objective="softmax", dtype=torch.float64)
    lower, upper = one_vs_rest_distance(weight)
    assert float(upper.min()) == pytest.approx(distance, abs=1e-4)
    assert float(lower.min()) == pytest.approx(distance, abs=1e-4)


def test_softmax_code_is_no_worse_than_the_tammes_code_at_its_own_objective() -> None:
    def smallest(objective: str) -> float:
        weight = spherical_code(7, 3, objective=objective, restarts=4, dtype=torch.float64)
        return float(one_vs_rest_distance(weight)[0].min())

    assert smallest("softmax") >= smallest("max_cosine") - 1e-5


def test_progress_of_a_softmax_code_is_its_own_objective() -> None:
    seen: list[float] = []
    told = lambda done, total, value: seen.append(value)  # noqa: E731
    weight = spherical_code(7, 3, objective="softmax", restarts=1, steps=100, dtype=torch.float64, progress=told)
    assert seen[-1] == pytest.approx(-float(one_vs_rest_distance(weight)[0].min()), abs=1e-9)


def test_progress_is_reported() -> None:
    seen = []
    spherical_code(13, 3, steps=20, restarts=2, progress=lambda done, total, value: seen.append((done, total, value)))
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert all(-1 < value < 1 and total == 20 for _, total, value in seen)


def test_restarts_stop_at_a_bound() -> None:
    stages = []
    spherical_code(12, 3, restarts=50, progress=lambda done, *_: stages.append(done))
    assert len(stages) == 10


def test_dtype_and_device() -> None:
    assert spherical_code(9, 3, steps=5).dtype == torch.get_default_dtype()
    half = spherical_code(9, 3, steps=5, device="cpu", dtype=torch.bfloat16)
    assert torch.equal(half, spherical_code(9, 3, steps=5, dtype=torch.float64).bfloat16())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, 3), {}, "num_classes must be an integer >= 2, got 1"),
        ((5, 0), {}, "dim must be an integer >= 1, got 0"),
        ((3, 1), {}, "one dimension has two unit vectors, got num_classes=3"),
        ((5, 3), {"objective": "max_cos"}, "did you mean 'max_cosine'"),
        ((5, 3), {"steps": 0}, "steps must be an integer >= 1, got 0"),
        ((5, 3), {"restarts": 0}, "restarts must be an integer >= 1, got 0"),
        ((5, 3), {"chunk_size": 1}, "chunk_size must be an integer >= 2, got 1"),
        ((5, 3), {"tolerance": -1.0}, "tolerance must be a finite number above 0, got -1.0"),
    ],
)
def test_bad_input(arguments: tuple[int, int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spherical_code(*arguments, **options)
