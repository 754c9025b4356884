"""ClosedFormClassifier: scikit-learn's own checks, the verbs, and the traps that other classifiers set."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.integrations.sklearn_checks import all_passed, checks_of

import equiangular
from equiangular.closed_form import KINDS
from equiangular.integrations.closed_form import ClosedFormClassifier


@pytest.fixture(scope="module")
def checks() -> dict[str, list[list[str]]]:
    models = {kind: f"equiangular.ClosedFormClassifier(kind={kind!r}, width=50)" for kind in KINDS}
    return checks_of(models, "the features share one direction")  # right: two columns of mean 100


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_check_of_scikit_learn_passes(kind: str, checks: dict[str, list[list[str]]]) -> None:
    all_passed(checks[kind])


def named_digits(n: int = 250):
    X, y = load_digits(return_X_y=True)
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return X[:n] / 16, names[y[:n]]


def test_the_public_name() -> None:
    assert equiangular.ClosedFormClassifier is ClosedFormClassifier


@pytest.mark.parametrize("kind", KINDS)
def test_shards_classes_and_removals_give_one_answer(kind: str) -> None:
    X, y = named_digits()
    pooled = ClosedFormClassifier(kind, width=60).fit(X, y)
    merged = ClosedFormClassifier(kind, width=60)
    for name in np.random.default_rng(0).permutation(np.unique(y)):  # clients with one class each
        merged.merge(ClosedFormClassifier(kind, width=60).partial_fit(X[y == name], y[y == name]))
    one_by_one = ClosedFormClassifier(kind, width=60)
    for name in np.unique(y)[::-1]:
        one_by_one.partial_fit(X[y == name], y[y == name])
    one_by_one.remove(X[::2], y[::2]).partial_fit(X[::2], y[::2])
    for other in (merged, one_by_one):
        assert other.classes_.tolist() == pooled.classes_.tolist()
        np.testing.assert_allclose(other.decision_function(X), pooled.decision_function(X), rtol=1e-8, atol=1e-8)
        assert other.class_count_.tolist() == pooled.class_count_.tolist()


def test_classes_may_be_announced() -> None:
    X, y = named_digits()
    some = y != "nine"
    model = ClosedFormClassifier("ridge").partial_fit(X[some], y[some], classes=np.unique(y))
    assert model.classes_.tolist() == np.unique(y).tolist()
    assert (model.predict_proba(X)[:, model.classes_ == "nine"] == 0).all()
    with pytest.raises(ValueError, match="the label 'eight', which is not in classes"):
        ClosedFormClassifier().partial_fit(X, y, classes=["one", "two"])
    names = model.set_class_prior(X[y == "nine"].mean(0, keepdims=True), ["nine"])
    assert (names.predict(X[y == "nine"]) == "nine").mean() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_any_prior_at_prediction(kind: str) -> None:
    X, y = named_digits()
    model = ClosedFormClassifier(kind, width=60).fit(X, y)
    uniform = model.predict_proba(X)
    weights = {name: 1.0 + 3 * (name == "nine") for name in model.classes_}
    model.target_prior = weights
    expected = uniform * [weights[name] for name in model.classes_]
    np.testing.assert_allclose(model.predict_proba(X), expected / expected.sum(1, keepdims=True), rtol=1e-7, atol=1e-12)
    model.target_prior = "train"
    expected = uniform * model.class_count_
    np.testing.assert_allclose(model.predict_proba(X), expected / expected.sum(1, keepdims=True), rtol=1e-7, atol=1e-12)
    model.target_prior = {"one": 1.0}
    with pytest.raises(ValueError, match="target_prior has no weight for class 'eight'"):
        model.predict(X)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_agree_with_each_other(kind: str) -> None:
    """Where NearestCentroid.predict differs from the argmax of its predict_proba for 49 of these 178 wines."""
    X, y = load_wine(return_X_y=True)
    model = ClosedFormClassifier(kind, width=60).fit(X, y)
    decision, probability = model.decision_function(X), model.predict_proba(X)
    assert (model.predict(X) == model.classes_[decision.argmax(1)]).all()
    assert (model.predict(X) == model.classes_[probability.argmax(1)]).all()
    two = ClosedFormClassifier(kind, width=60).fit(X[:130], y[:130])
    odds = two.decision_function(X)
    np.testing.assert_allclose(two.predict_proba(X)[:, 1], 1 / (1 + np.exp(-odds)), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_stored_cloned_and_pickled(kind: str, tmp_path) -> None:
    X, y = named_digits()
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    model = ClosedFormClassifier(kind, width=60, target_prior="train").fit(frame, y)
    read = ClosedFormClassifier.load(model.save(tmp_path / "model.safetensors"))
    for other in (read, pickle.loads(pickle.dumps(model))):
        assert (other.predict_proba(frame) == model.predict_proba(frame)).all()
        assert other.get_params() == model.get_params()
        assert other.partial_fit(frame, y).class_count_.sum() == 2 * len(y)
    assert not hasattr(clone(model), "classes_")


def test_it_serves_in_pipelines_and_searches() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), ClosedFormClassifier())
    search = GridSearchCV(pipeline, {"closedformclassifier__kind": ["class-means", "gaussian"]}, cv=3).fit(X, y)
    assert search.best_params_ == {"closedformclassifier__kind": "gaussian"}
    assert search.best_score_ > 0.95


def test_shrinkage_of_two_samples_a_class_is_pooled() -> None:
    """The lemma of Ledoit and Wolf on each class about its own mean gives 0 for two samples, as in scikit-learn 1.9."""
    rng = np.random.default_rng(0)
    k, d = 20, 60
    means = rng.normal(size=(k, d))
    spread = rng.normal(size=(d, d)) / d**0.5 + np.eye(d)
    y, y_test = np.repeat(np.arange(k), 2), np.repeat(np.arange(k), 50)
    X, X_test = (2 * means[labels] + 3 * rng.normal(size=(len(labels), d)) @ spread for labels in (y, y_test))
    ours = ClosedFormClassifier("gaussian").fit(X, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y)
    deviation = X - np.repeat(X.reshape(k, 2, d).mean(1), 2, axis=0)
    pooled = ledoit_wolf_shrinkage(deviation, assume_centered=True)
    around = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=pooled).fit(X, y)
    assert ours.closed_form_.solve().chosen["regularization"] > 0.2
    assert ours.score(X_test, y_test) > theirs.score(X_test, y_test) + 0.1
    assert ours.score(X_test, y_test) > around.score(X_test, y_test) - 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_not_taken_for_signal(kind: str) -> None:
    """RidgeClassifierCV(scoring="accuracy") of two classes gives noise an accuracy of 1; a grid search gives a half."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(100, 30)), np.arange(100) % 2
    grid = GridSearchCV(RidgeClassifier(), {"alpha": [0.1, 10.0]}, cv=5).fit(X, y)
    assert grid.best_score_ < 0.65
    X_test, y_test = rng.normal(size=(500, 30)), np.arange(500) % 2
    model = ClosedFormClassifier(kind, width=60).fit(X, y)
    assert log_loss(y_test, model.predict_proba(X_test)) < np.log(2) + 0.1
    assert cross_val_score(model, X, y, cv=3).mean() < 0.65


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m, X, y: m.fit(np.where(X == 0, np.nan, X), y), "NaN"),
        (lambda m, X, y: m.fit(X, y == "none"), "at least 2 classes"),
        (lambda m, X, y: m.fit(X, y, -np.ones(len(y))), "sample_weight must not be negative"),
        (lambda m, X, y: m.set_params(kind="knn").fit(X, y), "kind must be one of"),
        (
            lambda m, X, y: m.fit(X, y).partial_fit(X[:, :9], y),
            "X has 9 features, but ClosedFormClassifier is expecting 64",
        ),
        (lambda m, X, y: m.fit(X, y).remove(X[:2], ["ten", "one"]), "the class 'ten': it was never added"),
        (lambda m, X, y: m.fit(X, y).remove(X[:2] + 1, y[:2]), "samples that were never added"),
        (lambda m, X, y: m.fit(X, y).merge(ClosedFormClassifier().fit(X[:, :9], y)), "of 9 features into one of 64"),
        (lambda m, X, y: m.fit(X, y).merge(ClosedFormClassifier("kernel").fit(X, y)), "of kind 'kernel'"),
        (lambda m, X, y: m.set_params(regularization="0.1").fit(X, y), "above 0, got '0.1'. Or pass 'loo'"),
        (lambda m, X, y: m.set_params(regularization=True).fit(X, y), "above 0, got True"),
    ],
)
def test_errors_teach(act, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act(ClosedFormClassifier(), *named_digits(100))


CHANGES = [("kind", "ridge"), ("regularization", 0.1), ("prior_weight", 2.0), ("width", 9), ("random_state", 3)]


@pytest.mark.parametrize("act", ["partial_fit", "remove", "set_class_prior", "merge"])
@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_what_was_set_after_fitting_needs_a_new_fit(name: str, value: object, act: str) -> None:
    """It was passed over without a word."""
    X, y = named_digits(100)
    model = ClosedFormClassifier(target_prior="train").fit(X, y)
    before = model.get_params()[name]
    given = (model,) if act == "merge" else (X, y)
    with pytest.raises(ValueError, match=rf"{name} was set to .* Call fit on all .*set_params\({name}={before!r}\)"):
        getattr(model.set_params(**{name: value}), act)(*given)
    getattr(model.set_params(**{name: before, "target_prior": "uniform"}), act)(*given)
    model.set_params(**{name: value}).fit(X, y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_tensors_are_features(dtype: torch.dtype) -> None:
    """bfloat16, which NumPy has not, gave a TypeError."""
    X, y = load_iris(return_X_y=True)
    rows = torch.tensor(X, dtype=dtype, requires_grad=True)
    model = ClosedFormClassifier().fit(rows, torch.tensor(y))
    same = ClosedFormClassifier().fit(rows.detach().to(torch.promote_types(dtype, torch.float32)).numpy(), y)
    np.testing.assert_array_equal(model.predict_proba(rows), same.predict_proba(rows))
    vectors = dict(enumerate(torch.eye(3, 4, dtype=dtype)))
    assert ClosedFormClassifier(class_vectors=vectors).fit(rows, y).score(rows, y) > 0.9
    assert equiangular.ETFClassifier(epochs=1, random_state=0).fit(rows, y).predict(rows).shape == (150,)


def without_nine() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    X, y = named_digits()
    return X, y, {str(name): X[y == name].mean(0) for name in np.unique(y)}, y != "nine"


@pytest.mark.parametrize("kind", KINDS)
def test_class_vectors_bring_classes_without_samples(kind: str) -> None:
    X, y, vectors, some = without_nine()
    model = ClosedFormClassifier(kind, width=300, class_vectors=vectors).fit(X[some], y[some])
    assert model.classes_.tolist() == np.unique(y).tolist()
    assert model.class_count_[model.classes_ == "nine"] == 0
    assert (model.predict(X[~some]) == "nine").mean() > 0.5
    later = ClosedFormClassifier(kind, width=300).fit(X[some], y[some]).set_class_prior(
        list(vectors.values()), list(vectors)
    )  # fmt: skip
    np.testing.assert_allclose(later.decision_function(X), model.decision_function(X), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["gaussian", "kernel"])
def test_class_vectors_stay_as_samples_come_and_go(kind: str) -> None:
    X, y, vectors, _ = without_nine()
    X, y = X[:300], y[:300]
    pooled = ClosedFormClassifier(kind, class_vectors=vectors).fit(X, y)
    shards = [ClosedFormClassifier(kind, class_vectors=vectors).partial_fit(X[i::2], y[i::2]) for i in (0, 1)]
    np.testing.assert_allclose(shards[0].merge(shards[1]).predict_proba(X), pooled.predict_proba(X), atol=1e-7)
    shards[0].remove(X[1::2], y[1::2])
    half = ClosedFormClassifier(kind, class_vectors=vectors).fit(X[::2], y[::2])
    np.testing.assert_allclose(shards[0].predict_proba(X), half.predict_proba(X), atol=1e-7)


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ([[1.0]], "must map each class to its vector, got list"),
        ({}, "must map each class"),
        ({"one": np.ones(3)}, r"of the class 'one' must be 64 finite numbers.*got shape \(3,\)"),
        ({"one": np.full(64, np.nan)}, "must be 64 finite numbers"),
        ({"one": np.ones(64), "two": np.zeros(64)}, "of the class 'two' has a vector of zeros"),
        ({"one": np.eye(64)[:2] - np.eye(64)[0]}, "of the class 'one' has a vector of zeros"),
    ],
)
def test_bad_class_vectors_are_told(vectors: object, match: str) -> None:
    X, y = named_digits()
    with pytest.raises(ValueError, match=match):
        ClosedFormClassifier(class_vectors=vectors).fit(X, y)


