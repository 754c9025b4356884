"""All measures against two-pass float64 references, near collapse and at collapse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from equiangular import simplex_etf
from equiangular.longtail import class_groups
from equiangular.measures.collapse import ClassMoments, collapse_measures, group_slots

from .reference import two_pass, vci


def draw(k: int, d: int, per_class: int, std: float, offset: float, seed: int = 0, imbalance: int = 1):
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, per_class * float(imbalance) ** (-np.arange(k) / max(1, k - 1))).astype(int)
    labels = rng.permutation(np.repeat(np.arange(k), sizes))
    means = rng.standard_normal((k, d))
    return means[labels] + offset + std * rng.standard_normal((len(labels), d)), labels, rng.standard_normal((k, d))


def measure(features, labels, weight=None, *, batch: int = 100, dtype=torch.float64, **options) -> dict[str, float]:
    moments = ClassMoments.empty(int(labels.max()) + 1, features.shape[1], dtype=dtype)
    h, y = torch.as_tensor(features).to(dtype), torch.as_tensor(labels)
    for start in range(0, len(y), batch):
        moments.update(h[start : start + batch], y[start : start + batch])
    w = None if weight is None else torch.as_tensor(weight)
    return {key: float(value) for key, value in collapse_measures(moments, weight=w, **options).items()}


CASES = [(10, 64, 30, 1), (10, 64, 30, 20), (20, 8, 30, 1), (3, 2, 50, 5), (2, 1, 40, 4)]


@pytest.mark.parametrize("kind", ["class", "sample"])
@pytest.mark.parametrize(("std", "offset"), [(1.0, 0.0), (1.0, 30.0), (1e-2, 30.0), (1e-4, 30.0)])
@pytest.mark.parametrize(("k", "d", "per_class", "imbalance"), CASES)
def test_against_two_passes(
    k: int, d: int, per_class: int, imbalance: int, std: float, offset: float, kind: str
) -> None:
    features, labels, weight = draw(k, d, per_class, std, offset, imbalance=imbalance)
    expected = two_pass(features, labels, weight, kind)
    measured = measure(features, labels, weight, global_mean=kind)
    for key, value in expected.items():
        assert measured[key] == pytest.approx(value, rel=1e-11, abs=1e-14), key


@pytest.mark.parametrize("std", [1.0, 1e-2, 1e-4])
def test_one_pass_in_float32_beats_the_raw_second_moment(std: float) -> None:
    features, labels, _ = draw(50, 64, 40, std, 30.0)
    h, y = torch.as_tensor(features).float(), torch.as_tensor(labels)
    exact = two_pass(h.numpy(), labels)["nc1_quotient"]
    ours = measure(h, labels, dtype=torch.float32)["nc1_quotient"]
    count = torch.bincount(y).float()
    mean = torch.zeros(50, 64).index_add(0, y, h) / count[:, None]
    raw = (h.square().sum() - (count[:, None] * mean.square()).sum()) / len(y)
    centred = mean - mean.mean(0)
    naive = float(raw / centred.square().sum(1).mean())
    assert abs(ours - exact) < 1e-3 * exact
    assert abs(ours - exact) <= abs(naive - exact)
    if std < 1:
        assert abs(naive - exact) > 0.01 * exact


@pytest.mark.parametrize(("k", "d"), [(2, 1), (10, 9), (10, 64), (100, 128)])
def test_exact_collapse(k: int, d: int) -> None:
    frame = simplex_etf(k, d, dtype=torch.float64)
    labels = torch.arange(k).repeat(4)
    measured = measure(3 * frame[labels] + 2.0, labels, 5 * frame)
    zero = (
        "nc1", "nc1_quotient", "cdnv", "vci", "nc2_equinorm", "nc2_equiangular", "nc2_etf", "gnc2", "etf_distance",
        "nc2_std", "nc3", "nc3_trace", "nc3_gram", "unc3",
    )  # fmt: skip
    limits = dict.fromkeys(zero, 0) | dict.fromkeys(("max_cosine", "mean_cosine", "weight_mean_cosine"), -1 / (k - 1))
    limits |= {"effective_rank": k - 1, "classes_seen": k}
    assert set(limits) == set(measured)
    for key, limit in limits.items():
        assert abs(measured[key] - limit) < 1e-12, key


@pytest.mark.parametrize(("k", "d"), [(10, 9), (10, 64)])
def test_part_of_an_etf_is_at_the_limit_too(k: int, d: int) -> None:
    """A group of its classes is compared with as many vertices of the ETF of all."""
    frame = simplex_etf(k, d, dtype=torch.float64)
    labels = torch.arange(k).repeat(4)
    groups = {"many": range(4), "few": [7, 9], "all": range(k)}
    measured = measure(3 * frame[labels] + 2.0, labels, 5 * frame, groups=groups)
    of_group = {key.removesuffix("/few") for key in measured if key.endswith("/few")}
    assert of_group == {key for key in measured if "/" not in key} - {"nc1", "vci", "classes_seen"}
    for key in ("nc2_equinorm", "nc2_equiangular", "nc2_std", "nc2_etf", "gnc2", "etf_distance", "nc3", "nc3_gram"):
        for group in groups:
            assert abs(measured[f"{key}/{group}"]) < 1e-12, (key, group)


def test_a_noise_direction_is_not_inverted() -> None:
    """K = 10, d = 512, float32 Gram matrix: keeping a noise eigenvalue would triple NC1."""
    features, labels, _ = draw(10, 512, 60, 0.3, 0.0)
    exact = two_pass(features, labels)["nc1"]
    assert measure(features, labels, dtype=torch.float32)["nc1"] == pytest.approx(exact, rel=1e-3)
    m = torch.as_tensor(np.stack([features[labels == c].mean(0) for c in range(10)])).float()
    values = torch.linalg.eigvalsh((m - m.mean(0)) @ (m - m.mean(0)).T)
    assert values[1] / values[-1] > 1e-3 > abs(values[0] / values[-1])  # the direction that K-1 leaves out


@pytest.mark.parametrize(("std", "offset"), [(1.0, 0.0), (0.1, 3.0), (1e-3, 3.0)])
def test_rounding_out_of_a_subspace_is_not_inverted(std: float, offset: float) -> None:
    """Single-precision features in 8 of 24 dimensions, as behind a narrow layer, measure as in these 8."""
    features, labels, weight = draw(12, 8, 60, std, 0.0)
    isometry = np.linalg.qr(np.random.default_rng(1).standard_normal((24, 8)))[0].T
    lifted = (features @ isometry + offset).astype(np.float32)
    expected, measured = measure(features, labels, weight), measure(lifted, labels, weight @ isometry)
    assert math.isnan(expected.pop("etf_distance"))  # no ETF of 12 in 8 dimensions, but in 24
    for key, value in expected.items():
        assert measured[key] == pytest.approx(value, rel=2e-3), key


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from([1.0, 1e-2, 1e-4]), st.randoms(use_true_random=False))
def test_any_sharding_and_any_order_give_the_same_values(seed: int, shards: int, std: float, random) -> None:
    """Every sample goes to a shard by chance, empty shards among them; shards are merged in any order and as a tree."""
    features, labels, weight = draw(6, 5, 15, std, 30.0, seed=seed, imbalance=4)
    h, y = torch.as_tensor(features), torch.as_tensor(labels)
    whole = ClassMoments.empty(6, 5).update(h, y)
    owner = torch.tensor([random.randrange(shards) for _ in labels])
    parts = [ClassMoments.empty(6, 5).update(h[owner == i], y[owner == i]) for i in range(shards)]
    while len(parts) > 1:
        random.shuffle(parts)
        parts.append(parts.pop().merge(parts.pop()))
    left, right = (collapse_measures(m, weight=torch.as_tensor(weight)) for m in (whole, parts[0]))
    for key in left:
        assert float(left[key]) == pytest.approx(float(right[key]), rel=1e-9, abs=1e-12), key


def test_groups_are_measured_on_their_classes_only() -> None:
    features, labels, weight = draw(12, 32, 200, 0.5, 0.0, imbalance=50)
    groups = class_groups(np.bincount(labels))
    h, y = torch.as_tensor(features), torch.as_tensor(labels)
    moments = [ClassMoments.empty(12, 32, slot=group_slots(12, groups)).update(h[i::2], y[i::2]) for i in (0, 1)]
    measured = collapse_measures(moments[0].merge(moments[1]), weight=torch.as_tensor(weight), groups=groups)
    whole = collapse_measures(ClassMoments.empty(12, 32).update(h, y))
    assert float(measured["nc1"]) == pytest.approx(float(whole["nc1"]))
    assert float(measured["vci"]) == pytest.approx(float(whole["vci"]))
    mu = np.stack([features[labels == c].mean(0) for c in range(12)])
    for name, classes in groups.items():
        m, rows = mu[classes] - mu.mean(0), np.isin(labels, classes)
        norms = np.linalg.norm(m, axis=1)
        assert float(measured[f"nc2_equinorm/{name}"]) == pytest.approx(norms.std() / norms.mean())
        unit = m / norms[:, None]
        cosines = (unit @ unit.T)[~np.eye(len(m), dtype=bool)]
        assert float(measured[f"mean_cosine/{name}"]) == pytest.approx(cosines.mean())
        assert float(measured[f"nc2_equiangular/{name}"]) == pytest.approx(np.abs(cosines + 1 / 11).mean())
        deviation = features[rows] - mu[labels[rows]]
        within, between = deviation.T @ deviation / rows.sum(), m.T @ m / len(m)
        expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True)) / len(m)
        assert float(measured[f"nc1/{name}"]) == pytest.approx(expected)
        assert float(measured[f"vci/{name}"]) == pytest.approx(vci(within, between, len(m)))
        target = (np.eye(12) - 1 / 12)[np.ix_(classes, classes)]
        target /= np.linalg.norm(target)
        for key, gram in (("nc2_etf", m @ m.T), ("nc3_gram", weight[classes] @ m.T)):
            expected = np.linalg.norm(gram / np.linalg.norm(gram) - target)
            assert float(measured[f"{key}/{name}"]) == pytest.approx(expected), key
        frame = simplex_etf(12, 32, dtype=torch.float64).numpy()[classes]
        rotated = frame @ orthogonal_procrustes(frame, unit)[0]
        expected = np.linalg.norm(unit - rotated) / np.sqrt(len(m))
        assert float(measured[f"etf_distance/{name}"]) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_group_of_all_classes_is_all_classes(dtype: torch.dtype) -> None:
    """Its means are dependent as those of all are: a direction of rounding must not be inverted for it either."""
    features, labels, weight = draw(10, 64, 30, 0.3, 0.0)
    moments = ClassMoments.empty(10, 64, dtype=dtype).update(torch.as_tensor(features), torch.as_tensor(labels))
    measured = collapse_measures(moments, weight=torch.as_tensor(weight), groups={"all": range(10)})
    for key in [k for k in measured if "/" in k]:
        assert float(measured[key]) == pytest.approx(float(measured[key.partition("/")[0]])), key
    assert float(measured["nc1/all"]) == pytest.approx(two_pass(features, labels)["nc1"], rel=1e-3)


def test_overlapping_groups_have_no_covariance_of_their_own() -> None:
    assert group_slots(4, {"a": [0, 1], "b": [1, 2]}) is None
    features, labels, _ = draw(4, 6, 20, 0.5, 0.0)
    measured = measure(features, labels, groups={"a": [0, 1], "b": [1, 2]})
    assert "cdnv/a" in measured
    assert "nc1/a" not in measured


def test_minority_collapse_shows() -> None:
    frame = simplex_etf(10, 16, dtype=torch.float64)
    merged = torch.cat([frame[:5], frame[5:].mean(0).expand(5, 16) + 0.01 * frame[5:]])
    labels = torch.arange(10).repeat(3)
    groups = {"few": range(5, 10), "many": range(5)}
    measured = measure(merged[labels], labels, merged, groups=groups)
    assert measured["weight_mean_cosine/few"] > 0.99
    assert measured["mean_cosine/few"] > 0.99
    assert measured["mean_cosine/many"] < 0


def test_absent_and_single_sample_classes() -> None:
    features, labels, weight = draw(8, 16, 20, 0.3, 0.0)
    present = np.isin(labels, [0, 2, 3, 7])
    h, y = torch.as_tensor(features[present]), torch.as_tensor(labels[present])
    moments = ClassMoments.empty(8, 16).update(h, y)
    measured = collapse_measures(moments, weight=torch.as_tensor(weight))
    expected = two_pass(features[present], labels[present], weight)
    for key, value in expected.items():
        assert float(measured[key]) == pytest.approx(value, rel=1e-8), key
    assert int(measured["classes_seen"]) == 4
    once = ClassMoments.empty(3, 4).update(torch.eye(3, 4, dtype=torch.float64), torch.arange(3))
    assert float(collapse_measures(once)["nc1"]) == 0


def test_more_classes_than_an_etf_has_room_for() -> None:
    """K > d + 1: no ETF to be near to, except for a group of d classes or fewer; all else is defined."""
    features, labels, weight = draw(20, 8, 30, 0.3, 0.0)
    groups = {"few": range(8), "many": range(8, 20)}
    measured = measure(features, labels, weight, groups=groups)
    undefined = {key for key, value in measured.items() if math.isnan(value)}
    assert undefined == {"etf_distance", "etf_distance/many"}
    assert measured["nc2_etf"] > 0.5


SINGULAR = [(10, 2, 12), (20, 2, 30), (50, 2, 64), (10, 2, 9), (5, 3, 8), (3, 2, 3), (4, 1, 8)]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize(("k", "each", "d"), SINGULAR)
def test_few_samples_in_any_order_give_the_same_values(k: int, each: int, d: int, scale: float) -> None:
    """S_W is singular, S_T is not or is: VCI by its definition with pseudo-inverses, whatever the batches."""
    rng = np.random.default_rng(k)
    labels = np.repeat(np.arange(k), each)
    features = rng.standard_normal((k, d))[labels] + scale * rng.standard_normal((len(labels), d))
    first = measure(features, labels, batch=len(labels))
    for batch in (1, 7):
        order = rng.permutation(len(labels))
        again = measure(features[order], labels[order], batch=batch)
        for key, value in first.items():
            assert again[key] == pytest.approx(value, rel=1e-7, abs=1e-9, nan_ok=True), key
    means = np.stack([features[labels == c].mean(0) for c in range(k)])
    within = (features - means[labels]).T @ (features - means[labels]) / len(labels)
    centred = means - means.mean(0)
    between = centred.T @ centred / k
    total = np.linalg.pinv(within + between, rcond=1e-12, hermitian=True)
    expected = 1 - np.trace(total @ between) / np.linalg.matrix_rank(between, tol=1e-12 * between.max())
    assert first["vci"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_vci_keeps_its_digits_near_collapse_where_the_covariance_is_singular() -> None:
    """Of noise t the index is t^2 times a number, down to where 1 less a number near 1 has no digit left."""
    rng = np.random.default_rng(0)
    labels, noise = np.repeat(np.arange(10), 2), rng.standard_normal((20, 12))
    means = rng.standard_normal((10, 12))
    noise -= noise.reshape(10, 2, 12).mean(1)[labels]  # so that the means do not move
    size = {t: measure(means[labels] + t * noise, labels)["vci"] / t**2 for t in (1e-2, 1e-4, 1e-5)}
    assert size[1e-5] == pytest.approx(size[1e-4], rel=1e-3)
    assert size[1e-4] == pytest.approx(size[1e-2], rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e5])
def test_constant_features_are_not_collapsed_but_undefined(value: float, dtype: torch.dtype) -> None:
    features, labels = np.full((3000, 4), value), np.random.default_rng(0).integers(0, 3, 3000)
    for batch in (1, 64, 3000) if dtype == torch.float64 else (64, 3000):
        measured = measure(features, labels, np.eye(3, 4), batch=batch, dtype=dtype)
        known = {key for key, number in measured.items() if not math.isnan(number)}
        assert known == {"classes_seen", "weight_mean_cosine"}, (batch, measured)


@pytest.mark.parametrize("value", [0.1, 1 / 3])
def test_a_class_at_the_global_mean_has_no_direction_of_rounding(value: float) -> None:
    line = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64) * torch.tensor([0.6, 0.8]) + value
    found = [measure(line[[*order]], torch.tensor(order))["nc2_equiangular"] for order in ((0, 1, 2), (2, 0, 1))]
    assert found == pytest.approx([1 / 2 * 2 / 3 + 1 / 2 / 3] * 2)  # |0 + 1/2| of four pairs, |-1 + 1/2| of two


def test_coinciding_means() -> None:
    """Two classes at one point: pairwise measures are infinite, or 0/0 without variance, and never an error."""
    spread = torch.tensor([[0.1, 0.0], [-0.1, 0.0]], dtype=torch.float64)
    h = torch.cat([spread, spread, spread + torch.tensor([3.0, 1.0], dtype=torch.float64)])
    measured = measure(h, torch.arange(3).repeat_interleave(2))
    assert measured["cdnv"] == measured["gnc2"] == math.inf
    assert math.isfinite(measured["nc1"])
    assert math.isfinite(measured["nc2_etf"])
    collapsed = measure(h.reshape(3, 2, 2).mean(1), torch.arange(3))
    assert math.isnan(collapsed["cdnv"])
    assert collapsed["nc1"] == 0


@pytest.mark.parametrize("samples", [0, 5])
def test_fewer_than_two_classes_make_nan(samples: int) -> None:
    moments = ClassMoments.empty(3, 4).update(torch.ones(samples, 4), torch.zeros(samples, dtype=torch.long))
    measured = collapse_measures(moments, weight=torch.ones(3, 4), groups={"few": []})
    for key in (
        "nc1",
        "nc1_quotient",
        "cdnv",
        "nc2_equinorm",
        "nc2_equiangular",
        "gnc2",
        "etf_distance",
        "vci",
        "cdnv/few",
    ):
        assert math.isnan(float(measured[key])), key


def test_without_covariance() -> None:
    features, labels, _ = draw(10, 64, 30, 0.5, 0.0)
    h, y = torch.as_tensor(features), torch.as_tensor(labels)
    moments = ClassMoments.empty(10, 64, covariance=False).update(h, y)
    measured = collapse_measures(moments)
    assert moments.scatter is None
    assert "nc1" not in measured
    assert float(measured["nc1_quotient"]) == pytest.approx(two_pass(features, labels)["nc1_quotient"])


def test_bad_input() -> None:
    moments = ClassMoments.empty(3, 4)
    with pytest.raises(ValueError, match=r"weight must have shape \(K, d\) = \(3, 4\), got \(4, 3\)"):
        collapse_measures(moments, weight=torch.ones(4, 3))
    with pytest.raises(ValueError, match="did you mean 'class'"):
        collapse_measures(moments, global_mean="classes")
    with pytest.raises(ValueError, match="NaN"):
        moments.update(torch.full((1, 4), math.nan), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="lie in"):
        moments.update(torch.ones(1, 4), torch.tensor([3]))
    with pytest.raises(ValueError, match="must agree"):
        moments.merge(ClassMoments.empty(3, 5))
    with pytest.raises(ValueError, match="must agree"):
        moments.merge(ClassMoments.empty(3, 4, covariance=False))
