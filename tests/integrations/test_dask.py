"""partial_fit_dask: arrays, dataframes and bags on a real LocalCluster give what one fit gives."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

dask_array = pytest.importorskip("dask.array")

from dask import bag as dask_bag  # noqa: E402

from equiangular.integrations.closed_form import ClosedFormClassifier  # noqa: E402
from equiangular.integrations.dask import partial_fit_dask  # noqa: E402

CHUNKS = (40, 1, 100, 59)


def digits(dtype=np.float64):
    X, y = load_digits(return_X_y=True)
    order = np.argsort(y[:200], kind="stable")  # partitions with few classes each
    return (X[:200][order] / 16).astype(dtype), np.array(list("abcdefghij"))[y[:200][order]]


def arrays(X, y):
    return dask_array.from_array(X, chunks=(CHUNKS, 20)), dask_array.from_array(y, chunks=50)


def frames(X, y):
    dataframe = pytest.importorskip("dask.dataframe")
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(64)]).assign(label=y)
    both = dataframe.from_pandas(table, npartitions=3)
    return both.drop(columns="label"), both["label"]


def bags(X, y):
    pairs = [(X[i : i + 30], y[i : i + 30]) for i in range(0, len(y), 30)]
    return (dask_bag.from_sequence([*pairs, (X[:0], y[:0])], npartitions=3),)


def check(kind: str, collections, X, y) -> None:
    whole = ClosedFormClassifier(kind, width=50).fit(X, y)
    found = partial_fit_dask(ClosedFormClassifier(kind, width=50), *collections(X, y))
    assert found.classes_.tolist() == whole.classes_.tolist()
    assert found.class_count_.tolist() == whole.class_count_.tolist()
    if collections is frames:
        X = pd.DataFrame(X, columns=[f"x{i}" for i in range(64)])
    np.testing.assert_allclose(found.decision_function(X), whole.decision_function(np.asarray(X)), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_on_a_local_cluster() -> None:
    from distributed import Client, LocalCluster

    X, y = digits()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as cluster,
        Client(cluster),
    ):
        for collections in (arrays, frames, bags):
            check("gaussian", collections, X, y)
        check("kernel", arrays, X, y)


@pytest.mark.parametrize("collections", [arrays, frames, bags])
@pytest.mark.parametrize("kind", ["ridge", "random-features"])
def test_on_threads(kind: str, collections) -> None:
    check(kind, collections, *digits())


def test_half_precision_is_summed_in_float64() -> None:
    """dask's own mean of float16 adds up in float16: 0.14 instead of 0.45 at 50,000 rows."""
    X, y = np.full((20_000, 2), 0.45, dtype=np.float16), np.arange(20_000) % 2
    model = partial_fit_dask(ClosedFormClassifier("class-means"), *arrays_of(X, y))
    np.testing.assert_allclose(model.closed_form_.seen.mean.numpy(), np.float64(np.float16(0.45)), rtol=1e-12)


def arrays_of(X, y):
    return dask_array.from_array(X, chunks=(7000, 2)), dask_array.from_array(y, chunks=7000)


def test_samples_are_added_with_their_weights() -> None:
    X, y = digits()
    weight = np.arange(200) % 3
    whole = ClosedFormClassifier("ridge").fit(X, y, sample_weight=weight)
    x, labels = arrays(X, y)
    model = partial_fit_dask(ClosedFormClassifier("ridge"), x, labels, sample_weight=dask_array.from_array(weight))
    np.testing.assert_allclose(model.decision_function(X), whole.decision_function(X), rtol=1e-7, atol=1e-9)
    twice = partial_fit_dask(model, x, labels)
    assert twice.class_count_.sum() == weight.sum() + 200


def test_what_does_not_match_is_told() -> None:
    X, y = digits()
    x, labels = arrays(X, y)
    with pytest.raises(ValueError, match="X has 200 rows in other chunks than the 100"):
        partial_fit_dask(ClosedFormClassifier(), x, labels[:100])
    with pytest.raises(ValueError, match="no samples"):
        partial_fit_dask(ClosedFormClassifier(), dask_bag.from_sequence([(X[:0], y[:0])], npartitions=1))