WORDS, NUMBERS = np.array(["a", "b", "c"])[np.arange(60) % 3], np.arange(60) % 3
POINTS = np.random.default_rng(0).normal(size=(60, 5))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda m: m.partial_fit(POINTS, NUMBERS),
            "y has numbers such as 0, where the classes so far are strings such",
        ),
        (lambda m: m.partial_fit(POINTS, NUMBERS > 0), "y has booleans such as False, where .* give them as strings"),
        (lambda m: m.partial_fit(POINTS, WORDS, classes=[0, 1]), "classes has numbers such as 0"),
        (lambda m: m.partial_fit(POINTS, WORDS, classes=["d", 1]), "classes has numbers such as 1 and strings such as"),
        (lambda m: m.remove(POINTS, NUMBERS), "y has numbers such as 0"),
        (lambda m: m.set_class_prior(POINTS[:3], [0, 1, 2]), "classes has numbers such as 0"),
        (lambda m: m.merge(ClosedFormClassifier().fit(POINTS, NUMBERS)), "the other classifier has numbers such as 0"),
        (lambda m: m.merge(LinearDiscriminantAnalysis()), "takes another ClosedFormClassifier, got LinearDiscriminant"),
    ],
)
def test_labels_of_another_type_are_told_and_change_nothing(act, message: str) -> None:
    """NumPy would make the strings '0', '1', '2' of the numbers, and six classes of three."""
    model = ClosedFormClassifier().fit(POINTS, WORDS)
    before = model.decision_function(POINTS)
    with pytest.raises(ValueError, match=message):
        act(model)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert (model.decision_function(POINTS) == before).all()


