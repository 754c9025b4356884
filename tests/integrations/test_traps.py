"""Where libraries around this work give another answer: our value, and theirs configured around the trap.

Versions: scikit-learn 1.9, dask 2026.8. Other traps have their test beside what they touch.
"""

import dask.dataframe as dask_frame
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, RidgeClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid

from equiangular import ClosedFormClassifier, PriorCorrectedClassifier, calibrate_scale
from equiangular.integrations.dask import partial_fit_dask

pytestmark = pytest.mark.filterwarnings("default::FutureWarning:dask")


def test_nearest_centroid_under_uniform_priors_contradicts_itself() -> None:
    """predict differs from the argmax of predict_proba for 49 of 178 wines; with empirical priors it does not."""
    X, y = load_wine(return_X_y=True)
    around = NearestCentroid(priors="empirical").fit(X, y)
    corrected = PriorCorrectedClassifier(NearestCentroid(priors="empirical"), "uniform", calibrate=False).fit(X, y)
    for model in (around, corrected, ClosedFormClassifier("class-means").fit(X, y)):
        assert (model.predict(X) == model.classes_[model.predict_proba(X).argmax(1)]).all()


def test_a_temperature_of_samples_that_are_all_right_is_no_temperature() -> None:
    """CalibratedClassifierCV returns the first point of its line search, 10.6, at any scale of the scores.

    Ours declines. Where samples are classified wrong both find the same scale.
    """
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    apart, mixed = (rng.normal(size=(600, 3)) + distance * np.eye(3)[y] for distance in (12, 1.5))
    with pytest.warns(UserWarning, match="all 600 held-out samples are classified right"):
        declined = PriorCorrectedClassifier(LogisticRegression(), [1, 2, 3], calibrate=True).fit(apart, y)
    assert declined.calibration_ == (1.0, 0.0)
    assert not ClosedFormClassifier("class-means").fit(apart, y).closed_form_.solve().calibrated

    base = LogisticRegression(C=1e-3).fit(mixed[:300], y[:300])
    around = CalibratedClassifierCV(FrozenEstimator(base), method="temperature").fit(mixed[300:], y[300:])
    theirs = around.calibrated_classifiers_[0].calibrators[0].beta_
    ours = calibrate_scale(
        torch.from_numpy(base.decision_function(mixed[300:])),
        torch.from_numpy(y[300:]),
        [1, 1, 1],
        logit_prior=[1, 1, 1],
    )
    assert ours == pytest.approx(theirs, rel=0.1)  # ours has a weak prior
    assert ours > 2  # so strong a penalty makes scores too small


def test_the_best_score_of_two_classes_is_no_accuracy() -> None:
    """RidgeClassifierCV(scoring="accuracy") scores noise 1.0 and takes its first alpha; a grid search does not."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(100, 30)), np.arange(100) % 2
    values = [0.1, 10.0, 1000.0, 1e5]
    trapped = RidgeClassifierCV(values, scoring="accuracy").fit(X, y)
    around = GridSearchCV(RidgeClassifier(), {"alpha": values}, cv=5).fit(X, y)
    chosen = ClosedFormClassifier("ridge").fit(X, y).closed_form_.solve().chosen["regularization"]
    assert around.best_score_ < 0.65
    assert chosen > 10 * trapped.alpha_ / len(X)  # ours is relative to N: noise takes much


def test_dask_takes_variances_by_a_difference_of_sums() -> None:
    """Its groupby().var() of values around 1e8 is rounding; ours merges centred moments. Around it: centre first."""
    rng = np.random.default_rng(0)
    y = np.arange(4000) % 2
    x = 1e8 + rng.normal(size=(4000, 1))
    deviation = x - np.array([x[y == k].mean() for k in (0, 1)])[y][:, None]
    expected = float((deviation**2).sum())
    frame = dask_frame.from_pandas(pd.DataFrame({"x": x[:, 0]}), npartitions=4)
    labels = dask_frame.from_pandas(pd.Series(y, name="y"), npartitions=4)
    found = float(partial_fit_dask(ClosedFormClassifier("gaussian"), frame, labels).closed_form_.seen.scatter)
    assert found == pytest.approx(expected, rel=1e-7)
    centred = dask_frame.from_pandas(pd.DataFrame({"x": x[:, 0] - x.mean(), "y": y}), npartitions=4)
    around = centred.groupby("y").x.var().compute() * (2000 - 1)
    assert float(around.sum()) == pytest.approx(expected, rel=1e-7)
