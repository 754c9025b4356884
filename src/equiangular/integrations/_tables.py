"""Tables handed to an estimator: scikit-learn's check, with the columns named that are no numbers."""

from __future__ import annotations

from typing import Any

from equiangular._extras import require
from equiangular.integrations._arrays import numpy_of

_validation = require("sklearn.utils.validation", extra="sklearn", purpose="Estimators")

# How the names of types begin, in any case of the letters, in pandas, polars and Arrow.
_DATES = ("date", "time", "duration", "period", "interval")
_TEXTS = ("object", "str", "large_string", "category", "categorical", "enum", "dictionary", "list", "struct", "binary")


def validated(estimator: Any, X: Any, *labels: Any, **options: Any) -> Any:
    """What scikit-learn's ``validate_data`` makes of a table X, or of it and its labels.

    Raises:
        ValueError: what scikit-learn refuses; of a DataFrame with columns that are no numbers, these by their names.
            Dates and spans of time are among them: as numbers they would be nanoseconds in one library and
            microseconds in the other.
    """
    types = column_types(X)
    dates = {name: kind for name, kind in types.items() if kind.lower().startswith(_DATES)}
    if dates:
        raise ValueError(_message(estimator, dates))
    try:
        return _validation.validate_data(estimator, numpy_of(X), *map(numpy_of, labels), **options)
    except (TypeError, ValueError) as error:
        texts = {name: kind for name, kind in types.items() if kind.lower().startswith(_TEXTS)}
        if not texts or "feature names" in str(error) or "NaN" in str(error):
            raise
        raise ValueError(_message(estimator, texts)) from error


def column_types(X: Any) -> dict[str, str]:
    """The types of the columns of a DataFrame of pandas or polars, or of an Arrow table, by name; {} of all else.

    Example:
        >>> import pyarrow as pa
        >>> column_types(pa.table({"size": [1.5], "kind": ["a"]})), column_types([[1.5]])
        ({'size': 'double', 'kind': 'string'}, {})
    """
    if hasattr(X, "dtypes") and hasattr(X, "columns"):
        return {str(name): str(kind) for name, kind in zip(X.columns, X.dtypes, strict=True)}
    if hasattr(X, "schema") and hasattr(X, "column_names"):
        return {field.name: str(field.type) for field in X.schema}
    return {}


def _message(estimator: Any, columns: dict[str, str]) -> str:
    named = [f"{name!r} ({kind})" for name, kind in columns.items()]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    kind = type(estimator).__name__
    return (
        f"{kind} takes numbers, and X has other columns: {', '.join(named[:3])}{more}. Put an encoder in front of it, "
        f"such as make_pipeline(skrub.TableVectorizer(), {kind}()) or scikit-learn's ColumnTransformer."
    )
