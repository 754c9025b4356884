"""Tuning of a head on validation data: a pattern search of a fixed number of trainings, the same for every head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from equiangular._checks import check_choice
from equiangular.data import Dataset, select
from equiangular.longtail import holdout_counts, holdout_indices
from equiangular.longtail.cut import others

Effort = Literal["none", "quick", "full"]
# Trainings for each head, and seeds of each training.
EFFORTS: dict[str, tuple[int, int]] = {"none": (0, 0), "quick": (8, 1), "full": (24, 2)}
# The same for logistic regression, which has one number to tune.
FITS: dict[str, tuple[int, int]] = {"none": (0, 0), "quick": (5, 1), "full": (10, 2)}
BEYOND = 5  # more of them at most, while the best lies at an end of what was tried
FIRST_SEED = 1000  # apart from the seeds of the runs that are reported
AnySettings = TypeVar("AnySettings")
FRACTION = 0.2  # of the training pool, by class
FEW_FITTED = 600  # samples up to which fits are tuned in five folds, and not in three


@dataclass(frozen=True)
class Settings:
    """What is tuned for a training.

    Attributes:
        learning_rate: peak learning rate; None where nothing is trained by gradients.
        scale: logit scale; None where the loss has none, or for the head's own default.
        norm: where BatchNorm stands, see :class:`equiangular.heads.Head`; None where the method decides.
        normalize: whether features are brought to unit norm; None where the method decides.
        strength: inverse regularisation of logistic regression; None elsewhere.
    """

    learning_rate: float | None = None
    scale: float | None = None
    norm: str | None = None
    normalize: bool | None = None
    strength: float | None = None

    def options(self) -> dict[str, Any]:
        """Those that are given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Space:
    """Where the search starts and along which axes it may go.

    Attributes:
        start: the settings that the method has by default, its scale as a number.
        scales: whether the logit scale is an axis.
        norms: kinds of normalisation to choose from; the start's own among them. Empty: no axis.
        other_scale: the default scale with features normalised the other way; None: that is no axis.
    """

    start: Settings
    scales: bool = True
    norms: tuple[str, ...] = ()
    other_scale: float | None = None


def next_settings(space: Space, scored: Mapping[Settings, float]) -> Settings:
    """The next settings to try: the first neighbour of the best ones so far that has no score yet.

    A pattern search (Hooke and Jeeves, J. ACM 8, 1961): neighbours differ along one axis. In this order: the other
    kinds of normalisation; features normalised the other way; the scale divided and multiplied by 2; the learning rate,
    or the inverse regularisation, by 3. Once all of them have a score, steps are the square roots of these, and so on.
    So the search goes on beyond any grid where the best lies at an edge, and every head of a network has exactly as
    many trainings as every other.

    Args:
        space: start and axes.
        scored: validation scores of what has been tried; NaN where a training diverged.

    Returns:
        Settings without a score.

    Example:
        >>> space = Space(Settings(0.1, 1.0, "batch"), norms=("batch", "none"))
        >>> next_settings(space, {}), next_settings(space, {space.start: 70.0}).norm
        (Settings(learning_rate=0.1, scale=1.0, norm='batch', normalize=None, strength=None), 'none')
    """
    if not scored:
        return space.start
    best = choose(scored) if any(score == score for score in scored.values()) else space.start
    halvings = 0
    while True:
        for neighbour in _neighbours(space, best, halvings):
            if not any(_same(neighbour, settings) for settings in scored):
                return neighbour
        halvings += 1


def beyond(space: Space, scored: Mapping[Settings, float]) -> Settings | None:
    """The next settings beyond the best ones, where a search along one axis ended with its best at an end; else None.

    The step is x9, for the search has gone far already. A fit whose regularisation is stopped short is no rival, and
    one that is regularised too much scores as little all along: an upper end as good as any other is one to go beyond.

    Example:
        >>> space = Space(Settings(strength=0.1), scales=False)
        >>> beyond(space, {Settings(strength=0.1): 70.0, Settings(strength=0.3): 71.0}).strength
        2.7
        >>> beyond(space, {Settings(strength=0.1): 71.0, Settings(strength=0.3): 70.0, Settings(strength=0.03): 70.0})
    """
    if space.scales or space.norms or space.other_scale is not None or len(scored) < 2:
        return None
    if all(math.isnan(score) for score in scored.values()):
        return None
    axis = "strength" if space.start.strength is not None else "learning_rate"
    best, (low, high) = choose(scored), (pick(scored, key=lambda s: getattr(s, axis)) for pick in (min, max))
    if scored[high] != scored[best] and best != low:
        return None
    end, factor = (high, 9.0) if scored[high] == scored[best] else (low, 1 / 9)
    value = _rounded(getattr(end, axis) * factor)
    return replace(end, strength=value) if axis == "strength" else replace(end, learning_rate=value)


