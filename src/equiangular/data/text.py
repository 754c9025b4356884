"""Texts as TF-IDF features: enough for a head to be compared on, without a language model."""

from __future__ import annotations

from collections.abc import Sequence

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
        max_features: size of the vocabulary at most, the most frequent terms.

    Returns:
        float32 arrays (n, d) and (m, d).

    Raises:
        ValueError: no training text, or none that contains a word.
        ImportError: scikit-learn is missing.

    Example:
        >>> a, b = tfidf_features(["pay the bill", "lost card"], ["pay by card"])
        >>> a.shape, int((b > 0).sum())
        ((2, 8), 2)
    """
    check_int(max_features, "max_features", minimum=1)
    module = require("sklearn.feature_extraction.text", extra="train", purpose="TF-IDF features of texts")
    vectorizer = module.TfidfVectorizer(
        ngram_range=(1, 2), max_features=max_features, sublinear_tf=True, dtype=np.float32
    )
    try:
        features = vectorizer.fit_transform(list(train))
    except ValueError as error:
        raise ValueError(f"no vocabulary can be made of {len(train)} training texts: {error}.") from error
    return features.toarray(), vectorizer.transform(list(test)).toarray()
