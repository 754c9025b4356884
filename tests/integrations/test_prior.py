"""PriorCorrectedClassifier: around many classifiers, by Bayes' rule, with data frames, routing, where it declines."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.naive_bayes import ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from tests.integrations.sklearn_checks import all_passed, checks_of

import equiangular
from equiangular.integrations._class_priors import model_prior
from equiangular.integrations.closed_form import ClosedFormClassifier
from equiangular.integrations.prior import PriorCorrectedClassifier
from equiangular.integrations.sklearn import ETFClassifier

NAMES = np.array(["ant", "bee", "cicada"])


@pytest.mark.slow
def test_every_check_of_scikit_learn_passes() -> None:
    model = "equiangular.PriorCorrectedClassifier(LogisticRegression(max_iter=1000))"
    all_passed(checks_of({"prior": model})["prior"])


def test_the_public_name() -> None:
    assert equiangular.PriorCorrectedClassifier is PriorCorrectedClassifier


@pytest.fixture(scope="module")
def tail() -> tuple[np.ndarray, ...]:
    """Overlapping classes by name: 10 to 1 in training, equally many in the test."""
    options = {"n_features": 5, "n_informative": 5, "n_redundant": 0, "n_classes": 3, "n_clusters_per_class": 1}
    X, y = make_classification(3000, **options, class_sep=0.5, random_state=2)
    train, test = train_test_split(np.arange(3000), test_size=0.5, stratify=y, random_state=0)
    chosen = np.concatenate([train[y[train] == c][:n] for c, n in enumerate((400, 120, 40))])
    return X[chosen], NAMES[y[chosen]], X[test], NAMES[y[test]]


CLASSIFIERS = {
    "logistic regression": LogisticRegression(),
    "Gaussian": LinearDiscriminantAnalysis(),
    "naive Bayes": GaussianNB(),
    "neighbours": KNeighborsClassifier(15),
    "forest": RandomForestClassifier(50, min_samples_leaf=5, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=4), 20, random_state=0),
    "network": MLPClassifier((16,), max_iter=60, early_stopping=True, random_state=0),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=3),
    "linear SVM": LinearSVC(),
    "SVM": SVC(),
    "ridge": RidgeClassifier(),
    "perceptron": SGDClassifier(random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_around_many_classifiers(tail, name: str) -> None:
    """Balanced accuracy rises, whether there are probabilities or not; probabilities agree with predictions."""
    X, y, X_test, y_test = tail
    plain = balanced_accuracy_score(y_test, clone(CLASSIFIERS[name]).fit(X, y).predict(X_test))
    model = PriorCorrectedClassifier(CLASSIFIERS[name]).fit(X, y)
    assert model.declined_ is None
    assert balanced_accuracy_score(y_test, model.predict(X_test)) > plain + 0.01
    probability, decision = model.predict_proba(X_test), model.decision_function(X_test)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-12)
    odds = np.exp(decision - decision.max(1, keepdims=True))
    np.testing.assert_allclose(probability, odds / odds.sum(1, keepdims=True), atol=1e-12)
    assert (model.predict(X_test) == model.classes_[probability.argmax(1)]).all()
    assert (clone(model).fit(X, y).predict(X_test) == model.predict(X_test)).all()
    assert (pickle.loads(pickle.dumps(model)).predict(X_test) == model.predict(X_test)).all()


@pytest.mark.parametrize("target", [{"ant": 1, "bee": 3, "cicada": 6}, [1, 3, 6], np.array([0.1, 0.3, 0.6])])
def test_without_calibration_it_is_bayes_rule(tail, target) -> None:
    X, y, X_test, _ = tail
    expected = LogisticRegression().fit(X, y).predict_proba(X_test) * [1 / 400, 3 / 120, 6 / 40]
    model = PriorCorrectedClassifier(LogisticRegression(), target, calibrate=False).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X_test), expected / expected.sum(1, keepdims=True), rtol=1e-9)
    assert model.calibration_ == (1, 1)
    own = PriorCorrectedClassifier(LogisticRegression(), "train").fit(X, y)
    plain = LogisticRegression().fit(X, y)
    np.testing.assert_allclose(own.predict_proba(X_test), plain.predict_proba(X_test), rtol=1e-9)
    assert (own.predict(X_test) == plain.predict(X_test)).all()


def test_two_classes(tail) -> None:
    X, y, X_test, _ = tail
    kept = y != "bee"
    for base in (LogisticRegression(), LinearSVC()):
        model = PriorCorrectedClassifier(base).fit(X[kept], y[kept])
        odds = model.decision_function(X_test)
        assert odds.shape == (len(X_test),)
        assert (model.predict(X_test) == model.classes_[(odds > 0).astype(int)]).all()
        np.testing.assert_allclose(model.predict_proba(X_test)[:, 1], 1 / (1 + np.exp(-odds)), rtol=1e-9)
        assert (odds > 0).mean() > (clone(base).fit(X[kept], y[kept]).decision_function(X_test) > 0).mean()


# What a classifier's own settings make of 400, 120 and 40 samples.
PRIORS = [
    (LogisticRegression(class_weight="balanced"), [1, 1, 1]),
    (LogisticRegression(class_weight={"bee": 2.0}), [400, 240, 40]),
    (make_pipeline(StandardScaler(), LinearSVC(class_weight="balanced")), [1, 1, 1]),
    (GridSearchCV(SVC(class_weight="balanced"), {"C": [1.0]}, cv=2), [1, 1, 1]),
    (BaggingClassifier(DecisionTreeClassifier(class_weight="balanced", max_depth=3), 3), [1, 1, 1]),
    (CalibratedClassifierCV(LogisticRegression(class_weight="balanced"), cv=2), [400, 120, 40]),  # on data as they are
    (RandomForestClassifier(5, class_weight="balanced"), [1, 1, 1]),
    (RandomForestClassifier(5, class_weight={"bee": 2.0}), [400, 240, 40]),
    (ClosedFormClassifier(), [1, 1, 1]),
    (GridSearchCV(ClosedFormClassifier(target_prior="train"), {"kind": ["ridge"]}, cv=2), [400, 120, 40]),
    (GaussianNB(priors=[0.2, 0.3, 0.5]), [2, 3, 5]),
    (LinearDiscriminantAnalysis(), [400, 120, 40]),
    (NearestCentroid(), [1, 1, 1]),
    (NearestCentroid(priors="empirical"), [400, 120, 40]),
    (MultinomialNB(fit_prior=False), [1, 1, 1]),
    (MultinomialNB(class_prior=[0.5, 0.3, 0.2]), [5, 3, 2]),
    (ComplementNB(), [1, 1, 1]),
    (ETFClassifier(epochs=1, random_state=0), [400, 120, 40]),
    (ETFClassifier(epochs=1, loss="la", random_state=0), [1, 1, 1]),
    (ETFClassifier(epochs=1, target_prior="uniform", random_state=0), [1, 1, 1]),
    (PriorCorrectedClassifier(LogisticRegression(), [1, 2, 3]), [1, 2, 3]),
]


@pytest.mark.parametrize(("estimator", "expected"), PRIORS, ids=lambda v: "" if isinstance(v, list) else str(v)[:60])
def test_the_prior_that_a_model_stands_for(tail, estimator, expected: list) -> None:
    X, y, _, _ = tail
    fitted = clone(estimator).fit(np.abs(X), y)
    found = model_prior(fitted, fitted.classes_, np.array([400.0, 120.0, 40.0]))
    np.testing.assert_allclose(found / found.sum(), np.array(expected) / sum(expected))


def test_a_model_of_balanced_weights_is_not_corrected_twice(tail) -> None:
    X, y, X_test, _ = tail
    balanced = LogisticRegression(class_weight="balanced")
    model = PriorCorrectedClassifier(balanced, calibrate=False).fit(X, y)
    assert (model.predict(X_test) == balanced.fit(X, y).predict(X_test)).all()


@pytest.mark.parametrize("ensemble", [VotingClassifier, StackingClassifier], ids=lambda kind: kind.__name__)
def test_an_ensemble_of_weighted_members_has_to_say_its_prior(tail, ensemble) -> None:
    X, y, _, _ = tail
    model = ensemble([("a", LogisticRegression(class_weight="balanced")), ("b", GaussianNB())])
    if ensemble is VotingClassifier:
        model.set_params(voting="soft")
    with pytest.raises(ValueError, match=r"a__class_weight of the .* is 'balanced'.*train_prior='uniform'"):
        PriorCorrectedClassifier(model).fit(X, y)
    PriorCorrectedClassifier(model, train_prior="uniform").fit(X, y)


def test_scores_of_pairs_are_no_scores_of_classes(tail) -> None:
    X, y, _, _ = tail  # three classes, three pairs
    with pytest.raises(ValueError, match=r"not one for each pair. Take decision_function_shape='ovr'"):
        PriorCorrectedClassifier(SVC(decision_function_shape="ovo")).fit(X, y)


class Resampler(StandardScaler):
    """What a pipeline of imbalanced-learn has."""

    def fit_resample(self, X, y):  # pragma: no cover - never called
        return X, y


def test_a_resampling_pipeline_has_to_say_its_prior(tail) -> None:
    X, y, _, _ = tail
    pipeline = make_pipeline(Resampler(), LogisticRegression())
    with pytest.raises(ValueError, match=r"step 'resampler' of the pipeline resamples.*train_prior='uniform'"):
        PriorCorrectedClassifier(pipeline).fit(X, y)
    assert PriorCorrectedClassifier(pipeline, train_prior="uniform").fit(X, y).model_prior_.tolist() == [1, 1, 1]


def test_data_frames_lists_and_sparse_matrices(tail) -> None:
    X, y, X_test, _ = tail
    expected = PriorCorrectedClassifier(LogisticRegression(), calibrate="cv").fit(X, y).predict(X_test)
    columns = list("abcde")
    pipeline = make_pipeline(StandardScaler(with_mean=False), LogisticRegression()).set_output(transform="pandas")
    for table in (pd.DataFrame(X, columns=columns), pl.DataFrame(X, schema=columns)):
        label = pd.Series(y) if isinstance(table, pd.DataFrame) else pl.Series(y)
        model = PriorCorrectedClassifier(LogisticRegression(), calibrate="cv").fit(table, label)
        assert model.feature_names_in_.tolist() == columns
        assert (model.predict(table[:5]) == model.predict(table)[:5]).all()
        frame = type(table)(dict(zip(columns, X_test.T, strict=True)))
        assert (model.predict(frame) == expected).all()
        PriorCorrectedClassifier(pipeline, calibrate=3).fit(table, label).predict(frame)
    sparse = PriorCorrectedClassifier(LogisticRegression(), calibrate="cv").fit(csr_array(X), y)
    assert (sparse.predict(csr_array(X_test)) == expected).mean() > 0.99
    texts, kind = (
        ["pay a bill", "pay rent", "fly home", "fly to you", "a long flight"] * 4,
        ["p", "p", "f", "f", "f"] * 4,
    )
    words = PriorCorrectedClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression(C=100)), {"p": 3, "f": 1})
    assert words.fit(texts, kind).predict(["pay it"]).tolist() == ["p"]


def test_grid_search_over_the_inner_settings(tail) -> None:
    X, y, _, _ = tail
    grid = {"estimator__C": [1e-4, 1.0], "target_prior": ["uniform", "train"], "calibrate": [False, 3]}
    search = GridSearchCV(PriorCorrectedClassifier(LogisticRegression()), grid, scoring="balanced_accuracy", cv=3)
    search.fit(X, y)
    assert search.best_params_["target_prior"] == "uniform"
    assert len(search.cv_results_["mean_test_score"]) == 8
    inner = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    assert cross_val_score(PriorCorrectedClassifier(inner), X, y, cv=2, scoring="balanced_accuracy").mean() > 0.5


def test_weights_count_samples(tail) -> None:
    X, y, X_test, _ = tail
    times = np.random.default_rng(0).integers(0, 3, len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    doubled = PriorCorrectedClassifier(LogisticRegression(tol=1e-8)).fit(X[repeated], y[repeated])
    pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), LogisticRegression(tol=1e-8))
    for base in (LogisticRegression(tol=1e-8), pipeline):
        weighted = PriorCorrectedClassifier(base).fit(X, y, sample_weight=times)
        np.testing.assert_array_equal(weighted.class_count_, doubled.class_count_)
        np.testing.assert_allclose(weighted.predict_proba(X_test), doubled.predict_proba(X_test), rtol=1e-4)
    with pytest.raises(ValueError, match="KNeighborsClassifier takes no sample_weight"):
        PriorCorrectedClassifier(KNeighborsClassifier()).fit(X, y, sample_weight=times)
    with pytest.raises(ValueError, match="sample_weight must not be negative, got -1"):
        PriorCorrectedClassifier(LogisticRegression()).fit(X, y, sample_weight=-np.ones(len(y)))


def test_metadata_routing(tail) -> None:
    X, y, X_test, _ = tail
    times = np.random.default_rng(0).integers(1, 3, len(y)).astype(float)
    expected = PriorCorrectedClassifier(LogisticRegression()).fit(X, y, sample_weight=times).predict_proba(X_test)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler(with_mean=False, with_std=False).set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        for base in (LogisticRegression().set_fit_request(sample_weight=True), pipeline):
            model = PriorCorrectedClassifier(base).fit(X, y, sample_weight=times)
            np.testing.assert_allclose(model.predict_proba(X_test), expected, rtol=1e-4)
        outer = PriorCorrectedClassifier(base, calibrate=3).set_fit_request(sample_weight=True)
        outer.set_score_request(sample_weight=False)
        search = GridSearchCV(outer, {"target_prior": ["uniform"]}, cv=2).fit(X, y, sample_weight=times)
        assert search.best_estimator_.class_count_.sum() == times.sum()


def test_a_fitted_model_and_held_out_data(tail) -> None:
    X, y, X_test, y_test = tail
    fitted = LinearSVC().fit(X, y)
    # Held-out data of other class shares than the training's, which have to be told then.
    held, rest = np.arange(0, len(X_test), 3), np.arange(1, len(X_test), 3)
    counts = {"ant": 400, "bee": 120, "cicada": 40}
    model = PriorCorrectedClassifier(FrozenEstimator(fitted), train_prior=counts).fit(X_test[held], y_test[held])
    assert model.estimator_.estimator is fitted
    assert model.model_prior_.tolist() == [400, 120, 40]
    plain = balanced_accuracy_score(y_test[rest], fitted.predict(X_test[rest]))
    assert balanced_accuracy_score(y_test[rest], model.predict(X_test[rest])) > plain + 0.02
    two = y_test != "bee"
    with pytest.raises(ValueError, match=r"no sample of class .*'bee'.*train_prior="):
        PriorCorrectedClassifier(FrozenEstimator(fitted)).fit(X_test[two], y_test[two])
    with pytest.raises(ValueError, match=r"label .*'wasp'.* none of the 3 classes"):
        PriorCorrectedClassifier(FrozenEstimator(fitted)).fit(X_test[:4], ["ant", "bee", "cicada", "wasp"])


def test_where_calibration_has_nothing_to_stand_on() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(30) % 5
    X = rng.normal(size=(30, 5)) + 12 * np.eye(5)[y]
    with pytest.warns(UserWarning, match="all 30 held-out samples are classified right.*estimator's own"):
        model = PriorCorrectedClassifier(LogisticRegression(), np.arange(1, 6), calibrate=True).fit(X, y)
    assert "classified right" in model.declined_
    assert (model.predict(X) == model.estimator_.predict(X)).all()
    np.testing.assert_allclose(model.predict_proba(X), model.estimator_.predict_proba(X), rtol=1e-9)
    rare = np.r_[[0] * 12, [1] * 12, :6]  # four classes of one sample, which no fold holds out
    with pytest.warns(UserWarning, match="has 26 samples of 2 of the 6 classes"):
        few = PriorCorrectedClassifier(LinearSVC(), calibrate=True).fit(X, rare)
    assert few.declined_
    assert (few.predict(X) == few.estimator_.predict(X)).all()


def test_scores_of_zero_do_not_decide_the_calibration(tail) -> None:
    """Trees and neighbours rule classes out; what a probability of 0 is taken for must not matter."""
    X, y, X_test, y_test = tail
    for base in (KNeighborsClassifier(5), RandomForestClassifier(20, random_state=0)):
        bayes = PriorCorrectedClassifier(base, calibrate=False).fit(X, y)
        fitted = PriorCorrectedClassifier(base, calibrate=5).fit(X, y)
        assert 0.3 < fitted.calibration_.scale < 3
        scores = [balanced_accuracy_score(y_test, m.predict(X_test)) for m in (fitted, bayes)]
        assert scores[0] > scores[1] - 0.02


def test_nearest_centroid_has_its_scale_found() -> None:
    """Its softmax is of twice the log posterior: .988 for .9 (scikit-learn 1.9); a calibration halves it."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [3000, 1000])
    X = rng.normal(size=(4000, 4)) + 0.8 * np.eye(4)[y]
    model = PriorCorrectedClassifier(NearestCentroid(priors="empirical"), calibrate="cv").fit(X, y)
    raw = model.estimator_.predict_proba(X)[:, 1]
    true = 1 / (1 + 3 * np.exp(-0.8 * (X[:, 1] - X[:, 0])) / 1)  # posterior under the training prior
    uniform = 1 / (1 + np.exp(-0.8 * (X[:, 1] - X[:, 0])))
    assert abs(model.predict_proba(X)[:, 1] - uniform).mean() < 0.03
    assert abs(raw - true).mean() > 0.05
    assert 0.4 < model.calibration_.scale < 0.65


