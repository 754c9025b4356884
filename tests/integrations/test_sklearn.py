"""ETFClassifier: scikit-learn's own checks, all of them, and what they do not look at."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from tests.integrations.sklearn_checks import all_passed, checks_of

import equiangular
from equiangular.integrations.sklearn import ETFClassifier

MODELS = {
    text: f"equiangular.ETFClassifier({text})"
    for text in ("", "loss='dr', hidden_layer_sizes=[32, 16], learning_rate=0.02, epochs=50")
}


@pytest.fixture(scope="module")
def checks() -> dict[str, list[list[str]]]:
    return checks_of(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_check_of_scikit_learn_passes(model: str, checks: dict[str, list[list[str]]]) -> None:
    all_passed(checks[model])


def test_the_public_name() -> None:
    assert equiangular.ETFClassifier is ETFClassifier


@pytest.mark.parametrize(
    ("load", "loss"), [(load_iris, "ce"), (load_iris, "la"), (load_iris, "dr"), (load_breast_cancer, "ce")]
)
def test_it_learns_as_well_as_logistic_regression(load, loss: str) -> None:
    X, y = load(return_X_y=True)
    score = cross_val_score(ETFClassifier(loss=loss, random_state=0), X, y, cv=3).mean()
    linear = cross_val_score(make_pipeline(MinMaxScaler(), LogisticRegression()), X, y, cv=3).mean()
    assert score > linear - 0.02


def test_predictions_agree_with_each_other() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = ETFClassifier(random_state=0, epochs=20).fit(X, names)
    decision, probability = model.decision_function(X), model.predict_proba(X)
    expected = np.exp(decision) / np.exp(decision).sum(1, keepdims=True)
    np.testing.assert_allclose(probability, expected, rtol=1e-12)
    assert (model.predict(X) == model.classes_[decision.argmax(1)]).all()
    two = ETFClassifier(random_state=0, epochs=20).fit(X[:100], names[:100])
    odds = two.decision_function(X[:100])
    assert odds.shape == (100,)
    np.testing.assert_allclose(two.predict_proba(X[:100])[:, 1], 1 / (1 + np.exp(-odds)), rtol=1e-12)
    assert (two.predict(X[:100]) == two.classes_[(odds > 0).astype(int)]).all()


def test_the_classifier_is_a_fixed_simplex() -> None:
    X, y = load_iris(return_X_y=True)
    model = ETFClassifier(random_state=0, epochs=3).fit(X, y)
    assert isinstance(model.network_.head, equiangular.ETFHead)
    assert equiangular.is_simplex_etf(model.network_.head.weight)
    fresh = ETFClassifier(random_state=0, epochs=1).fit(X, y)
    assert torch.equal(fresh.network_.head.weight, model.network_.head.weight)


def test_the_same_seed_the_same_bits_and_no_trace_in_global_generators() -> None:
    X, y = load_iris(return_X_y=True)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what is looked at
    expected = np.random.RandomState(0).rand()
    before = torch.get_rng_state()
    first, second, third = (ETFClassifier(random_state=s, epochs=5).fit(X, y).predict_proba(X) for s in (3, 3, 4))
    assert (first == second).all()
    assert (first != third).any()
    assert np.random.rand() == expected  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before)


def test_it_survives_pickling_and_keeps_the_dtype() -> None:
    X, y = load_iris(return_X_y=True)
    for dtype in (np.float32, np.float64):
        model = ETFClassifier(random_state=0, epochs=5).fit(X.astype(dtype), y)
        assert model.predict_proba(X.astype(dtype)).dtype == dtype
        again = pickle.loads(pickle.dumps(model))
        assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert model.predict_proba(X.astype(int)).dtype == np.float64


def test_pipeline_grid_search_and_calibration() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(MinMaxScaler(), ETFClassifier(epochs=20, random_state=0))
    search = GridSearchCV(pipeline, {"etfclassifier__hidden_layer_sizes": [(), (16,)]}, cv=3).fit(X, y)
    assert search.best_params_ == {"etfclassifier__hidden_layer_sizes": (16,)}
    assert search.best_score_ > 0.85
    calibrated = CalibratedClassifierCV(ETFClassifier(loss="dr", random_state=0, epochs=20), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.9
    assert log_loss(y, calibrated.predict_proba(X)) < 0.3


def test_weights_count_samples() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[::5], y[::5]
    times = np.random.default_rng(0).integers(0, 3, len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    assert len(repeated) <= 64
    weighted = ETFClassifier(random_state=0).fit(X, y, sample_weight=times)
    doubled = ETFClassifier(random_state=0).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.predict_proba(X), doubled.predict_proba(X), rtol=1e-6)
    np.testing.assert_array_equal(weighted.class_count_, doubled.class_count_)


def long_tail() -> tuple[np.ndarray, ...]:
    """Overlapping classes: 10 to 1 in training, equally many in the test."""
    options = {"n_features": 5, "n_informative": 5, "n_redundant": 0, "n_classes": 3, "n_clusters_per_class": 1}
    X, y = make_classification(6000, **options, class_sep=0.5, random_state=2)
    train, test = train_test_split(np.arange(6000), test_size=0.5, stratify=y, random_state=0)
    size = {0: 800, 1: 250, 2: 80}
    chosen = np.concatenate([train[y[train] == c][:n] for c, n in size.items()])
    return X[chosen], y[chosen], X[test], y[test]


@pytest.mark.parametrize("normalize", [True, False])
def test_the_ways_to_balanced_accuracy(normalize: bool) -> None:
    X, y, X_test, y_test = long_tail()
    common = {"hidden_layer_sizes": (16,), "epochs": 20, "random_state": 0, "normalize": normalize}
    ways = {
        "nothing": {},
        "logit adjustment": {"loss": "la"},
        "prior correction": {"target_prior": "uniform"},
        "calibrated correction": {"target_prior": [1, 1, 1], "early_stopping": True, "validation_fraction": 0.2},
        "class weights": {"class_weight": "balanced"},
    }
    score = {
        name: balanced_accuracy_score(y_test, ETFClassifier(**common, **options).fit(X, y).predict(X_test))
        for name, options in ways.items()
    }
    plain = score.pop("nothing")
    assert min(score.values()) > plain + 0.03


def test_the_correction_is_bayes_rule() -> None:
    X, y, X_test, _ = long_tail()
    common = {"epochs": 5, "random_state": 0}
    plain = ETFClassifier(**common).fit(X, y)
    ratio = np.array([0.2, 0.3, 0.5]) / np.bincount(y)
    expected = plain.predict_proba(X_test) * ratio
    corrected = ETFClassifier(**common, target_prior=[2, 3, 5]).fit(X, y)
    np.testing.assert_allclose(corrected.predict_proba(X_test), expected / expected.sum(1, keepdims=True), rtol=1e-9)
    # Logit adjustment already predicts for equal frequencies, and class weights tilt both alike.
    weights = {0: 1.0, 1: 2.0, 2: 4.0}
    adjusted = ETFClassifier(**common, loss="la", class_weight=weights).fit(X, y)
    np.testing.assert_allclose(adjusted.model_prior_, [1, 2, 4])
    weighted = ETFClassifier(**common, class_weight=weights).fit(X, y)
    np.testing.assert_allclose(weighted.model_prior_, np.bincount(y) * [1, 2, 4])


def test_early_stopping_keeps_the_best_epoch() -> None:
    X, y = load_digits(return_X_y=True)
    model = ETFClassifier(early_stopping=True, n_iter_no_change=3, validation_fraction=0.3, random_state=0).fit(X, y)
    curve = model.validation_curve_
    assert model.n_iter_ == len(curve) == len(model.loss_curve_) < 100
    assert np.argmin(curve) == len(curve) - 4
    assert ETFClassifier(epochs=2).fit(X, y).validation_curve_ == []


REFUSED = {
    "loss": ({"loss": "cee"}, "did you mean 'ce'"),
    "dot-regression without norms": ({"loss": "dr", "normalize": False}, "needs normalize=True"),
    "learning rate": ({"learning_rate": 0}, "learning_rate must be a finite number above 0"),
    "weight decay": ({"weight_decay": -1}, "weight_decay must be a finite number of at least 0"),
    "epochs": ({"epochs": 0}, "epochs must be an integer >= 1"),
    "batch size": ({"batch_size": 1.5}, "batch_size must be an integer >= 1"),
    "patience": ({"n_iter_no_change": 0}, "n_iter_no_change must be"),
    "layer": ({"hidden_layer_sizes": (8, 0)}, "a size in hidden_layer_sizes must be"),
    "one number for layers": ({"hidden_layer_sizes": 8}, "hidden_layer_sizes must be a sequence of integers"),
    "prior by name": ({"target_prior": "balanced"}, "target_prior must be one of 'uniform'"),
    "prior of another length": ({"target_prior": [1, 2]}, "target_prior has 2 entries for 3 classes"),
    "prior with a zero": ({"target_prior": [1, 2, 0]}, "target_prior must be finite and above 0"),
    "share": ({"early_stopping": True, "validation_fraction": 1.0}, "fraction must lie strictly between 0 and 1"),
    "an empty hold-out": ({"early_stopping": True, "validation_fraction": 0.001}, "Raise fraction"),
    "device": ({"device": "cudaa"}, "device='cudaa' cannot be used: .*device"),
    "dot-regression on features without norm": ({"loss": "dr", "head": "recommended"}, "does not normalise. Take 'la'"),
    "head": ({"head": "recomended"}, "did you mean 'recommended'"),
    "prototypes of other classes": ({"prototypes": np.eye(4)}, r"a row for each of 3 classes, \(K, d\), got \(4, 4\)"),
    "prototypes not of norm 1": ({"prototypes": 2 * np.eye(3)}, "prototypes must have rows of norm 1"),
    "means of other classes": ({"class_means": np.eye(2, 4)}, "class_means must have a row for each of 3 classes"),
    "means by name": ({"class_means": "test"}, "class_means must be one of 'train'"),
    "two kinds of vectors": ({"class_means": "train", "prototypes": np.eye(3)}, "prototypes and class_means both say"),
    "vectors and head": ({"class_vectors": {0: [1] * 4}, "head": "recommended"}, "class_vectors and head both say"),
    "diverged": ({"learning_rate": 1e300, "normalize": False}, "learning rate that is too high"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_parameters(case: str) -> None:
    options, message = REFUSED[case]
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        ETFClassifier(epochs=options.pop("epochs", 2), random_state=0, **options).fit(X, y)


def test_bad_data() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="sample_weight must not be negative, got -1"):
        ETFClassifier().fit(X, y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match=r"at least 2 classes .with a weight above 0., got 1 class"):
        ETFClassifier().fit(X, y, sample_weight=(y == 1).astype(float))
    with pytest.raises(ValueError, match="contains NaN"):
        ETFClassifier().fit(np.where(X > 7, np.nan, X), y)


def named_iris() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Iris by name, and for each class the mean of five exemplars, about the centre of the columns."""
    bunch = load_iris()
    X, y = bunch.data - bunch.data.mean(0), bunch.target_names[bunch.target]
    return X, y, {str(name): X[y == name][:5].mean(0) for name in np.unique(y)}


