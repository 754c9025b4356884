"""None of these: how unlike every known class inputs are, and the threshold that a run's held-out part sets."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from equiangular._validate import check_int
from equiangular.data.split import stream_batches
from equiangular.measures import ood_score
from equiangular.posthoc import rejection_threshold
from equiangular.training.model.classifier import Classifier
from equiangular.training.run.collapse import run_of, training_split


@torch.no_grad()
def probabilities_and_doubt(classifier: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Calibrated probabilities (B, K) of raw inputs (B, *input_shape), and how unlike all classes they are, (B,).

    The second is minus the largest cosine with a class vector where the head has features of unit norm, and 1 minus the
    largest probability where it has not. ``docs/open_set.md`` has what each of them tells apart. The cosine does not
    depend on the class prior.
    """
    features, probabilities = features_and_probabilities(classifier, encoded(classifier, x))
    return probabilities, doubt_of(classifier, features, probabilities)


def encoded(classifier: Classifier, x: Tensor) -> Tensor:
    """What the backbone makes of raw inputs: the input of the head, (B, in_features)."""
    hidden: Tensor = classifier.backbone(classifier.standardize(x))
    return hidden


def features_and_probabilities(classifier: Classifier, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What class vectors are compared with, (B, dim), and calibrated probabilities (B, K), of the head's input."""
    features, logits = classifier.head.features_and_logits(hidden)
    return features, (logits * classifier.scale - classifier.shift).softmax(1)


def doubt_of(classifier: Classifier, features: Tensor, probabilities: Tensor) -> Tensor:
    """How unlike all classes the inputs are, (B,), see :func:`probabilities_and_doubt`."""
    if classifier.head.normalize:
        return ood_score(features, classifier.head, "max_cosine")
    return 1 - probabilities.amax(1)


def run_rejection_threshold(
    classifier: Classifier, run: str | Path, rate: float, *, root: str | None = None, batch_size: int = 256
) -> float:
    """The doubt above which at most a share ``rate`` of inputs of known classes lies, by the run's held-out part.

    Args:
        classifier: the model of the run, with the class prior of its predictions, on the device to compute on.
        run: the run's folder, or a model folder in it. Its data are read again.
        rate: in (0, 1), see :func:`equiangular.posthoc.rejection_threshold`. The held-out part also chose the epoch of
            ``RUN/best`` and calibrated the probabilities, which flatters its scores a little.
        root: folder of named data sets; by default that of the run.
        batch_size: samples at a time.

    Raises:
        ValueError: no run there, data that have changed or cannot be found, or a held-out part that is too small.
    """
    check_int(batch_size, "batch_size", minimum=1)
    folder = run_of(run)
    if not folder.config.is_file():
        raise ValueError(
            f"a threshold is calibrated on the held-out part of a run, and {str(run)!r} is a model without its run "
            "(no config.yaml beside it). Name the folder that 'equiangular train' has written."
        )
    split = training_split(folder, folder.read_config(), root=root)
    parts = torch.arange(len(split.holdout_y)).split(batch_size)
    device = classifier.shift.device
    batches = stream_batches(split.holdout_x, iter(parts))
    doubts = [probabilities_and_doubt(classifier, x.to(device))[1].cpu() for x in batches] if len(parts[0]) else []
    return rejection_threshold(torch.cat([torch.empty(0), *doubts]), rate)
