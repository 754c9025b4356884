"""Texts as they are, for an encoder to read, and as TF-IDF features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._extras import require
from equiangular._validate import check_int


class Texts:
    """Texts indexed like a tensor (N,) of strings.

    Args:
        values: N strings.

    Attributes:
        shape: (N,).

    Example:
        >>> texts = Texts(["one", "two", "three"])
        >>> texts.shape, list(texts[torch.tensor([2, 0])])
        (torch.Size([3]), ['three', 'one'])
    """

    dtype: Any = str
    ndim = 1

    def __init__(self, values: Iterable[str]) -> None:
        self.values = [str(value) for value in values]

    @property
    def shape(self) -> torch.Size:
        """(N,)."""
        return torch.Size([len(self.values)])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        """One text for one position, :class:`Texts` for a tensor, array, list or slice of positions."""
        if isinstance(index, slice):
            return Texts(self.values[index])
        chosen = np.asarray(index)
        return Texts(self.values[int(i)] for i in chosen) if chosen.ndim else self.values[int(chosen)]


MAX_FEATURES = 4096


def fit_vocabulary(texts: Sequence[str], *, max_features: int = MAX_FEATURES) -> dict[str, Any]:
    """The terms of training texts and their inverse document frequencies, JSON-plain: all that new texts need.

    ``{"terms": d strings, "idf": d numbers 1 + ln((1 + n) / (1 + df))}``, of the ``max_features`` most frequent terms
    at most.

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
    """TF-IDF of words and word pairs, (n, d) float32, of n texts by a vocabulary of :func:`fit_vocabulary`.

    tf-idf(t, x) = (1 + ln tf(t, x)) idf(t), rows scaled to length 1, or 0 for a text without a known term
    (scikit-learn's ``TfidfVectorizer`` with sublinear tf).

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


def text_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends; a byte order mark is no part of the first."""
    with file.open(encoding="utf-8-sig", newline=None) as stream:  # which makes every end of a line \n
        return [line.removesuffix("\n") for line in stream]
