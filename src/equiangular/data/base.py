"""The one form all data takes: arrays in memory, a training pool and a test part, class names."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._counted import counted
from equiangular._validate import check_choice, did_you_mean
from equiangular.data.doubts import doubtful_labels
from equiangular.data.encoded import EncodedImages
from equiangular.data.reading import Reading, apart_note, listed
from equiangular.data.texts import Texts
from equiangular.longtail.cut import class_positions, draw_by_class, holdout_counts, holdout_indices, others

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
        encoding: of a table read from a file: how its columns became numbers, see
            :class:`equiangular.data.columns.Columns`.
        vocabulary: of texts: what made features of them, see :func:`equiangular.data.texts.fit_vocabulary`.
        encoder: of vectors: the encoder that made them, see :func:`equiangular.encoders.describe`, where it is known.
        names_features: of vectors: (K, d) float32, the encoder's vectors of the class names, where it reads texts.
        holdout: (V,) int64 positions in the training pool that the source calls its validation part; None where it has
            none, and a part of the pool is held out.
        reading: what was found and decided while the data were read.
        notes: what was done to the data on the way in, a sentence each, for people.
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
    encoding: dict[str, Any] | None = None
    holdout: Tensor | None = None
    reading: Reading = field(default_factory=Reading)
    notes: tuple[str, ...] = ()
    scaling: str = "auto"

    def __post_init__(self) -> None:
        check_choice(self.kind, KINDS, "kind")
        check_choice(self.scaling, SCALINGS, "scaling")
        if len(self.class_names) < 2:
            raise ValueError(f"data set {self.name!r} has {len(self.class_names)} class(es); a classifier needs two.")
        check_names_differ(self.class_names, f"data set {self.name!r}")
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
        # A sum is quicker than a look at each number, and never finite where one is not.
        doubtful = isinstance(x, Tensor) and rank == 2 and not torch.isfinite(x.sum())
        if doubtful and isinstance(x, Tensor) and not torch.isfinite(x).all():
            row, column = (int(i) for i in (~torch.isfinite(x)).nonzero()[0])
            value = x[row, column].item()
            raise ValueError(f"{where}: row {row + 1}, column {column} is {value}. Drop the row or fill the value in.")
        outside = ((y < 0) | (y >= self.num_classes)).nonzero().flatten()
        if len(outside):
            row = int(outside[0])
            raise ValueError(
                f"{where}: row {row + 1} has label {int(y[row])}, outside [0, {self.num_classes - 1}] "
                f"for {self.num_classes} classes."
            )


def check_names_differ(names: Sequence[str], where: str) -> None:
    """Raise where two classes have one name, or names that differ in Unicode's form or in blanks at the ends alone.

    Example:
        >>> check_names_differ(["a", "b ", "b"], "demo")
        Traceback (most recent call last):
        ValueError: demo names two classes alike: 'b ' (label 1) and 'b' (label 2). Rename one, or make them one class.
    """
    known: dict[str, int] = {}
    for label, name in enumerate(names):
        first = known.setdefault(unicodedata.normalize("NFC", name).strip(), label)
        if first != label:
            raise ValueError(
                f"{where} names two classes alike: {names[first]!r} (label {first}) and {name!r} (label {label}). "
                "Rename one, or make them one class."
            )


def to_array(values: Any) -> np.ndarray:
    """An array, or a tensor as one; numbers that NumPy lacks, such as bfloat16, become float32."""
    if isinstance(values, Tensor):
        known = not values.is_floating_point() or values.dtype in (torch.float16, torch.float32, torch.float64)
        values = (values if known else values.float()).detach().cpu().numpy()
    return np.asarray(values)


def names_in_array(values: Any, where: str) -> list[Any]:
    """Class names that an array holds, as a list.

    Raises:
        ValueError: an array of other than one dimension.
    """
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{where}: class_names must be a list of texts, got an array of shape {found.shape}.")
    names: list[Any] = found.tolist()
    return names


def rows_at(inputs: Any, rows: np.ndarray) -> Any:
    """The inputs at these positions: a tensor is copied, encoded images stay encoded, texts are texts."""
    index = np.asarray(rows, dtype=np.int64)
    if isinstance(inputs, EncodedImages):
        return inputs.select(torch.from_numpy(index))
    if isinstance(inputs, Tensor) and inputs.device.type == "cpu" and inputs.dtype != torch.bfloat16:
        return torch.from_numpy(inputs.numpy().take(index, 0))  # NumPy asks for large pages: a third of the time
    return inputs[torch.from_numpy(index)]


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Inputs of two parts as one, such as those for training and for validation."""
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"training inputs have shape {tuple(first.shape[1:])}, validation inputs {tuple(second.shape[1:])}; they "
            "must agree."
        )
    return torch.cat([first, second])


