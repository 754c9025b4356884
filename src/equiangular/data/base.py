"""The one form all data takes: arrays in memory, a training pool and a test part, class names."""

import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_choice, did_you_mean
from equiangular.data.encoded import EncodedImages
from equiangular.data.texts import Texts
from equiangular.longtail.cut import draw_by_class, holdout_counts, holdout_indices

SCALINGS = ("auto", "shared", "columns")
_WIDER = 100  # times the median deviation: beyond, one column is nearly all that distances and products see
KINDS = ("image", "table", "text", "vectors")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set with a training pool and a test part.

    The long-tail cut and the validation part are taken from the training pool; the test part is left as it is.

    Attributes:
        name: short name.
        train_x: images (N, C, H, W) uint8, as a tensor or still encoded, or rows (N, d) float32 for tables, texts and
            vectors. Texts that an encoder is to read are :class:`equiangular.data.Texts`.
        train_y: (N,) int64 class indices.
        test_x: like ``train_x``, (M, ...).
        test_y: (M,) int64 class indices.
        class_names: K names; the index is the label.
        kind: ``"image"``, ``"table"``, ``"text"`` (texts come as features, such as TF-IDF) or ``"vectors"``
            (an encoder's features: one scale for all columns, so that angles stay what they are).
        source: where the data comes from, and how the test part was chosen.
        licence: as far as the source states one.
        columns: of a table: d names of its columns, in order, where the source names them.
        vocabulary: of texts: what made features of them, see :func:`equiangular.data.tables.fit_vocabulary`.
        encoder: of vectors: the encoder that made them, see :func:`equiangular.encoders.describe`, where it is known.
        names_features: of vectors: (K, d) float32, the encoder's vectors of the class names, where it reads texts.
        scaling: of vectors: ``"shared"``, one number for all columns, or ``"columns"``, each by its own mean and
            deviation as in a table; ``"auto"`` becomes the second where no encoder is known and the widest column is
            more than a hundred times as wide as the median one.

    Raises:
        ValueError: a shape or dtype that does not fit, a label out of range, or a class without training samples.

    Example:
        >>> x, y = torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])
        >>> data = Dataset("demo", x, y, x[:2], y[:2], ("a", "b"), "table", "made up")
        >>> data.num_classes, data.input_shape, data.train_counts.tolist()
        (2, (3,), [2, 2])
    """

    name: str
    train_x: Tensor | EncodedImages | Texts
    train_y: Tensor
    test_x: Tensor | EncodedImages | Texts
    test_y: Tensor
    class_names: tuple[str, ...]
    kind: str
    source: str
    licence: str = "not stated"
    columns: tuple[str, ...] | None = None
    vocabulary: dict[str, Any] | None = None
    encoder: dict[str, Any] | None = None
    names_features: Tensor | None = None
    scaling: str = "auto"

    def __post_init__(self) -> None:
        check_choice(self.kind, KINDS, "kind")
        check_choice(self.scaling, SCALINGS, "scaling")
        if len(self.class_names) < 2:
            raise ValueError(f"data set {self.name!r} has {len(self.class_names)} class(es); a classifier needs two.")
        known: dict[str, int] = {}
        for label, name in enumerate(self.class_names):
            first = known.setdefault(unicodedata.normalize("NFC", name).strip(), label)
            if first != label:
                raise ValueError(
                    f"data set {self.name!r} names two classes alike: {self.class_names[first]!r} (label {first}) and "
                    f"{name!r} (label {label}). Rename one, or make them one class."
                )
        for part in ("train", "test"):
            self._check_part(part, getattr(self, f"{part}_x"), getattr(self, f"{part}_y"))
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise ValueError(
                f"data set {self.name!r}: training inputs have shape {tuple(self.train_x.shape[1:])}, test inputs "
                f"{tuple(self.test_x.shape[1:])}; they must agree."
            )
        names = self.names_features
        if names is not None and tuple(names.shape) != (self.num_classes, *self.input_shape):
            expected = (self.num_classes, *self.input_shape)
            raise ValueError(
                f"data set {self.name!r}: names_features must have shape {expected}, got {tuple(names.shape)}."
            )
        if self.scaling == "auto":  # here, so that a part of the data has what the whole has
            vectors = self.train_x if self.kind == "vectors" and self.encoder is None else None
            columns = isinstance(vectors, Tensor) and uneven(vectors)
            object.__setattr__(self, "scaling", "columns" if columns else "shared")
        missing = np.flatnonzero(self.train_counts == 0)
        if len(missing):
            raise ValueError(
                f"data set {self.name!r}: no training sample of class {self.class_names[missing[0]]!r} (label "
                f"{missing[0]}; {len(missing)} such classes). Add samples, or drop the class and relabel 0..K-1."
            )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (C, H, W) or (d,)."""
        return tuple(self.train_x.shape[1:])

    @property
    def train_counts(self) -> np.ndarray:
        """(K,) int64: training samples per class."""
        return np.bincount(self.train_y.numpy(), minlength=self.num_classes)

    def _check_part(self, part: str, x: Tensor | EncodedImages | Texts, y: Tensor) -> None:
        where = f"data set {self.name!r}, {part} part"
        rank, dtype = (4, torch.uint8) if self.kind == "image" else (2, torch.float32)
        if self.kind == "text" and isinstance(x, Texts):
            rank, dtype = x.ndim, x.dtype
        array = isinstance(x, (Tensor, EncodedImages, Texts))
        if not array or x.ndim != rank or x.dtype != dtype:
            got = f"{x.dtype} of shape {tuple(x.shape)}" if array else type(x).__name__
            form = "(N, C, H, W)" if rank == 4 else "(N, d)"
            raise ValueError(f"{where}: inputs of kind {self.kind!r} must be {dtype} of shape {form}, got {got}.")
        if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.shape != x.shape[:1]:
            got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"{where}: labels must be torch.int64 of shape ({x.shape[0]},), got {got}.")
        if not len(y):
            raise ValueError(f"{where} is empty.")
        if isinstance(x, Tensor) and rank == 2 and not torch.isfinite(x).all():
            row, column = (int(i) for i in (~torch.isfinite(x)).nonzero()[0])
            value = x[row, column].item()
            raise ValueError(f"{where}: row {row}, column {column} is {value}. Drop the row or fill the value in.")
        outside = ((y < 0) | (y >= self.num_classes)).nonzero().flatten()
        if len(outside):
            row = int(outside[0])
            raise ValueError(
                f"{where}: row {row} has label {int(y[row])}, outside [0, {self.num_classes - 1}] "
                f"for {self.num_classes} classes."
            )


