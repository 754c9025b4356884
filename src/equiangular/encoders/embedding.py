"""A data set through an encoder, once: streamed, cached by content, and gone on with after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from equiangular._defaults import usual_defaults
from equiangular._device import choose_device
from equiangular._validate import check_choice, check_int
from equiangular.data import Dataset, Texts, load_dataset
from equiangular.data.split import input_digest, input_digests
from equiangular.encoders.base import Encoder, Modality, describe
from equiangular.encoders.cache import ChunkStore
from equiangular.encoders.class_names import PLAIN, ClassTexts, names_features
from equiangular.encoders.inputs import read_ahead
from equiangular.encoders.registry import as_encoder, check_encoder_name

StoredDtype = Literal["float32", "float16"]
STORED_DTYPES: tuple[StoredDtype, ...] = get_args(StoredDtype)
BATCH_SIZE = 64
# Inputs kept at a time: what a kill may lose. Texts are sorted by length within it, which saves padding.
CHUNKS: dict[Modality, int] = {"text": 2048, "image": 256}

# Called with the inputs done and their number, after every batch.
Progress = Callable[[int, int], None]


@dataclass
class EmbedReport:
    """How an embedding went.

    Attributes:
        inputs: all of them.
        from_cache: those that were there already.
        seconds: for those that were not, without loading data and encoder.
        error: of float16: the largest distance of a stored vector from the made one, relative to its length.
        notes: what was met while the data were read, was found damaged or could not be kept, in words.
    """

    inputs: int = 0
    from_cache: int = 0
    seconds: float = 0.0
    error: float = 0.0
    notes: list[str] = field(default_factory=list)


@usual_defaults()
def embed(
    data: str | Path | Dataset,
    encoder: str | Encoder = "auto",
    *,
    root: str | Path | None = None,
    split_seed: int = 0,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "auto",
    dtype: StoredDtype = "float32",
    skip_broken: bool = False,
    class_texts: ClassTexts | None = None,
    templates: Sequence[str] = PLAIN,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    report: EmbedReport | None = None,
) -> Dataset:
    """The features of all parts of a data set by a pretrained encoder.

    Inputs go through batch by batch; texts of like length go together. Features are kept in chunks as they are made,
    named by the content of the data, the encoder's weights and preprocessing and ``dtype``: the same call, or one that
    was killed, goes on from them.

    Args:
        data: texts or images: what :func:`equiangular.data.load_dataset` takes, or a data set that it loaded with
            ``raw=True``, or one of images.
        encoder: a name for :func:`equiangular.encoders.load_encoder`, or an encoder. ``"auto"`` is ``"minilm"`` for
            texts, ``"efficientnet-lite0"`` for images.
        root: folder of named data sets, see :func:`equiangular.data.load_dataset`.
        split_seed: seed of the test part, where the data have none.
        batch_size: inputs at a time.
        device: ``"auto"`` takes a GPU if there is one.
        dtype: what features are kept in: ``"float32"`` or ``"float16"``, half the size with its error measured.
        skip_broken: leave out images that cannot be read, see :func:`equiangular.data.load_dataset`.
        class_texts: class name -> what it is called or described as, a text or several; by default the name itself. For
            the class vectors, ``names_features``; an encoder of texts.
        templates: texts with one ``{}`` for a class text, such as ``"a question about {}"``; vectors are averaged.
        cache: folder for the chunks; by default ``embeddings`` in ``$EQUIANGULAR_CACHE``, or ``equiangular`` in the
            user's cache folder. ``EQUIANGULAR_CACHE=off`` keeps nothing.
        progress: called with the inputs done and their number.
        report: filled in.

    Returns:
        A data set of kind ``"vectors"``: (N, d) float32 for each part, ``encoder`` describes the encoder,
        ``names_features`` are the vectors of the class names ("_" read as a space) or class texts where it reads texts.

    Raises:
        ValueError: unknown names, texts of classes that the data do not have, data that are neither texts nor images,
            an empty text or an image that cannot be read (named), an encoder of the other modality, or
            float16 that cannot hold a value.
        ImportError: a library is missing; the message names the extra.

    Example:
        >>> import numpy as np
        >>> from equiangular.data import from_arrays
        >>> from equiangular.encoders import CallableEncoder
        >>> images = from_arrays(np.arange(20, dtype="u1").reshape(20, 1, 1) * np.ones((4, 4), "u1"), [0, 1] * 10)
        >>> mean = CallableEncoder(
        ...     lambda batch: [[float(image.getpixel((0, 0))[0])] for image in batch],
        ...     dim=1,
        ...     modality="image",
        ...     name="mean",
        ... )
        >>> embed(images, mean).train_x[:3].flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    check_int(batch_size, "batch_size", minimum=1)
    check_choice(dtype, STORED_DTYPES, "dtype")
    report = EmbedReport() if report is None else report
    # What can be wrong with a name is said before the data are read.
    device = choose_device(device, "device") if isinstance(device, str) else device
    if isinstance(encoder, str) and encoder != "auto":
        check_encoder_name(encoder)
    if not isinstance(data, Dataset):
        data = load_dataset(data, root=root, split_seed=split_seed, raw=True, skip_broken=skip_broken)
        report.notes += data.notes
    network = as_encoder(encoder, modality_of(data), device=device)
    vectors = names_features(
        network, data.class_names, class_texts=class_texts, templates=templates, batch_size=batch_size
    )
    options: dict[str, Any] = {"batch_size": batch_size, "dtype": dtype, "cache": cache, "report": report}

    def part(name: str, inputs: Any, before: int) -> Tensor:
        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(before + done, len(data.train_y) + len(data.test_y))

        return embed_inputs(inputs, network, where=f"data set {data.name!r}, {name} part", progress=tell, **options)

    train_x = part("train", data.train_x, 0)
    test_x = part("test", data.test_x, len(data.train_y))
    described = {**describe(network), "dtype": dtype, "inputs": input_digests(data)}
    if dtype == "float16":
        described["error"] = report.error
    if class_texts or tuple(templates) != PLAIN:
        described["class_texts"] = {"given": len(class_texts or ()), "templates": list(templates)}
    return Dataset(
        data.name,
        train_x,
        data.train_y,
        test_x,
        data.test_y,
        data.class_names,
        "vectors",
        f"{data.source}; embedded by {network.name}",
        data.licence,
        encoder=described,
        names_features=vectors,
        encoding=data.encoding,
        holdout=data.holdout,
        reading=data.reading,
        notes=data.notes,
    )


