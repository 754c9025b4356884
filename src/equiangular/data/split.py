"""The parts of one run, batches of inputs that need not be in memory, and what data are in a hash."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from equiangular._choices import Profile, Protocol
from equiangular._defaults import usual_defaults
from equiangular._files import json_plain
from equiangular._validate import check_int
from equiangular.data.base import Dataset, rows_at
from equiangular.data.encoded import EncodedImages
from equiangular.data.images import read_source
from equiangular.data.texts import Texts
from equiangular.longtail import SubsetManifest, holdout_indices, long_tail_indices


def stream_batches(
    inputs: Tensor | EncodedImages, index_batches: Iterable[Tensor], workers: int = 0
) -> Iterator[Tensor]:
    """Batches of ``inputs`` for one tensor of positions after the other.

    A tensor is indexed. Encoded images are decoded a whole batch at a time, in this process or ahead of time in
    ``workers`` others; the order is that of ``index_batches``, which may be a generator. Nothing is drawn, so the
    number of workers changes nothing but the speed, and the global generators are left alone.

    Args:
        inputs: (N, ...) tensor, or encoded images.
        index_batches: int64 tensors of positions.
        workers: number of processes that decode; 0 decodes here.

    Yields:
        (B, ...) tensors in the dtype of ``inputs``, on its device.

    Raises:
        ValueError: an image that cannot be decoded, named; or a negative number of workers.

    Example:
        >>> [batch.tolist() for batch in stream_batches(torch.arange(5), [torch.tensor([4, 0]), torch.tensor([2])])]
        [[4, 0], [2]]
    """
    check_int(workers, "workers", minimum=0)
    if isinstance(inputs, Tensor):
        for index in index_batches:
            yield inputs.index_select(0, index.to(inputs.device))  # of images an eighth of the time of inputs[index]
        return
    # The sampler's items are whole batches; the loader draws a seed for its workers, not from the global generator.
    options: dict[str, Any] = {"batch_size": None, "sampler": index_batches, "generator": torch.Generator()}
    loader = DataLoader(_Batches(inputs), num_workers=workers, **options)
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads, such as those of pyarrow; workers use none of them.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        batches = iter(loader)
    for batch in batches:
        if isinstance(batch, str):
            raise ValueError(batch)
        yield batch


def select(inputs: Tensor | EncodedImages | Texts, index: Tensor) -> Tensor | EncodedImages | Texts:
    """The inputs at these positions: a tensor is copied, encoded images stay encoded, texts are texts.

    Example:
        >>> select(torch.arange(5), torch.tensor([3, 1])).tolist()
        [3, 1]
    """
    chosen: Tensor | EncodedImages | Texts = rows_at(inputs, np.asarray(index))
    return chosen


class _Batches:
    """Encoded images by the batch. An error comes back as its text, without the worker's traceback around it."""

    def __init__(self, images: EncodedImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor) -> Tensor | str:
        try:
            return self.images[index]
        except ValueError as error:
            return str(error)


_ROWS = 4096


