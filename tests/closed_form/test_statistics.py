"""Counts, means and scatter: equal to the two-pass ones for every order, batching, sharding and history."""

import numpy as np
import pytest
import torch

from equiangular.closed_form import ClassStatistics, RandomFeatures
from equiangular.closed_form.sketch import CAPACITY, content_hashes

K, D = 13, 6


def samples(n: int = 3000, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(n, D, generator=generator, dtype=torch.float64) + 50  # an offset, which naive sums lose to
    return x.to(dtype), torch.randint(0, K, (n,), generator=generator)


def two_pass(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor | None = None):
    x, w = x.numpy().astype(np.longdouble), np.ones(len(y)) if w is None else w.numpy()
    count = np.array([w[y.numpy() == k].sum() for k in range(K)])
    mean = np.stack([(w[:, None] * x)[y.numpy() == k].sum(0) / max(count[k], 1e-300) for k in range(K)])
    deviation = x - mean[y.numpy()]
    return count, mean, (w[:, None] * deviation).T @ deviation


def distance(a, b) -> float:
    """Largest relative difference of count, mean and scatter."""
    a, b = ([s.count, s.mean, s.scatter] if isinstance(s, ClassStatistics) else s for s in (a, b))
    pairs = [(np.asarray(x, dtype=float), np.asarray(y, dtype=float)) for x, y in zip(a, b, strict=True)]
    return max(np.linalg.norm(x - y) / np.linalg.norm(y) for x, y in pairs)


def same_sketch(a: ClassStatistics, b: ClassStatistics) -> bool:
    names = ("hashes", "labels", "rows", "weights", "thresholds")
    return all(np.array_equal(getattr(a.sketch, name), getattr(b.sketch, name)) for name in names)


@pytest.fixture(scope="module")
def whole() -> ClassStatistics:
    return ClassStatistics.empty(K, D).update(*samples())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_sums_are_float64_whatever_the_features(dtype: torch.dtype) -> None:
    x, y = samples(dtype=dtype)
    found = ClassStatistics.empty(K, D).update(x, y)
    assert found.scatter.dtype == torch.float64
    assert distance(found, two_pass(x.double(), y)) < 1e-13


def test_a_thousand_shards_in_random_order_are_the_whole(whole: ClassStatistics) -> None:
    x, y = samples()
    shards = torch.randperm(len(y), generator=torch.Generator().manual_seed(1)).chunk(1000)
    parts = [ClassStatistics.empty(K, D).update(x[i], y[i]) for i in shards]
    merged = ClassStatistics.empty(K, D)
    for part in parts:
        merged.merge(part)
    assert distance(merged, whole) < 1e-9
    assert same_sketch(merged, whole)


def test_merging_is_associative_and_commutative() -> None:
    x, y = samples()
    a, b, c = (ClassStatistics.empty(K, D).update(x[i::3], y[i::3]) for i in range(3))
    left, right = a.copy().merge(b).merge(c), c.copy().merge(b.copy().merge(a))
    assert distance(left, right) < 1e-12
    assert same_sketch(left, right)


def test_a_half_removed_equals_the_other_half_and_comes_back(whole: ClassStatistics) -> None:
    x, y = samples()
    gone = torch.randperm(len(y), generator=torch.Generator().manual_seed(2))[: len(y) // 2]
    rest = torch.ones(len(y), dtype=torch.bool).index_fill(0, gone, False)
    found = whole.copy().remove(x[gone], y[gone])
    assert distance(found, ClassStatistics.empty(K, D).update(x[rest], y[rest])) < 1e-9
    assert distance(found.update(x[gone], y[gone]), whole) < 1e-9
    assert same_sketch(found, whole)


def test_a_whole_class_and_then_all_is_removed() -> None:
    x, y = samples(200)
    found = ClassStatistics.empty(K, D).update(x, y).remove(x[y == 3], y[y == 3])
    assert found.count[3] == 0
    assert not found.mean[3].any()
    assert distance(found, two_pass(x[y != 3], y[y != 3])) < 1e-9
    found.remove(x[y != 3], y[y != 3])
    assert not found.count.any()
    assert not found.scatter.any()
    assert len(found.sketch.rows) == 0


def test_classes_arrive_one_by_one(whole: ClassStatistics) -> None:
    x, y = samples()
    found = ClassStatistics.empty(0, D)
    for k in range(K):
        found.grow(k + 1).update(x[y == k], y[y == k])
    assert distance(found, whole) < 1e-9
    assert same_sketch(found, whole)


def test_a_weight_of_two_is_the_sample_twice() -> None:
    x, y = samples(500)
    w = torch.randint(0, 4, (500,), generator=torch.Generator().manual_seed(3))
    weighted = ClassStatistics.empty(K, D).update(x, y, w)
    repeated = ClassStatistics.empty(K, D).update(x.repeat_interleave(w, 0), y.repeat_interleave(w))
    assert distance(weighted, repeated) < 1e-12
    assert same_sketch(weighted, repeated)
    assert distance(weighted, two_pass(x, y, w.double())) < 1e-12


def test_classes_that_have_collapsed_keep_their_digits() -> None:
    x, y = samples(1000)
    centres = 1e3 * torch.randn(K, D, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    x = centres[y] + 1e-4 * x
    expected = two_pass(x, y)[2]
    naive = x.T @ x - sum((y == k).sum() * torch.outer(x[y == k].mean(0), x[y == k].mean(0)) for k in range(K))
    error, naively = (
        np.abs(np.asarray(s) - expected).max() for s in (ClassStatistics.empty(K, D).update(x, y).scatter, naive)
    )
    assert error < 1e-4 * naively


def test_the_sketch_is_a_bounded_sample_of_every_class(whole: ClassStatistics) -> None:
    x, y = samples()
    share = CAPACITY // K
    sketch = whole.sketch
    hashes = content_hashes(x.numpy())
    for k in range(K):
        expected = np.sort(hashes[y.numpy() == k])[:share]
        assert np.array_equal(sketch.hashes[sketch.labels == k], expected)
    assert np.array_equal(content_hashes(sketch.rows), sketch.hashes)


def test_minus_zero_and_a_narrower_dtype_hash_alike() -> None:
    x = np.array([[0.0, 1.5], [-0.0, 1.5]])
    assert len(set(content_hashes(x).tolist())) == 1
    assert content_hashes(x.astype(np.float32).astype(np.float64))[0] == content_hashes(x)[0]
    assert len(set(content_hashes(np.random.default_rng(0).normal(size=(10_000, 3))).tolist())) == 10_000


def test_statistics_behind_a_map_keep_the_features_as_they_came() -> None:
    x, y = samples(300)
    mapped = RandomFeatures(D, 9, seed=1)
    found = ClassStatistics.empty(K, D, transform=mapped).update(x[:120], y[:120])
    found.merge(ClassStatistics.empty(K, D, transform=mapped).update(x[120:], y[120:]))
    expected = ClassStatistics.empty(K, 9).update(mapped(x), y)
    assert distance(found, expected) < 1e-12
    assert found.sketch.rows.shape[1] == D


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, x, y: s.update(torch.full((1, D), torch.nan), y[:1]), "NaN or infinite values, first in row 0"),
        (lambda s, x, y: s.update(x[:1], torch.tensor([K])), r"labels must lie in \[0, 12\]"),
        (lambda s, x, y: s.update(x[:, :3], y), "must have width 6"),
        (lambda s, x, y: s.update(x[:2], y[:2], torch.tensor([1.0, -1.0])), "weights must be 2 finite numbers"),
        (lambda s, x, y: s.merge(ClassStatistics.empty(K, 3)), "cannot merge statistics of 13 classes and width 3"),
        (lambda s, x, y: s.merge(ClassStatistics.empty(2, D)), "numbered alike"),
        (lambda s, x, y: s.remove(x[:1] + 1, y[:1]), "samples that were never added"),
        (lambda s, x, y: s.remove(x[:1], (y[:1] + 1) % K), "samples that were never added"),
        (lambda s, x, y: s.remove(torch.cat([x, x]), torch.cat([y, y])), "cannot remove samples of weight"),
        (lambda s, x, y: s.grow(2), "num_classes must be an integer >= 13"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(change, message: str) -> None:
    x, y = samples(100)
    found = ClassStatistics.empty(K, D).update(x, y)
    before = found.copy()
    with pytest.raises(ValueError, match=message):
        change(found, x, y)
    assert distance(found, before) == 0
    assert same_sketch(found, before)


def unknown_to_the_sketch(found: ClassStatistics, x: torch.Tensor, y: torch.Tensor) -> int:
    """A row whose hash is above its class's threshold: the sketch cannot say whether it was ever added."""
    above = content_hashes(x.numpy()) >= found.sketch.thresholds[y.numpy()]
    return int(np.flatnonzero(above)[0])


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda x, y, i: (x[i], y[i], torch.tensor([3.0])), "is there with a weight of 1 in all, and 3 of it were to"),
        (lambda x, y, i: (x[i].repeat(2, 1), y[i].repeat(2), None), "and 2 of it were to go"),
    ],
)
def test_more_weight_than_a_sample_has_is_told(whole: ClassStatistics, take, message: str) -> None:
    x, y = samples()
    known = np.flatnonzero(content_hashes(x.numpy()) < whole.sketch.thresholds[y.numpy()])[5:6]
    for found in (
        whole.copy(),
        ClassStatistics.empty(K, D).update(x[known], y[known]).update(x[:4] + 1, y[known[0]].repeat(4)),
    ):
        before = found.copy()
        with pytest.raises(ValueError, match=message):
            found.remove(*take(x, y, known))
        assert distance(found, before) == 0
        assert same_sketch(found, before)


