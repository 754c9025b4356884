"""A closed-form classifier as one safetensors file: what it has seen as tensors, what it is as JSON metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._files import read_safetensors, write_safetensors
from equiangular._guarded import parse_json
from equiangular.closed_form.classifier import ClosedForm
from equiangular.closed_form.kernel import KeptSamples
from equiangular.closed_form.sketch import Sketch, content_hashes
from equiangular.closed_form.statistics import ClassStatistics

FORMAT, BEFORE = "equiangular-closed-form-2", "equiangular-closed-form-1"  # which took other hashes
_OPTIONS = ("kind", "regularization", "prior_weight", "width", "seed")
_KEY, _BESIDE = "closed_form", "beside."
_REMEDY = "Save the classifier again, or take another copy of the file."


def closed_form_state(model: ClosedForm) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain values from which :func:`closed_form_from_state` makes the same classifier.

    The tensors hold counts, means, the scatter and up to about a thousand samples; of the kernel kind all samples.
    """
    tensors = _pack(model.seen, "")
    if model.prior is not None:
        tensors |= _pack(model.prior, "prior.")
    plain = {name: getattr(model, name) for name in _OPTIONS}
    plain["whole"] = isinstance(model.seen, KeptSamples) or model.seen.sketch.whole
    return tensors, {"format": FORMAT, "in_features": model.in_features, "num_classes": model.num_classes, **plain}


def closed_form_from_state(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> ClosedForm:
    """The classifier of :func:`closed_form_state`.

    Raises:
        ValueError: another format, a missing tensor, or tensors that do not fit together.
    """
    if not isinstance(described, Mapping):
        raise ValueError(f"it is described by {described!r}, where an object is expected")
    if described.get("format") not in (FORMAT, BEFORE):
        raise ValueError(f"its format is {described.get('format')!r}, where {FORMAT!r} can be read")
    try:
        options = {name: described[name] for name in _OPTIONS}
        model = ClosedForm(described["in_features"], described["num_classes"], **options)
        model.seen = _unpack(model, tensors, "")
        if any(name.startswith("prior.") for name in tensors):
            model.prior = _unpack(model, tensors, "prior.")
        if isinstance(model.seen, ClassStatistics):
            sketch = model.seen.sketch
            complete = bool((sketch.thresholds == np.uint64(2**64 - 1)).all())  # all samples are here
            sketch.whole = complete if described["format"] == BEFORE else bool(described["whole"])
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error
    return model


def save_closed_form(
    path: str | Path,
    model: ClosedForm,
    *,
    metadata: Mapping[str, Any] | None = None,
    beside: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a classifier with all it can add to and remove from; an existing file is replaced.

    Args:
        path: the file, best ending in ``.safetensors``; its folder must exist.
        model: the classifier.
        metadata: JSON-plain values kept beside it, such as the names of the classes.
        beside: tensors kept beside it by name.

    Returns:
        The path written.

    Raises:
        ValueError: the file cannot be written.
        ImportError: safetensors is missing.

    Example:
        >>> import tempfile
        >>> model = ClosedForm(2, 2).update(torch.eye(2), torch.tensor([0, 1]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_closed_form(save_closed_form(f"{folder}/m.safetensors", model))[0].class_counts
        tensor([1., 1.], dtype=torch.float64)
    """
    tensors, plain = closed_form_state(model)
    tensors |= {_BESIDE + name: tensor for name, tensor in (beside or {}).items()}
    text = json.dumps({**plain, "metadata": dict(metadata or {})}, ensure_ascii=False)
    try:
        return write_safetensors(path, tensors, {_KEY: text})
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {error.strerror or error}. Choose another folder.") from error


def load_closed_form(path: str | Path) -> tuple[ClosedForm, dict[str, Any]]:
    """Read a file of :func:`save_closed_form`: the classifier, and the metadata beside it.

    Raises:
        ValueError: the file is missing, damaged, or of another kind.
        ImportError: safetensors is missing.
    """
    return read_closed_form(path)[:2]


def read_closed_form(path: str | Path) -> tuple[ClosedForm, dict[str, Any], dict[str, Tensor]]:
    """As :func:`load_closed_form`, with the tensors beside the classifier."""
    tensors, metadata = read_safetensors(path, remedy=_REMEDY)
    try:
        plain = parse_json(metadata[_KEY])
        beside = {name.removeprefix(_BESIDE): value for name, value in tensors.items() if name.startswith(_BESIDE)}
        return closed_form_from_state(tensors, plain), plain["metadata"], beside
    except (KeyError, TypeError, ValueError) as error:  # what a description of another program may raise
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} is no readable closed-form classifier: {reason}. {_REMEDY}") from error


def _pack(seen: ClassStatistics | KeptSamples, prefix: str) -> dict[str, Tensor]:
    if isinstance(seen, KeptSamples):
        found = {"rows": seen.rows, "labels": seen.labels, "weights": seen.weights}
    else:
        s = seen.sketch
        arrays = {"rows": s.rows, "labels": s.labels, "weights": s.weights, "thresholds": s.thresholds.view(np.int64)}
        found = {"count": seen.count, "mean": seen.mean, "scatter": seen.scatter}
        found |= {f"sketch.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    return {prefix + name: tensor.cpu() for name, tensor in found.items()}


def _unpack(model: ClosedForm, tensors: Mapping[str, Tensor], prefix: str) -> ClassStatistics | KeptSamples:
    empty = model.nothing(model.num_classes)
    part = "" if isinstance(empty, KeptSamples) else "sketch."
    rows, labels, weights = (tensors[f"{prefix}{part}{name}"] for name in ("rows", "labels", "weights"))
    k = empty.num_classes
    strange = bool(((labels >= k) | (labels < 0)).any())
    if rows.shape != (len(labels), empty.in_features) or weights.shape != labels.shape or strange:
        raise ValueError(f"its samples {tuple(rows.shape)} do not fit {k} classes and width {empty.in_features}")
    if not torch.isfinite(rows).all():
        raise ValueError("its rows have NaN or infinite values")
    if not bool(((weights > 0) & weights.isfinite()).all()):
        raise ValueError("its samples' weights are not all above 0")
    hashes = content_hashes(rows.numpy())
    if isinstance(empty, KeptSamples):
        return KeptSamples.empty(k, empty.in_features).merge(KeptSamples(rows, labels, weights, k, hashes))
    count, mean, scatter = (tensors[prefix + name] for name in ("count", "mean", "scatter"))
    thresholds = tensors[f"{prefix}sketch.thresholds"]
    for name, tensor, shape in (
        ("count", count, (k,)), ("mean", mean, empty.mean.shape), ("scatter", scatter, empty.scatter.shape),
        ("thresholds", thresholds, (k,)),
    ):  # fmt: skip
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"its {name} has shape {tuple(tensor.shape)}, not {tuple(shape)}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"its {name} has NaN or infinite values")
    if bool((count < 0).any()):
        raise ValueError("its count is not all of at least 0")
    order = np.lexsort((hashes, labels.numpy()))  # they are in order but in files of before
    sketch = Sketch(hashes, labels.numpy(), rows.numpy(), weights.numpy(), thresholds.numpy().view(np.uint64))
    sketch._keep(order)
    return ClassStatistics(count, mean, scatter, sketch, empty.transform)