@pytest.mark.parametrize("options", [{}, {"learn_vectors": True}, {"loss": "dr"}], ids=str)
def test_class_vectors_are_where_features_are_led(options: dict) -> None:
    X, y, vectors = named_iris()
    options = {"loss": "la", "learning_rate": 0.03, **options}  # four columns, where an encoder has hundreds
    model = ETFClassifier(class_vectors=vectors, random_state=0, **options).fit(X, y)
    head = model.network_.head
    assert head.kind == ("learned" if options.get("learn_vectors") else "mapped")
    given = np.stack([vectors[name] / np.linalg.norm(vectors[name]) for name in model.classes_])
    moved = np.abs(head.class_vectors().detach().numpy() - given).max()
    assert (moved > 1e-3) if options.get("learn_vectors") else (moved < 1e-12)
    untrained = (X @ given.T).argmax(1)
    assert model.score(X, y) > (model.classes_[untrained] == y).mean() + 0.1  # 0.72


@pytest.mark.parametrize("loss", ["ce", "la"])
def test_a_class_without_samples_is_predicted_by_its_vector(loss: str) -> None:
    X, y, vectors = named_iris()
    some = y != "setosa"
    model = ETFClassifier(class_vectors=vectors, loss=loss, epochs=20, random_state=0).fit(X[some], y[some])
    assert model.classes_.tolist() == sorted(vectors)
    assert model.class_count_.tolist() == [0, 50, 50]
    assert (model.predict(X[~some]) == "setosa").mean() > 0.9
    assert np.isfinite(model.set_params(target_prior="uniform").predict_proba(X)).all()


