"""Class vectors as similar to each other as the classes are, before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import check_features, check_int, check_num_classes
from equiangular.frames.haar import haar_orthonormal


def class_mean_frame(
    means: Tensor,
    dim: int,
    *,
    similarity: float = 1.0,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    r"""Unit vectors whose cosines are those of class means, as of the inputs of a network that is yet to be trained.

    .. math:: W W^\top \approx (1 - s)\,M M^\top + s\,C, \quad C_{ij} = \cos(\mu_i - \bar\mu,\; \mu_j - \bar\mu)

    M M^T is the Gram matrix of the simplex ETF, mu_i the mean of class i, mu-bar the mean of the class means and s the
    similarity: 0 gives the ETF, 1 the cosines of the means. The Gram matrix is factored by its largest ``dim``
    eigenvalues, the rows brought to norm 1, and the result turned to a random orientation. Exact where its rank, K - 1
    at most for s = 0 or more dimensions of the means than classes, is at most ``dim``.

    Why: with few samples of many classes, such as intents of short texts, a class may lie closer to a similar one than
    to another, and bounded logits can then say so. See docs/answer.md for where that pays.

    Args:
        means: (K, p) floating point: one mean for each class.
        dim: d >= 1.
        similarity: s in [0, 1].
        seed: seed of the orientation.
        device: device of the result, that of ``means`` by default.
        dtype: dtype of the result, torch's default if None; computed in float64 on the CPU.

    Returns:
        (K, d), unit rows.

    Raises:
        ValueError: fewer than 2 classes, NaN, a similarity outside [0, 1], a class whose mean is the mean of all, or
            two classes with the same vector.

    Example:
        >>> means = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> frame = class_mean_frame(means, 3, dtype=torch.float64)
        >>> bool(frame[0] @ frame[1] > 0), bool(frame[0] @ frame[2] < 0)  # the first two are alike
        (True, True)

    Source: this project, docs/answer.md. Learned class vectors that start at class means of features: Qi, Brown and
    Lowe, "Low-shot learning with imprinted weights", CVPR 2018.
    """
    check_features(means, name="means")
    k = check_num_classes(len(means))
    d = check_int(dim, "dim", minimum=1)
    if isinstance(similarity, bool) or not isinstance(similarity, (int, float)) or not 0 <= similarity <= 1:
        raise ValueError(f"similarity must lie in [0, 1], got {similarity!r}: 0 is the ETF, 1 follows the class means.")
    place = means.device if device is None else device
    centred = means.detach().cpu().double()
    centred = centred - centred.mean(0)
    norms = torch.linalg.vector_norm(centred, dim=1)
    if similarity and float(norms.min()) <= 1e-12 * float(norms.max()):
        raise ValueError(
            f"the mean of class {int(norms.argmin())} is the mean of all class means, so that it has no direction. "
            "Use similarity=0, or other features."
        )
    unit = torch.nn.functional.normalize(centred, dim=1)
    with torch.device("cpu"):
        etf = (torch.eye(k, dtype=torch.float64) - 1 / k) * (k / (k - 1))
        values, vectors = torch.linalg.eigh((1 - similarity) * etf + similarity * unit @ unit.T)
        kept = min(d, int((values > 1e-10 * k).sum()))
        frame = torch.nn.functional.normalize(vectors[:, -kept:] * values[-kept:].sqrt(), dim=1)
        cosines = (frame @ frame.T).fill_diagonal_(-1)
        if float(cosines.max()) > 1 - 1e-9:
            i, j = divmod(int(cosines.argmax()), k)
            raise ValueError(
                f"classes {i} and {j} would have the same vector in {d} dimensions, and no feature could tell them "
                "apart. Use a similarity below 1, or a larger dim."
            )
        frame = frame @ haar_orthonormal(d, kept, seed=seed).T
    return frame.to(device=place, dtype=dtype or torch.get_default_dtype())