def make_dataset(
    name: str,
    train: tuple[Any, np.ndarray],
    test: tuple[Any, np.ndarray] | None,
    class_names: Sequence[str],
    kind: str,
    source: str,
    *,
    holdout: np.ndarray | None = None,
    split_seed: int = 0,
    reading: Reading | None = None,
    notes: Sequence[str] = (),
    **more: Any,
) -> Dataset:
    """A data set of parts as they were read: the one place where labels, parts and classes are brought together.

    Without a test part a seeded fifth of every class is taken. A class without training samples is no class of the
    data set: its test samples are counted apart, and a note names it.

    Args:
        name: short name.
        train: inputs and (N,) labels of the training pool, indices into ``class_names``.
        test: those of the test part, or None; -1 in place of a label is a class that is not among the names.
        class_names: names; the index is the label.
        kind, source: see :class:`Dataset`.
        holdout: positions in the pool that are the validation part.
        split_seed: of the test part, where one is taken.
        reading: what was met so far; ``apart`` names the test samples whose label is -1.
        notes: those so far.
        more: other fields of :class:`Dataset`.

    Raises:
        ValueError: no test part can be taken, or what :class:`Dataset` refuses.

    Example:
        >>> x = torch.arange(4.0)[:, None]
        >>> data = make_dataset(
        ...     "demo", (x, np.array([0, 2, 0, 2])), (x, np.array([0, 1, 2, 1])), ("a", "b", "c"), "table", "made up"
        ... )
        >>> data.class_names, data.test_y.tolist(), dict(data.reading.apart)
        (('a', 'c'), [0, 1], {'b': 2})
    """
    reading, told = reading or Reading(), list(notes)
    inputs, labels = train
    told += doubtful_labels(class_names, len(labels) + (0 if test is None else len(test[1])), f"data set {name!r}")
    pool = np.arange(len(labels))
    if test is None:
        free = pool if holdout is None else np.setdiff1d(pool, holdout)
        kept, taken, note = own_test_split(labels[free], split_seed)
        source += note
        test = rows_at(inputs, free[taken]), labels[free[taken]]
        pool = free[kept] if holdout is None else np.union1d(free[kept], holdout)
        holdout = None if holdout is None else np.searchsorted(pool, holdout)
        inputs, labels = rows_at(inputs, pool), labels[pool]
    check_names_differ(class_names, f"data set {name!r}")
    own = labels if holdout is None else np.delete(labels, holdout)
    trained = np.bincount(own[own >= 0], minlength=len(class_names)) > 0
    in_range = trained.size == len(class_names) and labels.min(initial=0) >= 0 and test[1].max(initial=0) < len(trained)
    if in_range and (~trained).any() and trained.sum() > 1:
        new = np.where(trained, np.cumsum(trained) - 1, -1)
        absent = [class_names[i] for i in np.flatnonzero(~trained).tolist()]
        apart = Counter(dict(reading.apart)) + Counter(class_names[i] for i in test[1] if i >= 0 and not trained[i])
        if holdout is not None:
            known = trained[labels]
            holdout = np.flatnonzero(np.isin(np.flatnonzero(known), holdout))
            inputs, labels = rows_at(inputs, np.flatnonzero(known)), labels[known]
        labels, test = new[labels], (test[0], np.where(test[1] >= 0, new[test[1]], -1))
        class_names = [class_names[i] for i in np.flatnonzero(trained).tolist()]
        more = {
            k: v[torch.from_numpy(trained)] if k == "names_features" and v is not None else v for k, v in more.items()
        }
        reading = replace(reading, apart=dict(apart))
        told.append(f"classes without training samples, left out: {listed(absent, 6)}")
    if reading.apart:
        told.append(apart_note(reading.apart))
    known = np.flatnonzero(test[1] >= 0)
    if len(known) < len(test[1]):
        if not len(known):
            raise ValueError(
                f"data set {name!r}: no test sample is of a class that the training part has; "
                f"{apart_note(reading.apart)}{did_you_mean(next(iter(reading.apart), ''), class_names)}"
            )
        test = rows_at(test[0], known), test[1][known]
    train_y, test_y = (torch.from_numpy(y.astype(np.int64)) for y in (labels, test[1]))
    held = None if holdout is None or not len(holdout) else torch.from_numpy(holdout.astype(np.int64))
    about: dict[str, Any] = {"holdout": held, "reading": reading, "notes": tuple(told)}
    return Dataset(name, inputs, train_y, test[0], test_y, tuple(class_names), kind, source, **about, **more)


def match_labels(labels: Sequence[str], names: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Indices of class names, -1 for those not among ``names``, and how often each of those occurs.

    Example:
        >>> match_labels(["b", "zebra", "a"], ["a", "b"])
        (array([ 1, -1,  0]), {'zebra': 1})
    """
    position = {unicodedata.normalize("NFC", name): i for i, name in enumerate(names)}
    found = np.array([position.get(unicodedata.normalize("NFC", label), -1) for label in labels], dtype=np.int64)
    return found, dict(Counter(label for label, index in zip(labels, found, strict=True) if index < 0))


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
    counts = np.bincount(class_positions(labels))
    if not holdout_counts(counts, TEST_FRACTION).any():
        most = counted(int(counts.max()), "sample")
        why = f"the largest class has {most}, of which {TEST_FRACTION:.0%} is less than one"
        remedy = "Give a test part of your own, or more samples of a class."
        if (different := np.count_nonzero(counts)) > max(2, len(labels) // 2):  # a quantity, or names of samples
            why = f"its {len(labels):,} labels are {different:,} different ones, so that {why}"
            remedy = f"Is another column the label? Of a quantity make ranges, and call each by a word. {remedy}"
        raise ValueError(f"the data have no test part, and none can be taken: {why}. {remedy}")
    test = holdout_indices(labels, TEST_FRACTION, seed=seed)
    return others(test, len(labels)), test, f"; test: {TEST_FRACTION:.0%} of each class, split seed {seed}"


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
    return others(chosen, len(labels)), chosen