def test_class_vectors_keep_the_angles_of_the_features() -> None:
    X, y, vectors = named_iris()
    one, ten = (ETFClassifier(class_vectors=vectors, epochs=5, random_state=0).fit(c * X, y) for c in (1.0, 10.0))
    np.testing.assert_allclose(one.decision_function(X), ten.decision_function(10 * X), rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hidden_layer_sizes": (8,)}, "hidden layers .8. lead away"),
        ({"normalize": False}, "compared by cosines"),
        ({"class_vectors": None, "learn_vectors": True}, "which must be given"),
        ({"loss": "dr", "learn_vectors": True}, "not 'dr'"),
        ({"class_vectors": {"setosa": np.ones(4)}}, "no vector of the class 'versicolor' .2 such classes"),
        ({"class_vectors": {"setosa": np.ones(3)}}, "must be 4 finite numbers"),
    ],
)
def test_what_is_wrong_with_class_vectors_is_told(options: dict, match: str) -> None:
    X, y, vectors = named_iris()
    with pytest.raises(ValueError, match=match):
        ETFClassifier(**{"class_vectors": vectors, **options}).fit(X, y)


def test_a_prior_by_label_is_that_in_the_order_of_the_classes() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["c", "a", "b"])[y]
    options = {"epochs": 2, "random_state": 0}
    by_order = ETFClassifier(target_prior=[1, 2, 3], **options).fit(X, names).predict_proba(X)
    by_label = ETFClassifier(target_prior={"c": 3, "a": 1, "b": 2}, **options).fit(X, names).predict_proba(X)
    np.testing.assert_array_equal(by_label, by_order)
    with pytest.raises(ValueError, match="target_prior: there is no class 'd'"):
        ETFClassifier(target_prior={"a": 1, "b": 2, "c": 1, "d": 1}, **options).fit(X, names)