def content_digest(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of the content of a data set, part by part.

    Order, shape, dtype and every value count. Images that stay encoded are hashed as they are encoded, without being
    decoded, together with the size they are brought to; so an image saved anew in another form is another image.
    Returns the hexadecimal digests ``"training inputs"``, ``"training labels"``, ``"test inputs"``, ``"test labels"``
    and ``"class names"``; ``"vectors of class names"`` and ``"validation part"`` where there are any, and ``"scaling"``
    where columns have their own.

    Raises:
        ValueError: an image file that cannot be read any more.

    Example:
        >>> from equiangular.data import load_dataset
        >>> iris = load_dataset("iris")
        >>> content_digest(iris) == content_digest(load_dataset("iris"))
        True
    """
    parts = {"training": (dataset.train_x, dataset.train_y), "test": (dataset.test_x, dataset.test_y)}
    digests = {
        f"{p} {w}": input_digest(v) for p, xy in parts.items() for w, v in zip(("inputs", "labels"), xy, strict=True)
    }
    names = hashlib.sha256("\0".join([dataset.kind, *dataset.class_names]).encode())
    if dataset.names_features is not None:
        digests["vectors of class names"] = input_digest(dataset.names_features)
    if dataset.holdout is not None:
        digests["validation part"] = input_digest(dataset.holdout)
    if dataset.scaling == "columns":  # which changes what is made of the same numbers
        digests["scaling"] = "columns"
    return {**digests, "class names": names.hexdigest()}


def check_unchanged(dataset: Dataset, content: Mapping[str, str]) -> None:
    """Raise if images that stay encoded, and are read anew in every epoch, are not those that a training began with.

    Args:
        dataset: the data; what is in memory cannot have changed.
        content: :func:`content_digest` of them at the beginning.

    Raises:
        ValueError: files that have changed meanwhile; the parts are named.
    """
    if not isinstance(dataset.train_x, EncodedImages):
        return
    now = content_digest(dataset)
    if changed := [part for part, digest in content.items() if now.get(part, digest) != digest]:
        raise ValueError(
            f"the data changed while the network was being trained on them: the {', '.join(changed)} are not what they "
            "were at the beginning, and what was trained is of neither. Nothing of it is kept; run it again."
        )


def described_digest(dataset: Dataset) -> str:
    """SHA-256 of what the numbers of a data set are: their columns, how they came about, their encoder.

    Not a part of :func:`content_digest`: a network that is trained on the numbers is the same whatever they are.
    """
    said = [dataset.columns, dataset.encoding, dataset.vocabulary, dataset.encoder, dict(dataset.reading.spans)]
    return hashlib.sha256(json.dumps(json_plain(said), sort_keys=True).encode()).hexdigest()


def input_digests(dataset: Dataset) -> dict[str, str]:
    """Digests of the inputs of the ``"training"`` and the ``"test"`` part; what :func:`content_digest` has of them."""
    return {"training": input_digest(dataset.train_x), "test": input_digest(dataset.test_x)}


def input_digest(values: Tensor | EncodedImages | Texts) -> str:
    """A hexadecimal digest of the inputs of one part."""
    hasher = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}".encode())
    if isinstance(values, Texts):
        for text in values.values:
            content = text.encode()
            hasher.update(len(content).to_bytes(8, "little"))
            hasher.update(content)
    elif isinstance(values, EncodedImages):
        hasher.update(str(values.size).encode())
        for row in values.index:
            content = read_source(values.sources[int(row)]) or b""
            hasher.update(len(content).to_bytes(8, "little"))
            hasher.update(content)
    else:
        for part in values.split(_ROWS):  # in parts: a copy of all would double the memory
            hasher.update(np.ascontiguousarray(part.cpu().numpy()).data)
    return hasher.hexdigest()


# Mean and deviation of the inputs are taken over evenly spaced samples, this many numbers at most (256 MB).
_STATISTICS_SIZE = 2**26


@dataclass(frozen=True)
class Split:
    """Inputs and labels of one run. Inputs are as the data set has them: images of bytes, rows of floats.

    Attributes:
        train_x, train_y: the training part, less the held-out part.
        holdout_x, holdout_y: held-out training data, for validation and calibration.
        test_x, test_y: the test part, looked at once, after the last epoch.
        class_counts: (K,) samples per class of the training part.
        manifest: which samples of the pool the cut consists of, with a hash.
        mean, std: (1, C, 1, 1) or (1, d): what standardises the inputs, from the training part.
    """

    train_x: Any
    train_y: Tensor
    holdout_x: Any
    holdout_y: Tensor
    test_x: Any
    test_y: Tensor
    class_counts: np.ndarray
    manifest: SubsetManifest
    mean: Tensor
    std: Tensor

    def standardise(self, inputs: Tensor) -> Tensor:
        """What the network takes: inputs as floats, images scaled to [0, 1], less the mean, over the deviation."""
        return (as_float(inputs) - self.mean.to(inputs.device)) / self.std.to(inputs.device)


@usual_defaults()
def make_split(
    dataset: Dataset,
    *,
    imbalance: float = 1.0,
    profile: Profile = "exp",
    protocol: Protocol = "local",
    subset_seed: int = 0,
    holdout: float = 0.2,
) -> Split:
    """Cut the training pool to the long tail and hold a part of it out.

    Args:
        dataset: the data.
        imbalance: imbalance factor n_max / n_min of the cut; 1 keeps the pool as it is.
        profile: ``"exp"`` or ``"step"``.
        protocol: see :func:`equiangular.longtail.long_tail_indices`.
        subset_seed: seed of the cut and of the hold-out.
        holdout: fraction of each class held out; 0 holds nothing out. Where the data have a validation part, it is
            what is held out, whatever the fraction.

    Raises:
        ValueError: a bad argument, or a class too small.
    """
    if isinstance(dataset.train_x, Texts):
        raise ValueError(
            f"the texts of {dataset.name!r} are as they were read (raw=True), and a network takes numbers. "
            "Embed them: equiangular.embed(dataset)."
        )
    pool_y = np.asarray(dataset.train_y)
    pool, stated = np.arange(len(pool_y)), dataset.holdout
    if stated is not None:
        pool = np.setdiff1d(pool, stated.numpy())
    subset = pool
    if imbalance != 1:
        subset = pool[long_tail_indices(pool_y[pool], imbalance, kind=profile, seed=subset_seed, protocol=protocol)]
    manifest = SubsetManifest.from_indices(
        subset, pool_y, source=dataset.name, seed=subset_seed, protocol=protocol, imbalance_factor=imbalance
    )
    held = np.array([], dtype=np.int64)
    if holdout:
        held = subset[holdout_indices(pool_y[subset], holdout, seed=subset_seed)] if stated is None else stated.numpy()
    free = np.zeros(len(pool_y), dtype=bool)
    free[held] = True
    kept = subset[~free[subset]]
    train_x, holdout_x = (select(dataset.train_x, torch.from_numpy(part)) for part in (kept, held))
    labels = torch.from_numpy(pool_y).long()
    train_y, holdout_y = (labels[torch.from_numpy(part)] for part in (kept, held))
    counts = np.bincount(pool_y[kept], minlength=dataset.num_classes)
    test = dataset.test_x, torch.as_tensor(dataset.test_y).long()
    return Split(
        train_x,
        train_y,
        holdout_x,
        holdout_y,
        *test,
        counts,
        manifest,
        *standardisation(train_x, shared=dataset.kind == "vectors" and dataset.scaling == "shared"),
    )


def as_float(inputs: Tensor) -> Tensor:
    """Images of bytes as floats in [0, 1]; floats stay as they are."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()


def standardisation(inputs: Any, *, shared: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the samples: per channel for images (N, C, H, W), per column for tables (N, d).

    ``shared``, for vectors of an encoder (N, d): mean 0 and, for all columns, the root mean square of all values. The
    encoder has standardised already; one scale keeps the angles between its vectors. See ``Dataset.scaling``.

    Example:
        >>> standardisation(torch.tensor([[3.0, 4.0]]), shared=True)[1] ** 2
        tensor([[12.5000, 12.5000]])
    """
    shape = tuple(inputs.shape)
    axes = (0, 2, 3) if len(shape) == 4 else (0,)
    wanted = max(1, min(shape[0], _STATISTICS_SIZE // int(np.prod(shape[1:]))))
    every = wanted == shape[0] and isinstance(inputs, Tensor)
    sample = as_float(inputs if every else inputs[torch.arange(wanted) * shape[0] // wanted])
    mean = sample.mean(axes, keepdim=True)
    if shared:
        mean, std = torch.zeros_like(mean), sample.double().square().mean().sqrt().to(mean).expand_as(mean).clone()
    else:
        std = _column_deviation(sample) if len(shape) == 2 else sample.std(axes, keepdim=True)
        if not torch.isfinite(std).all():  # float32 does not hold the squares of values above 1e19
            std = sample.double().std(axes, keepdim=True).to(std)
    return mean, torch.where(std > 0, std, torch.ones_like(std))


_MANY = 2**20  # numbers from which on the deviation of columns is summed by rows


def _column_deviation(sample: Tensor) -> Tensor:
    """``sample.std(0, keepdim=True)`` of (N, d) float32, to the last bit: (1, d).

    PyTorch goes through the columns one by one, in float64, with a division for each number. Sums over rows of squared
    differences take a fifth of that. Both are within 1e-10 of the truth where no mean is far above its deviation, and
    where that is not enough to tell the float32 they are rounded to, or the mean is, PyTorch's is taken.
    """
    if not sample.is_cpu or sample.numel() < _MANY or len(sample) < 2:
        return sample.std(0, keepdim=True)
    total, squares = (sample.new_zeros(sample.shape[1], dtype=torch.float64) for _ in range(2))
    for rows in sample.split(_ROWS):
        total += rows.sum(0, dtype=torch.float64)
    mean = total / len(sample)
    for rows in sample.split(_ROWS):
        squares += (rows - mean).square_().sum(0)
    variance = squares / (len(sample) - 1)
    low, high = ((variance * share).sqrt().to(sample.dtype) for share in (1 - 1e-10, 1 + 1e-10))
    certain = torch.equal(low, high) and bool((mean.square() <= 1e4 * variance).all())
    return low[None] if certain else sample.std(0, keepdim=True)
