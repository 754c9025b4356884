"""A stored model on a test set: everything that can be said about it, as JSON-plain values; class priors from files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equiangular._checks import check_data_name
from equiangular._counted import counted
from equiangular._defaults import usual_defaults
from equiangular._guarded import parse_yaml
from equiangular._notebook import Shown
from equiangular._validate import did_you_mean
from equiangular.data.reading import apart_note, listed
from equiangular.encoders import KnownEncoder
from equiangular.inference.labelled import labelled_batches
from equiangular.measures.significance import class_mean_ci
from equiangular.training.methods import get_method
from equiangular.training.model.classifier import Classifier
from equiangular.training.model.correction import PRIORS, own_prior
from equiangular.training.run.scoring import Scorer

FEW = 10  # test samples, below which the accuracy of a class says little


def read_prior(prior: str | None, class_names: Sequence[str]) -> str | list[float] | None:
    """What :func:`equiangular.training.corrected_logits` takes as ``prior``. Returns the name, or K positive weights.

    Args:
        prior: None, ``"uniform"``, ``"train"``, or a JSON or YAML file: a weight for each class name, or K weights in
            the order of the classes. Weights are counts or frequencies; they need not sum to 1.
        class_names: the model's K classes.

    Raises:
        ValueError: neither a name nor a file, or weights that do not fit the classes or are not above 0.

    Example:
        >>> read_prior("train", ["a", "b"])
        'train'
    """
    if prior is None or prior in PRIORS:
        return prior
    file = Path(prior).expanduser()
    if not file.is_file():
        hint = did_you_mean(prior, PRIORS)
        raise ValueError(f"the prior {prior!r} is neither {' nor '.join(PRIORS)} nor a file that exists{hint}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the prior {str(file)!r} as JSON or YAML: {error}") from error
    values = parse_yaml(text, what=f"the prior {str(file)!r}")
    return _weights(values, list(class_names), str(file))


def _weights(values: Any, class_names: list[str], where: str) -> list[float]:
    if isinstance(values, dict):
        named = {str(name): weight for name, weight in values.items()}
        for name in named:
            if name not in class_names:
                raise ValueError(f"{where!r}: the model has no class {name!r}{did_you_mean(name, class_names)}")
        missing = [name for name in class_names if name not in named]
        if missing:
            raise ValueError(f"{where!r} has no weight for class {missing[0]!r} ({len(missing)} such classes).")
        values = [named[name] for name in class_names]
    if not isinstance(values, list) or len(values) != len(class_names):
        got = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
        raise ValueError(f"{where!r} must hold a weight for each of the {len(class_names)} classes, got {got}.")
    for name, weight in zip(class_names, values, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise ValueError(
                f"{where!r}: the weight of class {name!r} must be a number above 0, got {weight!r}. Give a class that "
                "is not expected a small weight."
            )
    return [float(weight) for weight in values]


BATCH_SIZE = 256


@torch.no_grad()
@usual_defaults()
def evaluate(
    classifier: Classifier,
    *,
    data: str | Path | None = None,
    batch_size: int = BATCH_SIZE,
    skip_broken: bool = False,
    progress: Callable[[int], None] | None = None,
    loaded: Callable[[int | None], None] | None = None,
) -> dict[str, Any]:
    """Evaluate a stored model, batch by batch.

    Args:
        classifier: the model, with the class prior of its predictions, on the device to compute on.
        data: what to evaluate on: a folder ``CLASS/*.png``, a file of labelled rows (.csv, .tsv, .parquet, .feather,
            .npz, .npy with labels beside it, .safetensors; its test part where it has one), what ``datasets`` has
            saved, a data set by name or a folder with a test part; by default the test part of the data that the model
            was trained on, which is also what is taken where ``data`` is those data. Classes are matched by name;
            samples of classes that the model does not know are counted apart.
        batch_size: samples at a time.
        skip_broken: leave out inputs that cannot be read, and say which. What was left out of the model's own data when
            it was trained is so again.
        progress: called with the number of samples after each batch.
        loaded: called before the first batch with the number of samples, None where it is not known.

    Returns:
        ``scores`` and ``raw_scores`` (of the logits before correction and calibration), see :meth:`Scorer.compute`;
        ``intervals`` of the accuracies among ``scores``, 95 %, see :func:`equiangular.measures.class_mean_ci`;
        ``classes``, ``reliability`` and ``confusion``, see :meth:`Scorer.details`; ``raw_reliability``; ``model``, its
        description without the vocabulary; ``data``, ``prior`` (``"uniform"``, ``"train"``, ``"sampler"`` or weights)
        and ``method``; ``apart``, samples by class that the model does not know; ``left_out``, inputs that cannot be
        read; ``trained_on``, how many samples equal one of the training part, None where that was not looked for, as
        for the test part of the model's own data; ``notes``, all this in words and what was taken for what. A notebook
        shows them as a page.

    Raises:
        ValueError: data that cannot be read or have no labels, data that the model was trained on, or none of its
            classes.
    """
    if data is not None:
        check_data_name(data)
    info, device = classifier.info, classifier.shift.device
    scorer, raw = (Scorer(list(info.class_counts), info.thresholds, info.class_names) for _ in range(2))
    encoder = KnownEncoder(info.encoder, device=device) if info.encoder and info.kind == "vectors" else None
    labelled = labelled_batches(info, data, batch_size, encoder, skip_broken=skip_broken)
    source = labelled.source
    if loaded is not None:
        loaded(labelled.total)
    shift = classifier.shift.cpu()
    for x, y in labelled.batches:
        logits = classifier.raw_logits(x.to(device)).cpu()
        raw.update(logits, y)
        scorer.update(logits * classifier.scale - shift, y)
        if progress is not None:
            progress(len(y))
    scores = scorer.compute()
    if not scores["samples"]:
        if labelled.apart:
            name = next(iter(labelled.apart))
            raise ValueError(
                f"the model has no class {name!r}{did_you_mean(name, info.class_names)} "
                f"It was trained on {info.num_classes} classes, {info.class_names[0]!r} the first."
            )
        raise ValueError(f"no samples to evaluate on in {source!r}.")
    trained_on = labelled.seen.check(source) if labelled.seen else None
    details = scorer.details()
    notes = [*labelled.notes, *labelled.told.lines()]
    if rare := [row["name"] for row in details["classes"] if 0 < row["test"] < FEW]:
        said = f"{counted(len(rare), 'class')} with under {FEW} test samples, whose own accuracies say little"
        notes.insert(0, f"{said}: {listed(rare)}")
    if trained_on:
        notes.insert(0, trained_on)
    if labelled.apart and not any("not scored" in note for note in notes):
        notes.append(apart_note(labelled.apart))
    model = {key: value for key, value in info.as_dict().items() if key != "vocabulary"}
    found = {
        "method": get_method(info.method).label,
        "data": source,
        "prior": own_prior(info) if classifier.prior is None else classifier.prior,
        "scores": scores,
        "raw_scores": raw.compute(),
        "intervals": _intervals(details),
        **details,
        "raw_reliability": raw.details()["reliability"],
        "model": model,
        "apart": dict(labelled.apart),
        "left_out": labelled.left_out,
        "trained_on": labelled.seen.found if labelled.seen else None,
        "notes": notes,
    }
    return Shown("evaluation", found)


def _intervals(details: dict[str, Any]) -> dict[str, list[float]]:
    """95 % confidence intervals of accuracies in percent, by name of the score."""
    rows = details["classes"]
    total = np.array([row["test"] for row in rows])
    hits = np.rint([row["test"] * (row["accuracy"] or 0.0) / 100 if row["test"] else 0.0 for row in rows])
    groups = {name: [row["group"] == name for row in rows] for name in ("many", "medium", "few")}
    ends = {"accuracy": class_mean_ci([hits.sum()], [total.sum()]), "balanced_accuracy": class_mean_ci(hits, total)}
    ends |= {name: class_mean_ci(hits[own], total[own]) for name, own in groups.items()}
    return {name: [100 * low, 100 * high] for name, (low, high) in ends.items()}