def modality_of(data: Dataset) -> Modality:
    """``"text"`` or ``"image"``.

    Raises:
        ValueError: data that no encoder takes.
    """
    if data.kind == "image":
        return "image"
    if isinstance(data.train_x, Texts):
        return "text"
    why = {
        "text": "its texts have become TF-IDF features. Load it with load_dataset(..., raw=True), or give its name.",
        "vectors": "it holds an encoder's features already. Use it without --encoder (in Python: without embed).",
        "table": "it is a table of numbers, and encoders take texts and images. Use it without --encoder.",
    }[data.kind]
    raise ValueError(f"data set {data.name!r} cannot be embedded: {why}")


@usual_defaults()
def embed_inputs(
    inputs: Any,
    encoder: Encoder,
    *,
    where: str,
    batch_size: int = BATCH_SIZE,
    dtype: StoredDtype = "float32",
    cache: str | Path | None = None,
    progress: Progress | None = None,
    report: EmbedReport | None = None,
) -> Tensor:
    """Features (N, d) float32 of one part: :class:`Texts`, encoded images or (N, C, H, W) bytes; see :func:`embed`."""
    report = EmbedReport() if report is None else report
    count = len(inputs)
    features = torch.empty(count, encoder.dim)
    store: ChunkStore | None = None
    if encoder.revision is not None:
        said = describe(encoder)
        identity = {**said, "dtype": dtype, "content": input_digest(inputs), "count": count}
        store = ChunkStore(identity, cache)
    chunk = CHUNKS[encoder.modality]
    for number, start in enumerate(range(0, count, chunk)):
        stop = min(start + chunk, count)
        known = None if store is None else store.read(number, (stop - start, encoder.dim))
        if known is not None:
            values, kept = known
            report.from_cache += stop - start
        else:
            began = time.perf_counter()
            made = _encode_rows(inputs, start, stop, encoder, where, batch_size, progress)
            values, kept = _stored(made, dtype, where)
            report.seconds += time.perf_counter() - began
            if store is not None:
                store.write(number, values, kept)
        report.error = max(report.error, kept["error"])
        features[start:stop] = values.float()
        if progress is not None:
            progress(stop, count)
    report.inputs += count
    report.notes += store.notes if store is not None else []
    return features


def _encode_rows(
    inputs: Any, start: int, stop: int, encoder: Encoder, where: str, batch_size: int, progress: Progress | None
) -> Tensor:
    """Vectors of the rows from ``start`` to ``stop``, in their order."""
    rows = np.arange(start, stop)
    if isinstance(inputs, Texts):
        lengths = np.array([len(inputs[row]) for row in rows])
        rows = rows[np.argsort(lengths, kind="stable")]  # texts of like length need little padding
    made = torch.empty(stop - start, encoder.dim)
    batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    seen = start
    for batch, values in zip(batches, read_ahead(inputs, batches, where), strict=True):
        made[torch.from_numpy(batch - start)] = encoder.encode(values)
        seen += len(batch)
        if progress is not None:
            progress(seen, len(inputs))
    return made


def _stored(made: Tensor, dtype: StoredDtype, where: str) -> tuple[Tensor, dict[str, float]]:
    """Vectors in the dtype that they are kept in, and the error that it makes."""
    if dtype == "float32":
        return made, {"error": 0.0}
    half = made.half()
    if not torch.isfinite(half).all():
        raise ValueError(
            f"{where}: a feature of {float(made.abs().max()):.3g} is too large for float16 (65,504). Take --dtype "
            "float32."
        )
    length = made.norm(dim=1)
    error = (made - half.float()).norm(dim=1) / torch.where(length > 0, length, torch.ones_like(length))
    return half, {"error": float(error.max())}