def gaussians(counts: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of unit covariance, on which the posteriors of linear and of naive models are right."""
    y = np.repeat(np.arange(3), counts)
    return np.random.default_rng(seed).normal(size=(len(y), 3)) + 1.5 * np.eye(3)[y], NAMES[y]


@pytest.mark.parametrize(
    "base", [LogisticRegression(), GaussianNB(), LogisticRegression(class_weight="balanced")], ids=str
)
def test_the_prior_of_unlabelled_data(base) -> None:
    true = np.array([0.1, 0.3, 0.6])
    X, y = gaussians((1000, 300, 100), 0)
    X_test, y_test = gaussians((100, 300, 600), 1)
    model = PriorCorrectedClassifier(base, "estimate").fit(X, y)
    with pytest.raises(ValueError, match="Call adapt"):
        model.predict(X_test)
    assert model.adapt(X_test) is model
    counted = np.array([(model.estimator_.predict(X_test) == name).mean() for name in NAMES])
    assert abs(model.target_prior_ - true).sum() < abs(counted - true).sum()
    assert (abs(model.target_prior_ - true) < 4 * model.prior_estimate_.standard_error).all()
    assert model.prior_estimate_.converged
    kept = PriorCorrectedClassifier(base, "train").fit(X, y)
    assert model.score(X_test, y_test) > kept.score(X_test, y_test)
    alone = [model.predict(row[None])[0] for row in X_test[:20]]
    assert (model.predict(X_test[:20]) == alone).all()  # no prediction depends on its neighbours
    with pytest.raises(ValueError, match="adapt is for target_prior='estimate', this one has 'train'"):
        kept.adapt(X_test)


def test_the_estimate_declines_too() -> None:
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.r_[[0] * 12, [1] * 12, :6]
    with pytest.warns(UserWarning, match="too little to calibrate"):
        model = PriorCorrectedClassifier(LogisticRegression(), "estimate").fit(X, y)
    with pytest.warns(UserWarning, match="No prior was estimated"):
        model.adapt(X)
    assert (model.predict(X) == model.estimator_.predict(X)).all()


def test_a_share_of_known_samples_is_rejected(tail) -> None:
    X, y, X_test, y_test = tail
    held, rest = np.arange(0, len(X_test), 2), np.arange(1, len(X_test), 2)
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    model = PriorCorrectedClassifier(frozen, "train", reject=0.1).fit(X_test[held], y_test[held])
    assert model.rejected(X_test[held]).sum() == int(0.1 * (len(held) + 1)) - 1  # what is above the m-th largest
    assert abs(model.rejected(X_test[rest]).mean() - 0.1) < 4 * (2 * 0.09 / len(rest)) ** 0.5
    predicted = model.predict(X_test)
    assert ((predicted == "unknown") == model.rejected(X_test)).all()
    assert set(predicted) == {*NAMES, "unknown"}
    numbers = PriorCorrectedClassifier(LogisticRegression(), reject=0.2).fit(X, NAMES.searchsorted(y))
    assert set(numbers.predict(X_test)) == {-1, 0, 1, 2}
    assert numbers.predict(X_test).dtype.kind == "i"
    assert set(numbers.set_params(reject_label="none").predict(X_test)) == {"none", 0, 1, 2}
    with pytest.raises(ValueError, match="reject_label is 'bee', which is a class"):
        PriorCorrectedClassifier(LogisticRegression(), reject=0.2, reject_label="bee").fit(X, y).predict(X)
    adapted = PriorCorrectedClassifier(LogisticRegression(), "estimate", reject=0.1).fit(X, y)
    before = adapted.rejection_threshold_
    assert adapted.adapt(X_test).rejection_threshold_ != before
    assert 0 < adapted.rejected(X_test).mean() < 0.3


REFUSED = {
    "target by name": ({"target_prior": "unifrom"}, "did you mean 'uniform'"),
    "a class that is none": ({"target_prior": {"ant": 1, "bee": 1, "cicade": 1}}, "did you mean 'cicada'"),
    "a class left out": ({"target_prior": {"ant": 1, "bee": 1}}, "target_prior has no weight for class 'cicada'"),
    "another length": ({"target_prior": [1, 2]}, "target_prior has 2 entries for 3 classes"),
    "a zero": ({"target_prior": [1, 2, 0]}, "target_prior must be finite and above 0"),
    "training prior": ({"train_prior": [1, -2, 1]}, "train_prior must be finite and above 0"),
    "one fold": ({"calibrate": 1}, "calibrate must be an integer >= 2"),
    "calibration by name": ({"calibrate": "vc"}, "did you mean 'cv'"),
    "share": ({"reject": 5}, "reject must lie strictly between 0 and 1, got 5"),
    "too small a share": ({"reject": 1e-4}, "held-out samples are too few to reject at most 0.01 %"),
    "no probabilities": ({"estimator": LinearSVC(), "calibrate": False}, "LinearSVC has no predict_proba"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_parameters(tail, case: str) -> None:
    options, message = REFUSED[case]
    X, y, _, _ = tail
    model = PriorCorrectedClassifier(**{"estimator": LogisticRegression(), **options})
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_scores_for_pairs_of_classes_are_refused() -> None:
    X, y = load_wine(return_X_y=True)
    X, y = np.r_[X, X[:40] + 100], np.r_[y, [3] * 40]
    with pytest.raises(ValueError, match=r"SVC gives 6 scores for 4 classes.*decision_function_shape='ovr'"):
        PriorCorrectedClassifier(SVC(decision_function_shape="ovo")).fit(X, y)


def test_bad_data() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="requires y to be passed"):
        PriorCorrectedClassifier(LogisticRegression()).fit(X, None)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        PriorCorrectedClassifier(LogisticRegression()).fit(X, y + 0.5)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PriorCorrectedClassifier(LogisticRegression()).fit(X, y[:-1])
    with pytest.raises(ValueError, match=r"Set reject, to 0.05 for instance, before fit"):
        PriorCorrectedClassifier(LogisticRegression(max_iter=1000)).fit(X, y).rejected(X)


@pytest.mark.parametrize(("rows", "sure"), [(1, False), (2, False), (11, False), (60, True), (1000, True)])
def test_an_estimate_of_few_samples_says_that_it_is_worth_little(rows: int, sure: bool) -> None:
    X, y = gaussians((1000, 300, 100), 0)
    X_test, _ = gaussians((100, 300, 600), 1)
    some = X_test[np.random.default_rng(2).permutation(1000)[:rows]]
    model = PriorCorrectedClassifier(LogisticRegression(), "estimate").fit(X, y)
    if sure:
        model.adapt(some)  # a warning would be an error
        found = model.prior_estimate_
        off = abs(found.prior - [0.1, 0.3, 0.6]).sum() / 2
        assert off < 4 * found.expected_error < 0.8
    else:
        with pytest.warns(UserWarning, match=rf"estimated from {rows} samples for 3 classes.* off by .* at least 4 a"):
            model.adapt(some)


def flat_problem(name: str) -> tuple[np.ndarray, ...]:
    """Training and test part of two classes, or of four, 80 : 12 : 5 : 3."""
    if name == "four":
        options = {"n_informative": 8, "n_classes": 4, "weights": [0.8, 0.12, 0.05, 0.03], "random_state": 1}
        X, y = make_classification(4000, 12, **options)
        return X[:1200], y[:1200], X[1200:], y[1200:]
    X, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(np.r_[rng.permutation(np.flatnonzero(y == 0))[:60], np.flatnonzero(y == 1)])
    X, y = X[order], y[order]
    return X[:200], y[:200], X[200:], y[200:]


@pytest.mark.parametrize("classes", ["two", "four"])
def test_flat_probabilities_are_no_posteriors(classes: str) -> None:
    """Those of AdaBoost: Bayes' rule gave everything to the rarest class, 96 to 52 % and 48 to 25 %, without a word."""
    X, y, X_test, y_test = flat_problem(classes)
    base = AdaBoostClassifier(random_state=0)
    plain = base.fit(X, y).predict(X_test)
    with pytest.warns(UserWarning, match=r"lowers balanced accuracy .*estimator's own.* take calibrate='cv'"):
        model = PriorCorrectedClassifier(base).fit(X, y)
    assert "more than chance would" in model.declined_
    assert (model.predict(X_test) == plain).all()
    np.testing.assert_allclose(model.predict_proba(X_test), model.estimator_.predict_proba(X_test), rtol=1e-9)
    bayes = PriorCorrectedClassifier(base, calibrate=False).fit(X, y)  # as it was asked for
    assert bayes.declined_ is None
    scores = [balanced_accuracy_score(y_test, p) for p in (plain, bayes.predict(X_test))]
    assert scores[1] < scores[0] - 0.1
    held = PriorCorrectedClassifier(FrozenEstimator(base), train_prior=np.bincount(y))
    with pytest.warns(UserWarning, match="take calibrate='cv'"):
        assert held.fit(X_test, y_test).declined_
    calibrated = PriorCorrectedClassifier(base, calibrate="cv").fit(X, y)
    assert balanced_accuracy_score(y_test, calibrated.predict(X_test)) > scores[0] - 0.02


def test_one_class_for_all_is_harm_where_there_is_no_accuracy_to_lose() -> None:
    options = {"n_informative": 8, "n_classes": 4, "weights": [0.8, 0.12, 0.05, 0.03], "class_sep": 0.5}
    X, y = (part[:1200] for part in make_classification(4000, 12, **options, random_state=1))
    with pytest.warns(UserWarning, match="every held-out sample to one class"):
        PriorCorrectedClassifier(AdaBoostClassifier(random_state=0)).fit(X, y)


@pytest.mark.parametrize("classes", ["two", "four"])
@pytest.mark.parametrize(
    "base",
    [RandomForestClassifier(30, random_state=0), make_pipeline(StandardScaler(), LogisticRegression()), GaussianNB()],
    ids=["forest", "logistic regression", "naive Bayes"],
)
def test_posteriors_go_on_as_they_are(base, classes: str) -> None:
    """A forest has its training samples all right, and loses some of them to what others gain."""
    X, y, X_test, _ = flat_problem(classes)
    model = PriorCorrectedClassifier(base).fit(X, y)
    assert model.declined_ is None
    bayes = PriorCorrectedClassifier(base, calibrate=False).fit(X, y)
    assert (model.predict_proba(X_test) == bayes.predict_proba(X_test)).all()


@pytest.mark.parametrize("calibrate", ["auto", "cv"])
def test_harm_is_measured_under_the_target_prior(tail, calibrate) -> None:
    """For a target that is more uneven than the data balanced accuracy falls as it should."""
    X, y, X_test, _ = tail
    model = PriorCorrectedClassifier(LogisticRegression(), [1000, 10, 1], calibrate=calibrate).fit(X, y)
    assert model.declined_ is None
    assert (model.predict(X_test) == "ant").mean() > 0.9


def test_what_is_fitted_is_numpy() -> None:
    X, y = gaussians((500, 200, 100), 0)
    model = PriorCorrectedClassifier(LogisticRegression(), "estimate").fit(X, y)
    assert model.prior_estimate_ is None
    model.adapt(X)
    for found in (model.prior_estimate_.prior, model.prior_estimate_.standard_error):
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
    np.testing.assert_allclose(model.prior_estimate_.prior, model.target_prior_)
    model.target_prior_[:] = 0
    assert model.prior_estimate_.prior.sum() == pytest.approx(1)  # a copy of its own


@pytest.mark.parametrize("base", [Ridge(), make_pipeline(StandardScaler(), Ridge()), FrozenEstimator(Ridge())], ids=str)
def test_a_regressor_is_no_classifier(base) -> None:
    with pytest.raises(ValueError, match=r"takes a classifier, got .*RidgeClassifier"):
        PriorCorrectedClassifier(base).fit(*load_iris(return_X_y=True))


def test_messages_show_labels_as_a_user_writes_them() -> None:
    X, y = load_iris(return_X_y=True)
    model = PriorCorrectedClassifier(LogisticRegression(max_iter=1000), {"0": 1, "1": 1, "2": 1})
    with pytest.raises(
        ValueError, match=r"keys that are strings, such as '0', where the labels are numbers, such as 0"
    ):
        model.fit(X, y)
    with pytest.raises(ValueError, match=r"there is no class 7 among the 3 so far\.$"):
        model.set_params(target_prior={np.int64(7): 1}).fit(X, y)
    names = np.array([np.str_("abc"[k]) for k in y], dtype=object)
    with pytest.raises(ValueError, match=r"has no weight for class 'c' \(1 such"):
        model.set_params(target_prior={"a": 1, "b": 1}).fit(X, names)
    known = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, names))
    with pytest.raises(ValueError, match=r"y has the label 'd', which"):
        PriorCorrectedClassifier(known).fit(X, np.array([np.str_("d")] * 150, dtype=object))
    with pytest.raises(ValueError, match=r"no sample of class 'c' \(1 such"):
        PriorCorrectedClassifier(known).fit(X[:100], names[:100])
