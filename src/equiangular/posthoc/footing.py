"""Whether a held-out part says enough to calibrate a prior correction on it: reasons to leave the correction out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equiangular._counted import counted
from equiangular.posthoc.calibration import calibrate_prior_correction
from equiangular.posthoc.prior import prior_corrected_logits

_FOLDS = 5


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
        f"prior correction left out: the held-out part has {counted(len(labels), 'sample')} of {present} of the "
        f"{num_classes} classes, too little to calibrate it on"
    )


def crossed_logits(logits: Tensor, labels: Tensor, prior: Any) -> Tensor:
    """Held-out logits, each corrected with a scale and a strength that were fitted without its sample.

    A correction that is scored on the samples it was fitted on flatters itself. The samples, in the order of their
    classes, are dealt to five folds; each fold is corrected by what the other four say, see
    :func:`equiangular.posthoc.calibrate_prior_correction` for the arguments. A fold whose others have one class alone
    stays as it is. Returns (N, K) in the dtype of ``logits``.

    Example:
        >>> y = torch.arange(2).repeat_interleave(10)
        >>> crossed_logits(torch.eye(2)[y], y, [10, 10]).argmax(1).equal(y)
        True

    Source: Stone, Cross-validatory choice and assessment of statistical predictions, J. R. Stat. Soc. B 36, 1974.
    """
    fold = torch.empty_like(labels)
    fold[labels.argsort(stable=True)] = torch.arange(len(labels), device=labels.device) % _FOLDS
    after = logits.clone()
    for index in fold.unique():
        own, others = fold == index, fold != index
        if len(labels[others].unique()) > 1:
            fitted = calibrate_prior_correction(logits[others], labels[others], prior)
            after[own] = prior_corrected_logits(logits[own], prior, **fitted._asdict())
    return after


def target_shares(labels: Tensor, target_prior: Tensor) -> Tensor:
    """What each sample counts for in the accuracy under a prior (K,) over the classes present: (N,) float64, 1 in all.

    Example:
        >>> target_shares(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0]))
        tensor([0.1250, 0.1250, 0.7500], dtype=torch.float64)
    """
    shares = target_prior.to(labels.device, torch.float64)[labels] / torch.bincount(labels)[labels]
    return shares / shares.sum()


def does_harm(
    before: Tensor, after: Tensor, labels: Tensor, num_classes: int, target_prior: Tensor | None = None
) -> str:
    """Why a correction is left out that worsens the held-out part it was fitted on; empty where it does not.

    The accuracy is that under the target prior rho, which Bayes' rule makes largest: the classes present weigh rho_k,
    and share it out among their samples. Of the uniform prior it is the balanced accuracy. Left out where both hold:

    * The accuracy over the C classes present falls from b to a beyond chance. With d_i in {-1, 0, 1} the
      change of sample i and s_i its share, a - b = sum_i s_i d_i. Were the correction neither good nor bad, the sign of
      each change would be a toss, of standard error sqrt(sum_i s_i^2 d_i^2). Below -2 of these is McNemar's test, each
      sample weighted as the accuracy weights it. One sample of a rare class decides nothing.
    * a < r b, r the sum of rho over the C classes, C/K if uniform. What the absent classes get is not seen, and what
      they get the present ones lose. Even if the absent ones were right as often as the present ones after the
      correction, and never before it, the accuracy over all K would fall. With all classes present any loss beyond
      chance will do.

    The samples are those of the fit, which flatters the correction: what harms even these does harm.

    Args:
        before: (N,) bool: what is right without the correction.
        after: (N,) bool: what is right with it.
        labels: (N,) int64.
        num_classes: K.
        target_prior: rho as (K,) positive weights; uniform by default.

    Example:
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
        >>> does_harm(torch.ones(8) > 0, torch.zeros(8) > 0, y, 2)[:46], does_harm(y > 0, y < 1, y, 2)
        ('prior correction left out: on the held-out par', '')

    Source: McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12, 1947.
    """
    rho = torch.ones(num_classes, dtype=torch.float64, device="cpu") if target_prior is None else target_prior.double()
    rho = rho.to(labels.device) / float(rho.sum())
    shares, change = target_shares(labels, rho), after.double() - before.double()
    present = float(rho[labels.unique()].sum())
    was, now = (float(shares @ right.double()) for right in (before, after))
    if now - was < -2 * float((shares * change).norm()) and now < present * was:
        uniform = bool((rho == rho[0]).all())
        measure = "balanced accuracy" if uniform else "the accuracy under the target prior"
        return (
            f"prior correction left out: on the held-out part it lowers {measure} from {100 * was:.1f} to "
            f"{100 * now:.1f} %, more than chance would"
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