def _neighbours(space: Space, best: Settings, halvings: int) -> Iterator[Settings]:
    for norm in space.norms:
        yield replace(best, norm=norm)
    if space.other_scale is not None and best.normalize is not None:
        back = best.normalize != space.start.normalize
        scale = space.start.scale if back else space.other_scale
        yield replace(best, normalize=not best.normalize, scale=scale)
    if space.scales and best.scale is not None:
        for factor in (0.5, 2.0):
            yield replace(best, scale=_rounded(best.scale * factor**0.5**halvings))
    for factor in (1 / 3, 3.0):
        if best.learning_rate is not None:
            yield replace(best, learning_rate=_rounded(best.learning_rate * factor**0.5**halvings))
        if best.strength is not None:
            yield replace(best, strength=_rounded(best.strength * factor**0.5**halvings))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _same(first: Settings, second: Settings) -> bool:
    """Whether two settings are one but for rounding: 0.1 / 3 x 3 comes back as 0.0999."""
    pairs = zip(astuple(first), astuple(second), strict=True)
    return all(a == b or (type(a) is type(b) is float and math.isclose(a, b, rel_tol=0.01)) for a, b in pairs)


def choose(scored: Mapping[AnySettings, float]) -> AnySettings:
    """The settings with the best validation score; the first of equals.

    Raises:
        ValueError: no settings have a score.

    Example:
        >>> choose({Settings(0.1): 70.0, Settings(0.3): 71.0}).learning_rate
        0.3
    """
    finished = {settings: score for settings, score in scored.items() if not math.isnan(score)}
    if not finished:
        raise ValueError(f"none of the {len(scored)} candidates has a score: all of their trainings diverged.")
    return max(finished, key=lambda settings: finished[settings])


def validation_dataset(dataset: Dataset, *, fraction: float = FRACTION, seed: int, folds: int = 0) -> Dataset:
    """A data set whose test part is a part of the training pool: what tuning is given instead of the data set.

    Args:
        dataset: only its training pool is read.
        fraction: share of each class of the pool that becomes the test part.
        seed: seed of the split; with ``folds`` the number of the fold.
        folds: 2 or more to deal the pool to so many parts, each class spread evenly, and to take one of them. Then
            every sample is in one of them but the only one of a class.

    Returns:
        A data set with the rest of the pool for training. Classes too small to give a sample stay whole. Where the
        data have a validation part, it is that.

    Raises:
        ValueError: no class is large enough to give a sample.

    Example:
        >>> from equiangular.data import load_dataset
        >>> digits = load_dataset("digits")
        >>> inner = validation_dataset(digits, fraction=0.2, seed=0)
        >>> len(inner.train_y) + len(inner.test_y) == len(digits.train_y)
        True
    """
    stated = dataset.holdout
    if stated is not None:
        rows = stated.numpy()
    elif folds:
        rows = np.flatnonzero(_fold_of(dataset.train_y.numpy(), folds) == seed)
    else:
        rows = holdout_indices(dataset.train_y, fraction, seed=seed)
    kept = torch.from_numpy(others(rows, len(dataset.train_y)))
    held = torch.from_numpy(rows)
    return replace(
        dataset,
        train_x=select(dataset.train_x, kept),
        train_y=dataset.train_y[kept],
        test_x=select(dataset.train_x, held),
        test_y=dataset.train_y[held],
        holdout=None,
    )


def _fold_of(labels: np.ndarray, folds: int) -> np.ndarray:
    """(N,) the fold of each sample; -1 for the only one of its class, without which a fit would not know the class."""
    order = np.lexsort((np.random.default_rng(FIRST_SEED).random(len(labels)), labels))
    order = order[np.bincount(labels)[labels[order]] > 1]
    fold = np.full(len(labels), -1)
    fold[order] = np.arange(len(order)) % folds
    return fold


def tuning_folds(dataset: Dataset, *, fraction: float = FRACTION) -> int:
    """In how many folds fits are tuned: 0 where a share of every class can be held out at once.

    Where it cannot, what is chosen is chosen for the larger classes: logistic regression with the prior taken out had a
    strength that cost 7 points on banking77 at 50 : 1 (docs/pretrained.md). A closed form's leave-one-out sees them.
    """
    if dataset.holdout is not None or not without_validation(dataset, fraction):
        return 0
    held = int(dataset.train_counts[dataset.train_counts > 1].sum())
    return min(held, 5 if len(dataset.train_y) <= FEW_FITTED else 3)


def without_validation(dataset: Dataset, fraction: float = FRACTION, *, folds: int = 0) -> list[int]:
    """The classes too small to give a sample of the training pool for validation."""
    if folds:
        held = dataset.train_counts - 1
    elif dataset.holdout is not None:
        held = np.bincount(dataset.train_y[dataset.holdout].numpy(), minlength=dataset.num_classes)
    else:
        held = holdout_counts(dataset.train_counts, fraction)
    return [int(k) for k in np.flatnonzero(held == 0)]


def check_effort(effort: str) -> str:
    """Raise unless ``effort`` is one of :data:`EFFORTS`."""
    return check_choice(effort, EFFORTS, "tune")
