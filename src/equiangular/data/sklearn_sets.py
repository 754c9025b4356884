"""The small real data sets that come with scikit-learn: no download."""

from __future__ import annotations

import numpy as np
import torch

from equiangular._extras import require
from equiangular._validate import check_int
from equiangular.data.base import Dataset, balanced_test_split

# Name: test samples per class, what it is.
SKLEARN_SETS = {
    "digits": (50, "Optical recognition of handwritten digits, UCI (the test part of the original)"),
    "wine": (15, "Wine recognition, UCI"),
    "breast_cancer": (60, "Breast cancer Wisconsin (diagnostic), UCI"),
    "iris": (15, "Iris plants, UCI"),
}


def load_sklearn(name: str, *, split_seed: int = 0) -> Dataset:
    """Load one of scikit-learn's bundled sets with a balanced test part.

    The test part is taken first, the same number of samples of every class, drawn with ``split_seed``; the rest is the
    training pool. Test accuracy therefore equals balanced accuracy.

    - ``digits``: 1797 grey images as (N, 1, 8, 8) uint8, the source's values 0..16 scaled to 0..255; 50 test samples
      of each of 10 classes, 124 to 133 left for training.
    - ``wine`` (13 features, 3 classes, 15 test samples each), ``breast_cancer`` (30, 2, 60), ``iris`` (4, 3, 15):
      float32 tables as they are, not standardised.

    Args:
        name: one of the four.
        split_seed: seed of the test split; keep it while subsets and trainings vary.

    Raises:
        ValueError: another name.
        ImportError: scikit-learn is missing.

    Example:
        >>> data = load_sklearn("digits")
        >>> tuple(data.train_x.shape), tuple(data.test_x.shape), int(data.train_counts.min())
        ((1297, 1, 8, 8), (500, 1, 8, 8), 124)

    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998
    (CC BY 4.0), and the other sets' pages there.
    """
    if name not in SKLEARN_SETS:
        raise ValueError(f"no scikit-learn set {name!r}; there are: {', '.join(SKLEARN_SETS)}.")
    check_int(split_seed, "split_seed", minimum=0)
    per_class, title = SKLEARN_SETS[name]
    datasets = require("sklearn.datasets", extra="train", purpose=f"The data set {name!r}")
    bunch = getattr(datasets, f"load_{name}")()
    labels = bunch.target.astype(np.int64)
    if name == "digits":
        inputs = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    else:
        inputs = torch.from_numpy(bunch.data.astype(np.float32))
    train, test = (torch.from_numpy(part) for part in balanced_test_split(labels, per_class, seed=split_seed))
    target = torch.from_numpy(labels)
    return Dataset(
        name,
        inputs[train],
        target[train],
        inputs[test],
        target[test],
        tuple(str(c) for c in bunch.target_names),
        "image" if name == "digits" else "table",
        f"{title}, bundled with scikit-learn; test: {per_class} per class, split seed {split_seed}",
        "CC BY 4.0",
    )