def test_labels_of_several_types_in_one_fit_are_told() -> None:
    mixed = np.array(["a", 1] * 30, dtype=object)
    with pytest.raises(ValueError, match="y has numbers such as 1 and strings such as 'a'"):
        ClosedFormClassifier().fit(POINTS, mixed)
    with pytest.raises(ValueError, match="class_vectors has numbers such as 1 and strings such as 'a'"):
        ClosedFormClassifier(class_vectors={"a": np.ones(5), 1: np.ones(5)}).fit(POINTS, WORDS)
    with pytest.raises(ValueError, match="class_vectors has strings such as 'a', where the classes so far are numbers"):
        ClosedFormClassifier(class_vectors={"a": np.ones(5)}).fit(POINTS, NUMBERS)


def test_labels_of_one_type_in_several_guises_are_one() -> None:
    for words in (WORDS.astype(object), pd.Series(WORDS, dtype="string"), pd.Series(WORDS, dtype="category")):
        model = ClosedFormClassifier().fit(POINTS, WORDS).partial_fit(POINTS, words)
        assert model.class_count_.tolist() == [40, 40, 40]
    for numbers in (NUMBERS.astype(float), NUMBERS.astype(np.uint8)):
        model = ClosedFormClassifier().fit(POINTS, NUMBERS).partial_fit(POINTS, numbers)
        assert model.class_count_.tolist() == [40, 40, 40]


