"""DataFrames in the scikit-learn estimators: as scikit-learn has it, or refused by column; skrub in front of them."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.test_doors_tables import penguins

from equiangular import ClosedFormClassifier, ETFClassifier, PriorCorrectedClassifier

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

N = 60
NUMBERS = {"a": np.random.default_rng(0).normal(size=N), "b": np.arange(N) % 9}
Y = np.array(["x", "y"] * 30)
ESTIMATORS = {"etf": ETFClassifier(epochs=3, random_state=0), "closed form": ClosedFormClassifier("ridge")}
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
DAYS = pd.date_range("2020-01-01", periods=N).to_numpy()
ODD = {
    "texts": [("u", "v")[i % 2] for i in range(N)], "dates": DAYS, "spans": DAYS - DAYS[0],
    "numbers among texts": ["1", "two"] * 30,
}  # fmt: skip


@pytest.fixture(params=ESTIMATORS)
def estimator(request):
    return clone(ESTIMATORS[request.param])


@pytest.mark.parametrize("library", FRAMES)
def test_frames_of_numbers_give_what_their_array_gives(estimator, library):
    array = np.column_stack(list(NUMBERS.values()))
    wanted = clone(estimator).fit(array, Y).predict_proba(array)
    model = estimator.fit(FRAMES[library](NUMBERS), Y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(model.predict_proba(FRAMES[library](NUMBERS)), wanted)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("library", FRAMES)
def test_other_columns_are_refused_by_name(estimator, library, odd):
    alone, beside = (FRAMES[library]({**more, "t": ODD[odd]}) for more in ({}, NUMBERS))
    message = r"takes numbers, and X has other columns: 't' \(.*make_pipeline\(skrub.TableVectorizer\(\)"
    for frame in (alone, beside):
        with pytest.raises(ValueError, match=message):
            clone(estimator).fit(frame, Y)
    fitted = estimator.fit(FRAMES[library]({**NUMBERS, "t": np.arange(N) % 5}), Y)
    with pytest.raises(ValueError, match=message):
        fitted.predict(beside)


def test_categories_and_missing_values(estimator):
    frame = pd.DataFrame(NUMBERS)
    with pytest.raises(ValueError, match=r"'t' \(category\)"):
        estimator.fit(frame.assign(t=pd.Categorical(["u", "v"] * 30)), Y)
    assert estimator.fit(frame.assign(t=pd.Categorical([1, 2] * 30)), Y).n_features_in_ == 3
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit(frame.assign(t=[None, 1.5] * 30), Y)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.fit(frame, Y).predict(frame.assign(t=["u", "v"] * 30))


def test_a_column_too_large_is_named_without_a_warning(estimator):
    frame = pd.DataFrame(NUMBERS).assign(t=[1e300, 2.0] * 30)
    with pytest.raises(ValueError, match=r"(column 2 of X is too large|features are too large)"):
        estimator.fit(frame, Y).predict(frame)


def test_a_column_transformer_in_front(estimator):
    frame = pd.DataFrame({**NUMBERS, "t": ODD["texts"]})
    encoder = make_column_transformer((OneHotEncoder(sparse_output=False), ["t"]), (StandardScaler(), ["a", "b"]))
    model = make_pipeline(encoder, estimator).fit(frame, Y)
    assert model.score(frame, Y) == 1  # the text says which class it is


SKRUB = {
    "ETFClassifier": ETFClassifier(epochs=15, random_state=0),
    "ClosedFormClassifier": ClosedFormClassifier(),
    "PriorCorrectedClassifier": PriorCorrectedClassifier(LogisticRegression(max_iter=500), target_prior="uniform"),
}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", SKRUB)
def test_skrub_in_front_of_each_estimator(name, library):
    skrub = pytest.importorskip("skrub")
    frames = [pd.DataFrame(penguins(200, seed=seed)) for seed in (0, 1)]
    labels = [frame.pop("Species").to_numpy() for frame in frames]
    frames = [frame.drop(columns="Individual ID").fillna({"Culmen (mm)": 45.0}) for frame in frames]
    frames = [pl.from_pandas(frame) if library == "polars" else frame for frame in frames]
    columns = skrub.TableVectorizer(high_cardinality=skrub.StringEncoder(random_state=0))
    model = make_pipeline(columns, StandardScaler(), SKRUB[name]).fit(frames[0], labels[0])
    assert model.score(frames[1], labels[1]) > 0.85
    # By hand: the same table through skrub's transformer, then the estimator.
    encoder = make_pipeline(clone(columns), StandardScaler())
    by_hand = clone(SKRUB[name]).fit(encoder.fit_transform(frames[0]), labels[0])
    np.testing.assert_allclose(
        model.predict_proba(frames[1]), by_hand.predict_proba(encoder.transform(frames[1])), atol=1e-12
    )
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frames[1]), model.predict(frames[1]))


def test_skrub_in_a_cross_validation_and_by_its_shortcut():
    skrub = pytest.importorskip("skrub")
    frame = pd.DataFrame(penguins(150))
    labels = frame.pop("Species")
    model = skrub.tabular_pipeline(ClosedFormClassifier())
    assert cross_val_score(model, frame.drop(columns="Individual ID"), labels, cv=3).mean() > 0.85
