"""The vocabulary of texts, stored and read back, against scikit-learn fitted in one go."""

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from equiangular.data.texts import fit_vocabulary, vocabulary_features

TRAIN = ["pay the bill", "lost card", "the card was lost again", "pay by card"]
TEST = ["card again", "unknown words only", "the the bill"]


@pytest.mark.parametrize("max_features", [4, 4096])
def test_against_scikit_learn(max_features: int) -> None:
    whole = TfidfVectorizer(ngram_range=(1, 2), max_features=max_features, sublinear_tf=True, dtype=np.float32)
    expected = whole.fit_transform(TRAIN).toarray(), whole.transform(TEST).toarray()
    vocabulary = fit_vocabulary(TRAIN, max_features=max_features)
    for texts, wanted in zip((TRAIN, TEST), expected, strict=True):
        got = vocabulary_features(texts, vocabulary)
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == np.float32


def test_a_vocabulary_survives_json() -> None:
    vocabulary = fit_vocabulary(TRAIN)
    again = json.loads(json.dumps(vocabulary))
    np.testing.assert_array_equal(vocabulary_features(TEST, again), vocabulary_features(TEST, vocabulary))
    assert not vocabulary_features(TEST, again)[1].any()


@pytest.mark.parametrize("bad", [{}, {"terms": ["a"]}, {"terms": ["a"], "idf": [1.0, 2.0]}, {"terms": [], "idf": []}])
def test_bad_vocabularies(bad: dict) -> None:
    with pytest.raises(ValueError, match="a vocabulary has"):
        vocabulary_features(TEST, bad)
    with pytest.raises(ValueError, match="no vocabulary can be made of 1 training texts"):
        fit_vocabulary(["?"])