def test_a_prior_of_unknown_classes_is_told_when_predictions_are_made() -> None:
    model = ClosedFormClassifier(target_prior={"a": 1, "b": 2, "c": 3, "d": 4}).partial_fit(POINTS, WORDS)
    with pytest.raises(ValueError, match="target_prior: there is no class 'd' among the 3 so far"):
        model.predict(POINTS)
    model.partial_fit(POINTS[:9], ["d"] * 9)
    moved = model.predict_proba(POINTS)
    model.target_prior = [1, 2, 3, 4]
    assert (model.predict_proba(POINTS) == moved).all()
    for prior, message in ((["a"], "must be a sequence of K numbers"), ([1, 2], "has 2 entries for 4 classes")):
        with pytest.raises(ValueError, match=message):
            model.set_params(target_prior=prior).predict(POINTS)
    with pytest.raises(ValueError, match="did you mean 'uniform'"):
        ClosedFormClassifier(target_prior="uniformly").partial_fit(POINTS, WORDS)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_shares_are_told(kind: str) -> None:
    """Weights count samples. At a sum of 1 a Gaussian was at chance, and no kind was calibrated."""
    model = ClosedFormClassifier(kind, width=20)
    for weight in (1e-12, 1 / 60, 1e-200):
        with pytest.raises(ValueError, match=r"of 3 classes sum to .* less than one sample a class.* multiply them"):
            model.fit(POINTS, WORDS, sample_weight=np.full(60, weight))
    one = model.fit(POINTS, WORDS).predict_proba(POINTS)
    np.testing.assert_array_equal(model.fit(POINTS, WORDS, sample_weight=np.ones(60)).predict_proba(POINTS), one)
    assert np.isfinite(model.fit(POINTS, WORDS, sample_weight=np.full(60, 0.05)).predict_proba(POINTS)).all()
    part = model.partial_fit(POINTS, WORDS, sample_weight=np.full(60, 1e-3))
    assert np.isfinite(part.predict_proba(POINTS)).all()


