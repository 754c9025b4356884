"""Texts as TF-IDF features: enough for a head to be compared on, without a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from equiangular._extras import require
from equiangular._validate import check_int

MAX_FEATURES = 4096


def tfidf_features(
    train: Sequence[str], test: Sequence[str], *, max_features: int = MAX_FEATURES
) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF of words and word pairs; vocabulary and document frequencies from the training texts alone.

    tf-idf(t, x) = (1 + ln tf(t, x)) (1 + ln((1 + n) / (1 + df(t)))), rows scaled to length 1 (scikit-learn's
    ``TfidfVectorizer`` with sublinear tf).

    Args:
        train: n training texts.
        test: m test texts.
        max_features: see :func:`fit_vocabulary`.

    Returns:
        float32 arrays (n, d) and (m, d).

    Example:
        >>> a, b = tfidf_features(["pay the bill", "lost card"], ["pay by card"])
        >>> a.shape, int((b > 0).sum())
        ((2, 8), 2)
    """
    vocabulary = fit_vocabulary(train, max_features=max_features)
    return vocabulary_features(train, vocabulary), vocabulary_features(test, vocabulary)


def fit_vocabulary(texts: Sequence[str], *, max_features: int = MAX_FEATURES) -> dict[str, Any]:
    """The terms of training texts and their inverse document frequencies, JSON-plain: all that new texts need.

    Args:
        texts: n training texts.
        max_features: size of the vocabulary at most, the most frequent terms.

    Returns:
        ``{"terms": d strings, "idf": d numbers 1 + ln((1 + n) / (1 + df))}``.

    Raises:
        ValueError: no text, or none that contains a word.
        ImportError: scikit-learn is missing.

    Example:
        >>> fit_vocabulary(["lost card", "card"])["terms"]
        ['card', 'lost', 'lost card']
    """
    check_int(max_features, "max_features", minimum=1)
    vectorizer = _vectorizer(max_features=max_features)
    try:
        vectorizer.fit(list(texts))
    except ValueError as error:
        raise ValueError(f"no vocabulary can be made of {len(texts)} training texts: {error}.") from error
    return {"terms": vectorizer.get_feature_names_out().tolist(), "idf": vectorizer.idf_.tolist()}


def vocabulary_features(texts: Sequence[str], vocabulary: dict[str, Any]) -> np.ndarray:
    """TF-IDF features of texts by a vocabulary of :func:`fit_vocabulary`.

    Args:
        texts: n texts; one without a known term has zeros.
        vocabulary: its terms and inverse document frequencies.

    Returns:
        (n, d) float32, rows of length 1 or 0.

    Raises:
        ValueError: the vocabulary is not one, or its lists differ in length.

    Example:
        >>> vocabulary_features(["my card"], fit_vocabulary(["lost card", "card"]))
        array([[1., 0., 0.]], dtype=float32)
    """
    try:
        terms, idf = list(vocabulary["terms"]), np.asarray(vocabulary["idf"], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a vocabulary has lists 'terms' and 'idf', got {str(vocabulary)[:80]!r}.") from error
    if not len(terms) or idf.shape != (len(terms),):
        raise ValueError(f"a vocabulary has as many idf as terms, got {idf.size} for {len(terms)}.")
    vectorizer = _vectorizer(vocabulary=terms)
    vectorizer.idf_ = idf
    return vectorizer.transform(list(texts)).toarray()


def _vectorizer(**options: Any) -> Any:
    module = require("sklearn.feature_extraction.text", extra="train", purpose="TF-IDF features of texts")
    return module.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **options)