def test_sums_tell_what_cannot_be(whole: ClassStatistics) -> None:
    """Of samples that the sketch does not hold: a class with less than its kept samples, and a negative variance."""
    x, y = samples()
    found = whole.copy()
    i = unknown_to_the_sketch(found, x, y)
    kept = float((found.sketch.labels == int(y[i])).sum())
    too_much = float(found.count[y[i]]) - kept + 1
    with pytest.raises(ValueError, match="More of a class is left in the sketch than in all"):
        found.remove(x[i : i + 1], y[i : i + 1], torch.tensor([too_much]))
    far = x + 300
    j = unknown_to_the_sketch(found, far, y)
    with pytest.raises(ValueError, match="would have a negative variance"):
        found.remove(far[j : j + 1], y[j : j + 1])
    assert distance(found, whole) < 1e-14
    assert same_sketch(found, whole)
    found.remove(x[i : i + 1], y[i : i + 1])


@pytest.mark.parametrize("seed", range(12))
def test_what_was_added_can_always_be_removed(seed: int) -> None:
    """Batches come and go: constant and repeated columns, outliers, offsets, weights, few samples and many."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.choice([30, 300, 4000])), int(rng.choice([2, 20, 60]))
    x = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-8, 8, size=d) + 1e3 * rng.normal(size=d)
    x[:, 0] = 7.0
    x[:, -1] = x[:, d // 2]
    x[rng.integers(n, size=3)] *= 1e6
    x[n // 2 : n // 2 + 5] = x[:5]
    y, w = rng.integers(K, size=n), rng.choice([1.0, 1.0, 0.3, 2.0], size=n)
    found, inside = ClassStatistics.empty(K, d), np.zeros(n, dtype=bool)
    for _ in range(12):
        chosen = rng.random(n) < rng.choice([0.02, 0.5, 1.0])
        for change, rows in ((found.update, chosen & ~inside), (found.remove, chosen & inside)):
            change(torch.from_numpy(x[rows]), torch.from_numpy(y[rows]), torch.from_numpy(w[rows]))
        inside ^= chosen
    left = np.bincount(y[inside], w[inside], K)
    np.testing.assert_allclose(found.count, left, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 16, 255, 2**11])
def test_different_rows_of_coarse_values_have_different_hashes(steps: int) -> None:
    """Words that occur or not, counts, pixels: a product of their bits alone gave 20,000 rows 4,096 hashes."""
    rows = np.unique(np.random.default_rng(0).integers(steps + 1, size=(20_000, 40)) / steps, axis=0)
    assert len(set(content_hashes(rows).tolist())) == len(rows)
    assert len(set(content_hashes(np.eye(3000)).tolist())) == 3000


def test_classes_put_elsewhere_or_left_out_keep_what_is_known_of_the_samples() -> None:
    statistics = ClassStatistics.empty(K, D).update(*samples())
    for known in (True, False):
        statistics.sketch.whole = known
        assert statistics.reorder(torch.arange(K).flip(0), K).sketch.whole is known
        assert statistics.restrict(torch.arange(1, K)).sketch.whole is known