def uneven(vectors: Tensor) -> bool:
    """Whether the widest column is more than a hundred times as wide as the median of those that vary.

    So are tables in the units of their columns. An encoder's vectors are not: they may have columns that hardly vary,
    such as those of a dead ReLU, which harm nobody and which a scale of their own would blow up.

    Example:
        >>> x = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
        >>> uneven(x), uneven(x * torch.tensor([1.0, 1, 1, 1, 1e-4])), uneven(x * torch.tensor([1.0, 1, 1, 1, 1e4]))
        (False, False, True)
    """
    if len(vectors) < 2:
        return False
    spread = vectors.std(0)
    spread = spread[spread > 0]
    return bool(len(spread)) and float(spread.max() / spread.median()) > _WIDER


def relabel(
    labels: np.ndarray, class_names: tuple[str, ...] | None, *, where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn labels into indices 0..K-1 with names.

    Integer labels that come with names are indices already. Other labels, strings or integers, are numbered in
    ascending order and named after themselves.

    Example:
        >>> relabel(np.array([3, 9, 3]), None, where="demo")
        (array([0, 1, 0]), ('3', '9'))
    """
    labels = np.asarray(labels)
    if class_names is None:
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), tuple(str(v) for v in values)
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64), class_names
    position = {name: i for i, name in enumerate(class_names)}
    unknown = [label for label in labels.tolist() if str(label) not in position]
    if unknown:
        raise ValueError(
            f"{where}: label {unknown[0]!r} is not among the {len(class_names)} classes"
            f"{did_you_mean(unknown[0], class_names)}"
        )
    return np.array([position[str(label)] for label in labels.tolist()], dtype=np.int64), class_names


TEST_FRACTION = 0.2


def own_test_split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Indices of the training pool and of a seeded fifth of every class for testing, and a note that says so."""
    if not len(labels):
        raise ValueError("the data have no samples at all. Is it the right file?")
    _, counts = np.unique(labels, return_counts=True)
    if not holdout_counts(counts, TEST_FRACTION).any():
        raise ValueError(
            f"the data have no test part, and none can be taken: the largest class has {counts.max()} samples, of "
            f"which {TEST_FRACTION:.0%} is less than one. Give a test part of your own, or more samples of a class."
        )
    test = holdout_indices(labels, TEST_FRACTION, seed=seed)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return train, test, f"; test: {TEST_FRACTION:.0%} of each class, split seed {seed}"


def balanced_test_split(labels: np.ndarray, per_class: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Take ``per_class`` samples of every class for testing; the rest is the training pool.

    Each class has its own random stream of ``seed``.

    Example:
        >>> train, test = balanced_test_split(np.array([0, 0, 0, 1, 1]), 1, seed=0)
        >>> len(train), len(test)
        (3, 2)
    """
    classes, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    for c, count in zip(classes, counts, strict=True):
        if count <= per_class:
            raise ValueError(f"class {c} has {count} samples: too few to take {per_class} of them for testing.")
    chosen = draw_by_class(members, [per_class] * len(classes), seed, 2)
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
