"""Estimators behind skrub's encoding, imputation and scaling of raw tables."""

import numpy as np
import pytest

from equiangular import ETFClassifier, PriorCorrectedClassifier

skrub = pytest.importorskip("skrub")
pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("wrap", [lambda model: model, PriorCorrectedClassifier])
def test_a_raw_frame(wrap) -> None:
    """Numbers with gaps, levels, dates and truth values, as they come; the level says the class."""
    rng = np.random.default_rng(0)
    y = np.repeat(["adelie", "gentoo"], 60)
    frame = pd.DataFrame({
        "mass": np.where(rng.random(120) < 0.1, np.nan, rng.normal(size=120)),
        "island": np.where(y == "adelie", "Torgersen", "Biscoe"),
        "seen": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, 120), unit="D"),
        "ringed": rng.random(120) < 0.5,
    })  # fmt: skip
    model = wrap(skrub.tabular_pipeline(ETFClassifier(random_state=0)))
    model.fit(frame[::2], y[::2])
    assert model.score(frame[1::2], y[1::2]) > 0.95
    assert model.predict_proba(frame[1:3]).shape == (2, 2)
