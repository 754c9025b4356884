"""Whether a held-out part says enough to calibrate a prior correction on it: reasons to leave the correction out."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular.posthoc.prior import balanced_shares


def too_little(labels: Tensor, num_classes: int) -> str:
    """Why a validation part is too small to calibrate a prior correction on; empty where it is not.

    It has to have as many samples as there are classes, and samples of half of them: with less, scale and strength rest
    on their priors alone, and on small tables the correction then cost 5 to 7 points of balanced accuracy.

    Example:
        >>> too_little(torch.tensor([0, 0, 1]), 8)[:58]
        'prior correction left out: the held-out part has 3 samples'
    """
    present = len(torch.unique(labels))
    if len(labels) >= num_classes and present >= max(2, num_classes / 2):
        return ""
    return (
        f"prior correction left out: the held-out part has {len(labels)} samples of {present} of the {num_classes} "
        "classes, too little to calibrate it on"
    )


def does_harm(before: Tensor, after: Tensor, labels: Tensor) -> str:
    """Why a correction is left out that worsens the held-out part it was fitted on; empty where it does not.

    D = mean over the classes present of the change in accuracy, with its standard error over the samples, each class's
    variance taken from all samples (one sample has none). Where classes are absent from the held-out part nothing
    bounds the shift towards them, and a class of one sample can take nearly everything: accuracy fell from 80 % to
    6 %. Left out where D < -2 standard errors and more than half of the balanced accuracy is lost: what a correction
    gives to absent classes, it may take from the present ones, but not most of it. ``before`` and ``after``, (N,) bool,
    say what is right without and with the correction; labels (N,) are int64.

    Example:
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
        >>> does_harm(torch.ones(8) > 0, torch.zeros(8) > 0, y)[:46], does_harm(y > 0, y < 1, y)
        ('prior correction left out: on the held-out par', '')
    """
    change = after.double() - before.double()
    shares = balanced_shares(labels)
    was, difference = float(shares @ before.double()), float(shares @ change)
    error = float(change.std(correction=0) * shares.square().sum().sqrt())
    if difference < -2 * error and was + difference < was / 2:
        return (
            f"prior correction left out: on the held-out part it lowers balanced accuracy from {100 * was:.1f} to "
            f"{100 * (was + difference):.1f} %"
        )
    return ""


def all_right(right: Tensor) -> str:
    """Why held-out samples that are all classified right say nothing about a scale; empty where one is wrong.

    The likelihood of such samples rises with the scale for ever, so what a calibration returns is its own starting
    point or limit.

    Args:
        right: (N,) bool.

    Example:
        >>> all_right(torch.ones(3) > 0), all_right(torch.arange(3) > 0)
        ('prior correction left out: all 3 held-out samples are classified right', '')
    """
    if bool(right.all()):
        return f"prior correction left out: all {len(right)} held-out samples are classified right"
    return ""
