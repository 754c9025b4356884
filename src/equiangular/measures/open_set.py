"""Open set: how unlike every known class a sample is, and how well a score tells unknown samples from known ones."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._scaled import near_one
from equiangular._validate import check_choice, check_features, check_int
from equiangular.heads import Head
from equiangular.heads.functional import unit_normalize

Score = Literal["neco", "vertex", "max_cosine", "msp", "energy"]
SCORES: tuple[Score, ...] = get_args(Score)


@torch.no_grad()
def ood_score(
    features: Tensor, head_or_weight: Head | Tensor, method: Score = "neco", *, subspace: Tensor | None = None
) -> Tensor:
    """How far a sample is from the known classes: the larger, the more likely it belongs to none of them.

    With features h, class vectors w_k and logits z:

    - ``"neco"``: -||P h|| / ||h||, with P the orthogonal projection onto the span of the class vectors, or onto
      ``subspace``. Where features have collapsed, known samples lie in the span of the class means, and unknown ones
      tend to be orthogonal to it (Ammar et al. 2024, eq. 6).
    - ``"vertex"``: min_k ||h - w_k||, the distance to the nearest vertex. On unit features it ranks as ``max_cosine``.
    - ``"max_cosine"``: -max_k cos(h, w_k).
    - ``"msp"``: 1 - max_k softmax(z)_k (Hendrycks and Gimpel 2017).
    - ``"energy"``: -log sum_k exp(z_k) (Liu et al. 2020).

    Returns (B,) in float32, or float64 for float64 features. A zero feature has the score of no evidence for any class:
    NECO 0, cosine 0.

    Args:
        features: h (B, d) floating point; of a head, what ``head(x, pre_logits=True)`` gives.
        head_or_weight: the head, whose scale and bias make the logits, or class vectors (K, d), whose logits are
            h W^T; class means are class vectors too.
        method: the score.
        subspace: (d, r) orthonormal columns that ``"neco"`` projects onto, such as :func:`principal_subspace` of the
            training features, which is what its authors take.

    Raises:
        ValueError: no features, NaN, widths that differ, an unknown method, a head without classes, or class vectors
            that span all d dimensions, where NECO is 1 for every sample.

    Example:
        >>> from equiangular import ETFHead
        >>> head = ETFHead(8, 5)
        >>> h = torch.cat([head.weight, head.weight + 3 * torch.randn(5, 8)])
        >>> score = ood_score(torch.nn.functional.normalize(h), head, "neco")
        >>> bool(score[:5].max() < score[5:].min())
        True

    Source: Ammar et al., "NECO: neural collapse based out-of-distribution detection", ICLR 2024; Hendrycks and Gimpel,
    ICLR 2017; Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020.
    """
    check_choice(method, SCORES, "method")
    head = head_or_weight if isinstance(head_or_weight, Head) else None
    if head is not None and not head.num_classes:
        raise ValueError("a head with num_classes=0 has no classes to compare with; pass class vectors (K, d).")
    weight = head_or_weight.class_vectors() if isinstance(head_or_weight, Head) else head_or_weight
    check_features(weight, name="weight")
    h = check_features(features, dim=weight.shape[1])
    if not len(h):
        raise ValueError(f"features is empty (shape {tuple(h.shape)}); there is nothing to score.")
    if subspace is not None and method != "neco":
        raise ValueError(f"subspace is for method='neco' only, got method={method!r}.")
    dtype = torch.promote_types(h.dtype, torch.float32)
    h, weight = h.to(dtype), weight.detach().to(h.device, dtype)
    if method == "neco":
        basis = _span(weight) if subspace is None else _check_subspace(subspace, h)
        share: Tensor = torch.linalg.vector_norm(unit_normalize(h) @ basis, dim=1)  # 0 for h = 0
        return -share
    if method == "vertex":
        return torch.cdist(h, weight, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    if method == "max_cosine":
        return -(unit_normalize(h) @ unit_normalize(weight).T).amax(1)
    logits = h @ weight.T if head is None else head.logits_from_features(h.to(head.scale.dtype)).to(dtype)
    return 1 - logits.softmax(1).amax(1) if method == "msp" else -logits.logsumexp(1)


@torch.no_grad()
def principal_subspace(features: Tensor, rank: int) -> Tensor:
    """The r directions along which features are largest: the first right singular vectors of H (N, d), not centred.

    No linear subspace of dimension r keeps more of sum_n ||h_n||^2. Features that have been standardised have mean
    zero, and for them this is principal component analysis, as in NECO; the features to score are standardised alike.
    Returns (d, r), orthonormal columns, in the dtype of ``features``; computed in float64.

    Args:
        features: H (N, d) floating point, of known training samples.
        rank: r in [1, d - 1]: the number of classes K, or the dimension chosen on validation data.

    Raises:
        ValueError: no features, NaN, or a rank out of range.

    Example:
        >>> principal_subspace(torch.tensor([[3.0, 0.0], [1.0, 0.0]]), 1).abs()
        tensor([[1.],
                [0.]])
    """
    check_features(features)
    d = features.shape[1]
    if check_int(rank, "rank", minimum=1) >= d:
        raise ValueError(f"rank must be below the width d={d} of the features, got {rank}: nothing would be left out.")
    if not len(features):
        raise ValueError("features is empty; a principal subspace needs training samples.")
    h = near_one(features.detach().double())[0]
    vectors: Tensor = torch.linalg.eigh(h.T @ h)[1]
    return vectors[:, -rank:].flip(1).to(features.dtype)


@dataclass(frozen=True)
class OpenSetResult:
    """Outcome of :func:`open_set_measures`.

    Attributes:
        auroc: area under the ROC curve: probability that an unknown sample has the larger score, ties half; 0.5 is
            chance.
        fpr95: share of unknown samples taken for known where 95 % of the known ones are.
        num_known: known samples.
        num_unknown: unknown samples.
    """

    auroc: float
    fpr95: float
    num_known: int
    num_unknown: int


def open_set_measures(known: Tensor, unknown: Tensor) -> OpenSetResult:
    """How well a score tells unknown samples from known ones.

    Returns AUROC and FPR at 95 % TPR, known samples being the positives.

    Args:
        known: (N,) scores of samples of known classes.
        unknown: (M,) scores of samples of none of them; the larger, the more unknown.

    Raises:
        ValueError: empty or not one-dimensional scores, or NaN.
        ImportError: scikit-learn is missing.

    Example:
        >>> open_set_measures(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.25, 0.9])).auroc
        0.833...
    """
    for name, scores in (("known", known), ("unknown", unknown)):
        if scores.ndim != 1 or not len(scores) or not bool(torch.isfinite(scores).all()):
            raise ValueError(
                f"{name} must hold one finite score for each of at least one sample, got shape {tuple(scores.shape)}"
                f"{'' if scores.ndim != 1 or not len(scores) else ' with NaN or infinity'}."
            )
    metrics = require("sklearn.metrics", extra="train", purpose="The ROC curve")
    is_known = np.repeat([1, 0], [len(known), len(unknown)])
    familiarity = -torch.cat([known.double().cpu(), unknown.double().cpu()]).numpy()
    false_rate, true_rate, _ = metrics.roc_curve(is_known, familiarity, drop_intermediate=False)
    fpr95 = float(false_rate[(true_rate >= 0.95).argmax()])
    return OpenSetResult(float(metrics.roc_auc_score(is_known, familiarity)), fpr95, len(known), len(unknown))


def _span(weight: Tensor) -> Tensor:
    """Orthonormal basis (d, r) of the span of the class vectors."""
    _, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    limit = values[0] * max(weight.shape) * torch.finfo(weight.dtype).eps
    rank = int((values > limit).sum())
    if rank == weight.shape[1]:
        raise ValueError(
            f"the class vectors span all {rank} dimensions of the features, so ||P h|| / ||h|| is 1 for every sample. "
            "Score the features before the projection, pass subspace=principal_subspace(training features, rank), or "
            "take another method."
        )
    basis: Tensor = right[:rank].T
    return basis.to(weight.dtype)


def _check_subspace(subspace: Any, h: Tensor) -> Tensor:
    if not isinstance(subspace, Tensor) or subspace.ndim != 2 or subspace.shape[0] != h.shape[1]:
        received = tuple(subspace.shape) if isinstance(subspace, Tensor) else type(subspace).__name__
        raise ValueError(f"subspace must have shape (d, r) with d={h.shape[1]}, got {received}.")
    basis = subspace.detach().to(h)
    error = (basis.T @ basis - torch.eye(basis.shape[1], device=h.device, dtype=h.dtype)).abs().max()
    if not bool(error < 1e-3):
        raise ValueError(f"subspace must have orthonormal columns, they are off by {float(error):.2g}.")
    return basis
