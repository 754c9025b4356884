"""All measures of collapse from one pass's moments, overall and for each group of classes."""

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from equiangular.measures.collapse.moments import (
    ClassMoments,
    GlobalMean,
    centred_means,
    directions,
    rounding,
    seen_classes,
)
from equiangular.measures.collapse.nc1 import (
    between_basis,
    cdnv,
    effective_rank,
    nc1_of_basis,
    nc1_quotient,
    vci_of_basis,
)
from equiangular.measures.collapse.nc2 import equinorm, mean_cosine, partial_etf_distance
from equiangular.measures.collapse.nc3 import alignment, gram_alignment, self_duality, uniform_duality
from equiangular.measures.collapse.pairs import pair_measures


def collapse_measures(
    moments: ClassMoments,
    *,
    weight: Tensor | None = None,
    global_mean: GlobalMean = "class",
    groups: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Neural-collapse measures of the features that ``moments`` has seen.

    Within-class covariance S_W = (1/N) sum_n (h_n - mu_y)(.)^T over samples; class variances v_c = (1/n_c) sum ||.||^2;
    between-class covariance S_B = (1/K) sum_c (mu_c - mu_G)(.)^T over the classes seen. mu_c is the mean over all
    samples of a class. Classes without samples are left out of everything, K is the number of classes seen, and fewer
    than two make NaN. A class of one sample has variance 0, which makes NC1 and CDNV smaller than they would be with
    more samples: compare runs with equal class sizes.

    Returns 0-dim tensors by name. 0 at collapse: ``nc1`` (pinv form), ``nc1_quotient``, ``cdnv``, ``vci``,
    ``nc2_equinorm``, ``nc2_equiangular`` (mean |cos + 1/(K-1)|), ``nc2_std`` (of the cosines), ``nc2_etf``, ``gnc2``,
    ``etf_distance`` (Procrustes; NaN for K > d + 1), ``nc3``, ``nc3_trace`` (its half), ``nc3_gram``, ``unc3``. Others:
    ``max_cosine`` and ``mean_cosine`` of the class means and ``weight_mean_cosine`` of the classifier vectors (-1/(K-1)
    at collapse, near 1 at minority collapse), ``effective_rank`` of the class means (K-1 at collapse),
    ``classes_seen``. ``nc1`` and ``vci`` need the covariance of the moments.

    Args:
        moments: class moments.
        weight: W (K, d), classifier vectors; adds the NC3 measures and the cosine of the classifier vectors.
        global_mean: ``"class"`` (mean of class means) or ``"sample"`` (mean of samples, leaning to the large classes).
        groups: name -> indices of classes, such as ``class_groups(counts)``; adds every measure for these classes
            alone, as ``"nc1_quotient/few"``. The global mean stays that of all classes, and the ETF to compare with
            that of all K, of which the group has some vertices. ``nc1`` and ``vci`` of a group need moments that keep a
            scatter for it: see :func:`group_slots`.
        dtype: of the products over pairs of classes: ``torch.float32`` takes about half the time, with errors of about
            1e-6 in what rests on them; by default that of the moments.

    Raises:
        ValueError: a weight of another shape, or an unknown name of the global mean.

    Example:
        >>> moments = ClassMoments.empty(3, 3).update(torch.eye(3).repeat(2, 1), torch.arange(3).repeat(2))
        >>> measured = collapse_measures(moments)
        >>> float(measured["nc1"]), float(measured["nc2_etf"]) < 1e-12
        (0.0, True)
    """
    k, d = moments.mean.shape
    if weight is not None:
        if tuple(weight.shape) != (k, d):
            raise ValueError(f"weight must have shape (K, d) = ({k}, {d}), got {tuple(weight.shape)}.")
        weight = weight.detach().to(moments.mean)
    results = _of_classes(moments, weight, global_mean, None, dtype)
    if moments.scatter is not None:
        results |= _with_covariance(moments, global_mean, None)
    results["classes_seen"] = moments.seen.sum()
    for name, classes in (groups or {}).items():
        index = torch.as_tensor(classes, dtype=torch.long, device=moments.slot.device)
        part = _of_classes(moments, weight, global_mean, index, dtype)
        if moments.scatter is not None and _has_own_slot(moments, index):
            part |= _with_covariance(moments, global_mean, index)
        results |= {f"{key}/{name}": value for key, value in part.items()}
    return results


def group_slots(num_classes: int, groups: Mapping[str, Any]) -> Tensor | None:
    """A slot for each group and one for the classes of none, for :meth:`ClassMoments.empty`; None where groups overlap.

    Example:
        >>> group_slots(4, {"many": [0], "few": [2, 3]})
        tensor([1, 0, 2, 2])
    """
    slots = torch.zeros(num_classes, dtype=torch.long)
    for number, classes in enumerate(groups.values(), start=1):
        index = torch.as_tensor(classes, dtype=torch.long)
        if bool((slots[index] > 0).any()):
            return None
        slots[index] = number
    return slots


def _has_own_slot(moments: ClassMoments, classes: Tensor) -> bool:
    """Whether exactly these classes share a scatter matrix."""
    if not len(classes):
        return False
    slot = moments.slot[classes[0]]
    return bool((moments.slot[classes] == slot).all()) and int((moments.slot == slot).sum()) == len(classes)


def _of_classes(
    moments: ClassMoments,
    weight: Tensor | None,
    global_mean: GlobalMean,
    classes: Tensor | None,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """Everything that needs no covariance matrix, for some classes seen from the global mean of all."""
    index = seen_classes(moments, classes)
    means = centred_means(moments, global_mean, classes)
    count, squares = moments.count[index], moments.squares[index]
    squares = torch.where(squares > rounding(moments) * count, squares, torch.zeros_like(squares))
    k, d = means.shape
    quotient = nc1_quotient(squares.sum() / count.sum(), means)
    distances = None
    if not bool(means.any()):  # no class, or all at one point: there is no direction to measure
        distances = cdnv(squares / count, means)
        means = means.new_full((max(1, k), d), math.nan)
    total = max(2, int(moments.seen.sum()))  # K of the ETF, for a group too
    variances = squares / count if k else means.new_full((1,), math.nan)
    pairs = pair_measures(means, variances=variances, num_classes=total, dtype=dtype)
    unit = directions(means)
    results = {
        "nc1_quotient": quotient,
        "cdnv": pairs["cdnv"] if distances is None else distances,
        "nc2_equinorm": equinorm(means) if k > 1 else means.new_tensor(math.nan),
        "nc2_equiangular": pairs["deviation"],
        "nc2_std": pairs["std"],
        "nc2_etf": pairs["etf"],
        "gnc2": pairs["gnc2"],
        "etf_distance": partial_etf_distance(means, num_classes=total),
        "max_cosine": pairs["max_cosine"],
        "mean_cosine": mean_cosine(unit),
        "effective_rank": effective_rank(means),
    }
    if weight is not None:
        rows = weight[index] if k else means
        results |= {
            "nc3": self_duality(means, rows),
            "nc3_trace": alignment(means, rows),
            "nc3_gram": gram_alignment(means, rows, num_classes=total, dtype=dtype),
            "unc3": uniform_duality(means, rows) if k > 1 else means.new_tensor(math.nan),
            "weight_mean_cosine": mean_cosine(directions(rows)),
        }
    return results


def _with_covariance(moments: ClassMoments, global_mean: GlobalMean, classes: Tensor | None) -> dict[str, Tensor]:
    """NC1 and VCI, of all classes or of a group that has a scatter matrix of its own."""
    means = centred_means(moments, global_mean, classes)
    if len(means) < 2:
        return dict.fromkeys(("nc1", "vci"), means.new_tensor(math.nan))
    scatter = cast("Tensor", moments.scatter)
    if classes is None:
        within, rank = scatter.sum(0) / moments.count.sum(), None
    else:
        within = scatter[moments.slot[classes[0]]] / moments.count[classes].sum()
        rank = min(len(means), int(moments.seen.sum()) - 1)
    if not bool(within.trace() > rounding(moments)):
        within = torch.zeros_like(within)
    if len(means) < 2 or not bool(torch.isfinite(means).all()):
        undefined = means.new_tensor(math.nan)
        return {"nc1": undefined, "vci": undefined}
    rows = between_basis(means, rank=rank)
    return {"nc1": nc1_of_basis(within, rows), "vci": vci_of_basis(within, rows, len(means))}