def test_prototypes_are_the_fixed_vectors(tmp_path) -> None:
    X, y = load_iris(return_X_y=True)
    frame = equiangular.spread_frame(3, 2)
    equiangular.frames.save_frame(tmp_path / "frame.safetensors", frame)
    for given in (frame, frame.numpy(), str(tmp_path / "frame.safetensors")):
        for head in ("etf", "recommended"):
            model = ETFClassifier(prototypes=given, head=head, epochs=3, random_state=0).fit(X, y)
            torch.testing.assert_close(model.network_.head.weight, frame.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("head", ["etf", "recommended"])
def test_class_means_of_the_training_data_set_the_cosines(head: str) -> None:
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    model = ETFClassifier(class_means="train", head=head, epochs=2, random_state=0).fit(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(len(y)), weight.astype(int))  # a weight of 3 counts three times
    scaled = (X[rows] - X[rows].mean(0)) / X[rows].std(0)
    means = torch.from_numpy(np.stack([scaled[y[rows] == c].mean(0) for c in range(3)]))
    again = ETFClassifier(class_means=means, head=head, epochs=2, random_state=0).fit(X, y, sample_weight=weight)
    expected = equiangular.class_mean_frame(means, 64, seed=1)  # whatever the turn, the same cosines
    for fitted in (model, again):
        found = fitted.network_.head.weight
        torch.testing.assert_close(found @ found.T, expected.double() @ expected.double().T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("hidden", [None, ()])
def test_the_recommended_head_is_the_one_of_torch(hidden: tuple | None) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    keep = np.sort(np.concatenate([np.flatnonzero(y == 1)[:301], np.flatnonzero(y == 0)[:20]]))  # 5 * 64 + 1 rows
    model = ETFClassifier(head="recommended", loss="la", hidden_layer_sizes=hidden, epochs=30, random_state=0)
    model.fit(X[keep], y[keep])
    head = model.network_.head
    assert not head.normalize
    assert isinstance(head.norm, torch.nn.BatchNorm1d)
    assert not head.training
    rest = np.setdiff1d(np.arange(len(y)), keep)
    assert balanced_accuracy_score(y[rest], model.predict(X[rest])) > 0.85
    # A row alone gives what it gives among others: the statistics are those of training.
    np.testing.assert_allclose(model.decision_function(X[:1]), model.decision_function(X[:9])[:1], rtol=1e-9)
