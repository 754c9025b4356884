"""Every kind: one answer whatever the way the samples came, any prior, and probabilities with something behind them."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from tests.damage import flip_last_bit

from equiangular.closed_form import KINDS, ClosedForm, load_closed_form, save_closed_form
from equiangular.closed_form.calibrate import Calibrated, left_out_calibration
from equiangular.closed_form.files import closed_form_state
from equiangular.closed_form.kernel import warn_of_one_direction
from equiangular.longtail import long_tail_indices
from equiangular.measures import per_class_accuracy

K, D = 10, 64


def digits(n: int = 250):
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x[:n] / 16), torch.from_numpy(y[:n])


def make(kind: str, num_classes: int = K, **options) -> ClosedForm:
    return ClosedForm(D, num_classes, kind=kind, width=80, **options)


def test_every_kind_learns_digits() -> None:
    """Accuracy on digits of the next pages, so that a kind that is broken is seen."""
    x, y = digits(1797)
    for kind in KINDS:
        model = make(kind).update(x[:600], y[:600])
        accuracy = float((model.solve().logits(x[600:]).argmax(1) == y[600:]).double().mean())
        assert accuracy > {"class-means": 0.84, "kernel": 0.94}.get(kind, 0.86), kind


@pytest.mark.parametrize("kind", KINDS)
def test_ten_clients_with_disjoint_classes_make_the_pooled_classifier(kind: str) -> None:
    x, y = digits()
    pooled = make(kind).update(x, y).solve().logits(x)
    clients = [make(kind).update(x[y == k], y[y == k]) for k in torch.randperm(K).tolist()]
    server = make(kind)
    for client in clients:
        server.merge(client)
    torch.testing.assert_close(server.solve().logits(x), pooled, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_order_history_and_new_classes_make_no_difference(kind: str) -> None:
    x, y = digits()
    pooled = make(kind).update(x, y).solve().logits(x)
    other = make(kind, 0)
    for k in range(K):
        other.grow(k + 1).update(x[y == k].flip(0), y[y == k])
        other.solve()
    gone = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:120]
    other.remove(x[gone], y[gone]).update(x[gone], y[gone])
    torch.testing.assert_close(other.solve().logits(x), pooled, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_removed_samples_leave_nothing(kind: str) -> None:
    x, y = digits()
    never = make(kind).update(x[:200], y[:200]).solve()
    removed = make(kind).update(x, y).remove(x[200:], y[200:]).solve()
    torch.testing.assert_close(removed.logits(x), never.logits(x), rtol=1e-8, atol=1e-8)
    assert removed.chosen == pytest.approx(never.chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_samples_is_never_predicted_and_changes_nothing(kind: str) -> None:
    x, y = digits()
    some = y < 7
    few = ClosedForm(D, 7, kind=kind, width=80).update(x[some], y[some]).solve()
    more = make(kind).update(x[some], y[some]).solve()
    torch.testing.assert_close(more.logits(x)[:, :7], few.logits(x))
    assert (more.logits(x).softmax(1)[:, 7:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_sample_brings_a_class_without_data(kind: str) -> None:
    x, y = digits(1797)
    means = torch.stack([x[y == k].mean(0) for k in range(K)])
    seen = (y[:100] != 9).nonzero().flatten()
    model = make(kind).set_prior(means).update(x[seen], y[seen])
    nine = y[600:] == 9
    found = model.solve().logits(x[600:]).argmax(1)[nine] == 9
    assert found.double().mean() > 0.5
    assert model.solve().chosen["prior_weight"] > 0
    fixed = make(kind, prior_weight=3.0).set_prior(means).update(x[seen], y[seen])
    assert fixed.solve().chosen["prior_weight"] == 3.0
    assert make(kind).set_prior(means).solve().logits(means).argmax(1).tolist() == list(range(K))
    assert torch.equal(model.class_counts, torch.bincount(y[seen], minlength=K).double())


@pytest.mark.parametrize("kind", ["class-means", "gaussian", "ridge"])
def test_prior_samples_of_a_weight_are_samples_of_that_weight(kind: str) -> None:
    x, y = digits(100)
    prior = make(kind, regularization=0.5, prior_weight=2.0).set_prior(x[:5], y[:5]).update(x, y).solve()
    weight = torch.cat([torch.ones(100), torch.full((5,), 2.0)])
    added = make(kind, regularization=0.5).update(torch.cat([x, x[:5]]), torch.cat([y, y[:5]]), weight).solve()
    torch.testing.assert_close(prior.weight, added.weight)
    counts = torch.bincount(y, minlength=K) + 2 * torch.bincount(y[:5], minlength=K)
    raw = []
    for solution in (prior, added):  # prior samples are never left out, so that scale and strength differ
        found = Calibrated(solution.scale, solution.chosen["strength"], True, 0.0)
        raw.append(solution.bias - found.bias(counts.double()))
    torch.testing.assert_close(*raw)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_calibrated_under_the_target_prior(kind: str) -> None:
    x, y = digits(1797)
    size = torch.tensor([60, 50, 40, 30, 25, 20, 15, 12, 10, 8])
    index = torch.cat([(y[:1000] == k).nonzero().flatten()[: size[k]] for k in range(K)])
    model = make(kind).update(x[index], y[index])
    solution, (x, y) = model.solve(), (x[1000:], y[1000:])
    assert solution.calibrated
    losses = {
        factor: float(torch.nn.functional.cross_entropy(factor * solution.logits(x), y)) for factor in (0.25, 1.0, 4.0)
    }
    assert losses[1.0] == min(losses.values())
    shifted = solution.logits(x, model.log_prior("train"))
    ratio = (shifted - solution.logits(x)).softmax(1)[0]
    torch.testing.assert_close(ratio, size / size.sum().double())
    torch.testing.assert_close(model.log_prior(size * 3.0), model.log_prior("train"))


@pytest.mark.parametrize("begin", [None, Calibrated(30.0, -3.0, True, 0.0)])
@pytest.mark.parametrize("factor", [1.0, 50.0])
def test_scale_and_strength_are_the_minimum(begin: Calibrated | None, factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    y = torch.where(torch.rand(50, generator=generator) < 0.7, z.argmax(1), torch.arange(50) % 4)
    w = torch.rand(50, generator=generator, dtype=torch.float64) + 0.5
    counts = torch.tensor([40.0, 9.0, 3.0, 1.0]).double()
    mass = torch.zeros(4, dtype=torch.float64).index_add_(0, y, w)

    def loss(point: np.ndarray) -> float:
        scores = np.exp(point[0]) * factor * z - point[1] * counts.log() + mass.log()
        return float((w * torch.nn.functional.cross_entropy(scores, y, reduction="none")).sum())

    def objective(point: np.ndarray) -> float:
        return loss(point) + (point[0] ** 2 + point[1] ** 2) / (2 * 0.5**2)

    found = left_out_calibration(factor * z, y, w, counts, start=1.0, near=begin)
    exact = {"xatol": 1e-9, "fatol": 1e-12}
    expected = minimize(objective, [-np.log(factor), 0.1], method="Nelder-Mead", options=exact)
    assert found.by_samples
    np.testing.assert_allclose([np.log(found.scale), found.strength], expected.x, atol=1e-6)
    assert found.loss == pytest.approx(loss(expected.x) / float(w.sum()))


def test_classes_of_one_size_need_no_strength_and_absent_ones_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(60, 4, generator=generator).double(), torch.arange(60) % 3
    one = torch.ones(60).double()
    level = left_out_calibration(z, y, one, torch.full((4,), 7.0).double())
    assert level.by_samples
    assert level.strength == 0
    counts = torch.tensor([9.0, 4.0, 2.0, 1.0]).double()
    most = left_out_calibration(z, y, one, counts, start=1.0)
    rest = left_out_calibration(z[:, :3], y, one, counts[:3], start=1.0)
    np.testing.assert_allclose(most[:2], rest[:2], rtol=1e-9)
    logits = most.scale * (z + most.bias(counts)) + most.strength * counts.log()
    torch.testing.assert_close(logits - logits[:, :1], most.scale * (z - z[:, :1]))


def test_nothing_is_calibrated_where_no_sample_is_classified_wrong() -> None:
    """The likelihood has no optimum there: a line search ends wherever it began."""
    z = torch.eye(3, dtype=torch.float64).repeat(4, 1)
    y, one, counts = torch.arange(3).repeat(4), torch.ones(12).double(), torch.tensor([9.0, 4.0, 1.0]).double()
    for factor in (1.0, 100.0):
        scale, strength, by_samples, _ = left_out_calibration(factor * z, y, one, counts)
        assert not by_samples
        assert strength == 0
        top = float((scale * factor * z[0]).softmax(0)[0])
        assert top == pytest.approx(0.95)
    near = Calibrated(2.0, 1.0, True, 0.0)
    assert left_out_calibration(z, y, one, counts, start=1.0, near=near)[:3] == (1.0, 0.0, False)
    assert not make("ridge").update(*digits(10)).solve().calibrated  # one sample a class, nothing to leave out


@pytest.mark.parametrize("kind", ["random-features", "kernel"])
def test_the_strength_is_what_a_long_tail_lacks(kind: str) -> None:
    """Balanced accuracy on digits at 50 : 1, three draws: several points, and no harm on the other kinds."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    test, pool = order[:700], order[700:]
    gains = []
    for seed in range(3):
        index = pool[long_tail_indices(y[pool], 50, n_max=60, seed=seed)]
        rows, labels = torch.from_numpy(x[index]), torch.from_numpy(y[index])
        solution = ClosedForm(64, 10, kind=kind, width=300).update(rows, labels).solve()
        strength = solution.chosen["strength"]
        assert 0.2 < strength < 2
        z = solution.logits(torch.from_numpy(x[test]))
        without = z + strength * torch.bincount(labels).double().log()
        scores = [per_class_accuracy(s.argmax(1), torch.from_numpy(y[test]), 10).mean() for s in (z, without)]
        gains.append(100 * float(scores[0] - scores[1]))
    assert min(gains) > 0
    assert np.mean(gains) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_same_classifier_and_goes_on(kind: str, tmp_path) -> None:
    x, y = digits(200)
    model = make(kind).set_prior(x[-3:], y[-3:]).update(x[:150], y[:150])
    path = save_closed_form(tmp_path / "m.safetensors", model, metadata={"names": ["a", "b"]})
    other, kept = load_closed_form(path)
    assert kept == {"names": ["a", "b"]}
    assert torch.equal(other.solve().logits(x), model.solve().logits(x))
    for m in (model, other):
        m.update(x[150:], y[150:]).remove(x[:20], y[:20])
    assert torch.equal(other.solve().logits(x), model.solve().logits(x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_knows_what_was_never_added(kind: str, tmp_path) -> None:
    x, y = digits(60)
    model = make(kind).update(x, y)
    other, _ = load_closed_form(save_closed_form(tmp_path / "m.safetensors", model))
    told = []
    for m in (model, other):
        with pytest.raises(ValueError, match="never added") as error:
            m.remove(x[:2] + 0.5, y[:2])
        told.append(str(error.value))
    assert told[0] == told[1]  # which row it is, and not only that one is


def test_a_file_of_another_kind_is_told(tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ValueError, match="does not exist"):
        load_closed_form(path)
    path.write_bytes(b"not a file of tensors")
    with pytest.raises(ValueError, match=r"is not a readable \.safetensors file"):
        load_closed_form(path)
    for metadata in (None, {"equiangular-closed-form": "3"}, {"equiangular-closed-form": "[]"}):
        save_file({"a": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(ValueError, match="no readable closed-form classifier"):
            load_closed_form(path)
    plain = {"format": "equiangular-closed-form-1", "in_features": 2, "num_classes": 2, "kind": "ridge", "metadata": {}}
    plain |= {"regularization": "loo", "prior_weight": "moments", "width": 5, "seed": 0}
    save_file({"count": torch.zeros(2)}, path, metadata={"closed_form": json.dumps(plain)})
    with pytest.raises(ValueError, match="it has no"):
        load_closed_form(path)
    with pytest.raises(ValueError, match="cannot write"):
        save_closed_form(tmp_path / "none" / "m.safetensors", make("ridge"))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: make("ridg"), "did you mean 'ridge'"),
        (
            lambda: make("ridge", regularization=0),
            "regularization must be a finite number above 0, got 0. Or pass 'loo'",
        ),
        (lambda: make("gaussian", regularization=2.0), r"a shrinkage in \(0, 1\]"),
        (lambda: make("ridge").solve(), "no class has a sample. Fit it first"),
        (lambda: make("ridge").merge(make("gaussian")), "of kind 'gaussian' and width 64 into one of kind 'ridge'"),
        (lambda: make("random-features").merge(make("random-features", seed=1)), "random features must agree"),
        (lambda: make("kernel").merge(make("kernel", 3)), "cannot merge a classifier of 3 classes into one of 10"),
        (lambda: make("kernel").update(*digits(9)).remove(*digits(12)), "3 of them are unknown"),
        (lambda: make("kernel").update(*digits(9)).remove(*digits(9), torch.full((9,), 2.0)), "less weight"),
        (lambda: make("ridge").update(*digits(9)).log_prior("uniformly"), "did you mean 'uniform'"),
        (lambda: make("ridge").log_prior(torch.zeros(K)), "target_prior must be finite and above 0"),
        (lambda: make("ridge").set_prior(torch.full((2, D), torch.nan)), "NaN"),
    ],
)
def test_errors_teach(act, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generators_are_left_alone(kind: str) -> None:
    before = torch.get_rng_state()
    make(kind).update(*digits(60)).solve()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_seen_and_a_file_of_before_is_read(kind: str, tmp_path) -> None:
    path = save_closed_form(tmp_path / "m.safetensors", make(kind).update(*digits(60)))
    with safe_open(path, "pt") as file:
        metadata = {"closed_form": file.metadata()["closed_form"]}  # without a hash
    save_file(load_file(path), tmp_path / "old.safetensors", metadata=metadata)
    x, _ = digits(9)
    expected = load_closed_form(path)[0].solve().logits(x)
    assert torch.equal(load_closed_form(tmp_path / "old.safetensors")[0].solve().logits(x), expected)
    with pytest.raises(ValueError, match=r"m\.safetensors' is damaged: .* Save the classifier again"):
        load_closed_form(flip_last_bit(path))


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("kernel", "rows", torch.nan, "its rows have NaN or infinite values"),
        ("kernel", "weights", -1.0, "weights are not all above 0"),
        ("kernel", "labels", -1, "do not fit 10 classes"),
        ("ridge", "sketch.labels", 10, "do not fit 10 classes"),
        ("ridge", "mean", torch.inf, "its mean has NaN or infinite values"),
        ("ridge", "count", -2.0, "its count is not all of at least 0"),
    ],
)
def test_numbers_that_no_classifier_writes_are_told(kind: str, name: str, value: float, message: str, tmp_path) -> None:
    """In a file of before, which has no hash."""
    tensors, plain = closed_form_state(make(kind).update(*digits(60)))
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    tensors[name].view(-1)[0] = value
    path = tmp_path / "m.safetensors"
    save_file(tensors, path, metadata={"closed_form": json.dumps({**plain, "metadata": {}})})
    with pytest.raises(ValueError, match=message):
        load_closed_form(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_merged_with_itself_counts_all_twice(kind: str) -> None:
    x, y = digits(100)
    model = make(kind).update(x, y)
    twice = make(kind).update(x, y, torch.full((100,), 2.0))
    torch.testing.assert_close(model.merge(model).solve().logits(x), twice.solve().logits(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_the_features_makes_no_difference_or_is_told(kind: str) -> None:
    x, y = digits(60)
    expected = make(kind).update(x, y).solve().logits(x)
    for power in (-140, 140):
        size = 10.0**power
        found = make(kind).update(x * size, y).solve().logits(x * size)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    noise = torch.randn(600, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for power in (-200, 200):
        if kind == "kernel":  # which looks at directions alone
            model = make(kind).update(x * 10.0**power, y)
            torch.testing.assert_close(model.solve().logits(x), expected, rtol=1e-6, atol=1e-6)
            continue
        other = ClosedForm(8, 4, kind=kind, width=20).update(noise * 10.0**power, torch.arange(600) % 4)  # inf - inf
        for model in (make(kind).update(x * 10.0**power, y), other):
            with pytest.raises(ValueError, match="float64 does not hold their squares"):
                model.solve()
    torch.testing.assert_close(
        make(kind).update((x * 1e-30).float(), y).solve().logits(x * 1e-30), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_shards_a_half_gone_and_back_and_classes_one_by_one_are_the_one_fit(kind: str) -> None:
    x, y = digits(300 if kind == "kernel" else 1000)
    one = make(kind).update(x, y).solve().logits(x)
    generator = torch.Generator().manual_seed(5)
    merged = make(kind)
    for shard in torch.randperm(len(y), generator=generator).chunk(1000):
        merged.merge(make(kind).update(x[shard], y[shard]))
    gone = torch.randperm(len(y), generator=generator)[: len(y) // 2]
    grown = make(kind, 0)
    for k in range(K):
        grown.grow(k + 1).update(x[y == k], y[y == k])

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a - b).norm() / b.norm())

    assert distance(merged.solve().logits(x), one) < 1e-9
    merged.remove(x[gone], y[gone]).solve()
    assert distance(merged.update(x[gone], y[gone]).solve().logits(x), one) < 1e-9
    assert distance(grown.solve().logits(x), one) < 1e-9


@pytest.mark.parametrize(("kind", "number"), [("ridge", 60), ("ridge", 1500), ("kernel", 60)])
def test_a_file_of_before_with_other_hashes_is_read(kind: str, number: int, tmp_path) -> None:
    """Its samples predict as they did and can be removed; of strangers its sketch knows nothing, if it is a part."""
    x, y = digits(number)
    model = make(kind).update(x, y)
    tensors, plain = closed_form_state(model)
    old = {**plain, "format": "equiangular-closed-form-1", "metadata": {}}
    if kind == "ridge" and number == 1500:  # as other hashes would have chosen: every second of the samples
        tensors = {
            n: t[::2].contiguous() if n in ("sketch.rows", "sketch.labels", "sketch.weights") else t
            for n, t in tensors.items()
        }
        model.seen.sketch.take_out(np.arange(1, len(model.seen.sketch.labels), 2), model.seen.sketch.weights[1::2])
    path = tmp_path / "m.safetensors"
    save_file(
        {n: t.flip(0) if n == "rows" or n in ("labels", "weights") else t for n, t in tensors.items()},
        path,
        metadata={"closed_form": json.dumps(old)},
    )
    read = load_closed_form(path)[0]
    torch.testing.assert_close(read.solve().logits(x[:50]), model.solve().logits(x[:50]))
    read = load_closed_form(save_closed_form(path, read))[0]
    if kind == "ridge":
        assert read.seen.sketch.whole is (number == 60)
    read.remove(x[:50], y[:50])
    torch.testing.assert_close(read.class_counts, make(kind).update(x[50:], y[50:]).class_counts)
    if kind == "kernel" or number == 60:
        with pytest.raises(ValueError, match="never added"):
            read.remove(x[:1], y[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_copies_tell_leave_one_out_nothing(kind: str) -> None:
    """Noise without a signal stays noise where every row occurs twice: a copy left behind would know the label."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, D, generator=generator, dtype=torch.float64)
    y = torch.arange(120) % 3
    new = torch.randn(200, D, generator=generator, dtype=torch.float64)
    once, twice, weighted = make(kind, 3).update(x, y), make(kind, 3).update(x, y), make(kind, 3)
    twice.update(x.flip(0), y.flip(0))
    weighted.update(x, y, torch.full((120,), 2.0))
    once, twice, weighted = (model.solve() for model in (once, twice, weighted))
    torch.testing.assert_close(twice.logits(new), weighted.logits(new), rtol=1e-9, atol=1e-9)
    if kind in ("class-means", "ridge", "random-features"):  # of which only the ratios of weights matter
        assert twice.chosen["regularization"] == pytest.approx(once.chosen["regularization"], rel=1e-9)
    assert float(twice.logits(new).softmax(1).amax(1).mean()) < 0.55


def test_a_kernel_says_where_features_share_one_direction() -> None:
    """A kernel of cosines loses there what tells classes apart, as it did without a word."""
    y = torch.arange(200) % 4
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 4 * torch.eye(8)[y]

    def score(offset: float) -> float:
        model = ClosedForm(8, 4, kind="kernel").update(x[:150] + offset, y[:150])
        return float((model.solve().logits(x[150:] + offset).argmax(1) == y[150:]).double().mean())

    assert score(0) > 0.95
    assert score(5) > 0.95
    with pytest.warns(UserWarning, match="features share one direction.*Subtract the mean"):
        assert score(1e5) < 0.95
    cosine = torch.nn.functional.normalize(x + 100, dim=1)
    expected = float(torch.nn.functional.cosine_similarity(cosine, cosine.mean(0, keepdim=True)).mean())
    with pytest.warns(UserWarning, match=f"mean cosine to it is {expected:.6f}"):
        warn_of_one_direction(cosine @ cosine.T)
    warn_of_one_direction(torch.ones(1, 1))  # of one sample nothing is known