@pytest.mark.parametrize("kind", ["ridge", "kernel"])
def test_all_that_a_new_fit_needs_is_stored(kind: str, tmp_path) -> None:
    vectors = {"a": np.ones(5), "d": np.eye(5, dtype=np.float32)[:2], "c": np.arange(5)}
    prior = {"a": 1.0, "b": 2, "c": np.float64(0.5), "d": 1}
    model = ClosedFormClassifier(kind, class_vectors=vectors, target_prior=prior).fit(POINTS, WORDS)
    read = ClosedFormClassifier.load(model.save(tmp_path / "m.safetensors"))
    assert read.target_prior == prior
    assert list(read.class_vectors) == list(vectors)
    for name, value in vectors.items():
        np.testing.assert_array_equal(read.class_vectors[name], value)
    assert (read.predict_proba(POINTS) == model.predict_proba(POINTS)).all()
    for m in (model, read):
        m.fit(POINTS[:30], WORDS[:30])
    assert read.classes_.tolist() == ["a", "b", "c", "d"]
    assert (read.predict_proba(POINTS) == model.predict_proba(POINTS)).all()
    numbers = ClosedFormClassifier(kind, class_vectors={np.int64(7): np.ones(5)}).fit(POINTS, NUMBERS)
    assert list(ClosedFormClassifier.load(numbers.save(tmp_path / "n.safetensors")).class_vectors) == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_merging_with_itself_counts_all_twice(kind: str) -> None:
    model = ClosedFormClassifier(kind, width=20).fit(POINTS, WORDS)
    twice = ClosedFormClassifier(kind, width=20).fit(POINTS, WORDS, sample_weight=np.full(60, 2.0))
    np.testing.assert_allclose(model.merge(model).predict_proba(POINTS), twice.predict_proba(POINTS), rtol=1e-7)


def test_arrays_that_may_not_be_written_are_read_and_left_alone() -> None:
    """In a process of its own, for PyTorch warns of them once."""
    program = """
import warnings; warnings.simplefilter("error")
import numpy as np
from equiangular import ClosedFormClassifier, ETFClassifier
X, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 3
X.flags.writeable = False
model = ClosedFormClassifier().fit(X, y)
model.remove(X[:9], y[:9]).partial_fit(X[:9], y[:9]).set_class_prior(X[:3], y[:3]).predict(X)
ETFClassifier(epochs=1).fit(X, y).predict(X)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
