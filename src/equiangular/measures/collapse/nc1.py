"""NC1 and its kin: variance within classes beside that between them, and how many directions both use."""

import math

import torch
from torch import Tensor

from equiangular.measures.collapse.pairs import pair_measures

# Share of the largest variance below which a direction is the rounding of features in single precision, squared.
NOISE = 1e-12


def nc1_pinv(within: Tensor, means: Tensor, *, rank: int | None = None) -> Tensor:
    """tr(S_W S_B^+) / K with S_B = M^T M / K, by an eigenproblem of the smaller of K and d.

    With M M^T = V diag(lambda) V^T, S_B^+ = K M^T V diag(lambda^-2) V^T M, so that

        tr(S_W S_B^+) / K = sum_i v_i^T M S_W M^T v_i / lambda_i^2.

    M has rank K-1 at most, because centred means are dependent: at most K-1 eigenvalues are kept, and those above
    the rounding of the features, see :func:`between_basis`. A noise direction that slipped through would be divided by
    almost nothing. For d < K the d x d matrix M^T M is decomposed instead. Returns a 0-dim tensor; NaN for fewer than
    two classes, and where all features are the same; infinite where all means coincide and S_W is not 0.

    Args:
        within: S_W (d, d), within-class covariance, (1/N) sum_n (h_n - mu_y)(h_n - mu_y)^T.
        means: M (K, d), centred class means.
        rank: largest rank that M can have, K-1 by default; K for some classes seen from the mean of all.

    Example:
        >>> means = torch.eye(3, dtype=torch.float64) - 1 / 3
        >>> round(float(nc1_pinv(0.01 * torch.eye(3, dtype=torch.float64), means)), 6)
        0.02

    Source: Papyan, Han and Donoho 2020, PNAS 117(40), NC1.
    """
    if means.shape[0] < 2:
        return means.new_tensor(math.nan)
    return nc1_of_basis(within, between_basis(means, rank=rank))


def nc1_of_basis(within: Tensor, rows: Tensor) -> Tensor:
    """:func:`nc1_pinv` given what :func:`between_basis` makes of the means."""
    if not len(rows):
        return within.new_tensor(math.inf if bool(within.any()) else math.nan)
    return (((rows @ within) * rows).sum(1) / rows.square().sum(1).square()).sum()


def between_basis(means: Tensor, *, rank: int | None = None) -> Tensor:
    """Orthogonal rows R with R^T R = M^T M, at most K-1 of them: the directions in which class means differ.

    Rows sqrt(lambda_i) u_i with lambda_i, u_i the eigenvalues and eigenvectors of M^T M, found through the smaller of
    M M^T and M^T M. Kept are K-1 at most, and of those the ones with lambda_i / lambda_1 above max(K, d) eps and above
    1e-12: features of single precision that lie in a subspace leave it by rounding.
    """
    k, d = means.shape
    gram_side = k <= d
    values, vectors = torch.linalg.eigh(means @ means.T if gram_side else means.T @ means)
    keep = min(k - 1 if rank is None else rank, d)
    values, vectors = values[-keep:], vectors[:, -keep:]
    kept = values > values[-1].clamp(min=0) * max(max(k, d) * torch.finfo(values.dtype).eps, NOISE)
    values, vectors = values[kept], vectors[:, kept]
    root: Tensor = vectors.T @ means if gram_side else (vectors * values.sqrt()).T
    return root


def nc1_quotient(within_trace: Tensor, means: Tensor) -> Tensor:
    """tr S_W / tr S_B with tr S_B = (1/K) sum_c ||mu_c - mu_G||^2; needs no covariance matrix.

    Returns a 0-dim tensor; NaN for fewer than two classes, and where all features are the same.

    Args:
        within_trace: tr S_W, 0-dim.
        means: (K, d), centred class means.

    Example:
        >>> round(float(nc1_quotient(torch.tensor(0.03), torch.eye(3) - 1 / 3)), 4)
        0.045
    """
    if len(means) < 2:
        return means.new_tensor(math.nan)
    return within_trace / means.square().sum(1).mean()


def cdnv(variances: Tensor, means: Tensor) -> Tensor:
    """Class-distance normalised variance: the mean over pairs i != j of (v_i + v_j) / (2 ||mu_i - mu_j||^2).

    Tile by tile: nothing K x K is kept. Returns a 0-dim tensor; NaN for fewer than two classes. Infinite where two
    means coincide, NaN if those two classes have no variance either.

    Args:
        variances: v (K,), mean squared distance of a class's samples to its mean.
        means: (K, d), class means, centred or not.

    Example:
        >>> round(float(cdnv(torch.tensor([0.02, 0.02]), torch.tensor([[1.0], [-1.0]]))), 4)
        0.005

    Source: Galanti, Gyoergy and Hutter 2022, ICLR.
    """
    return pair_measures(means - means.mean(0), variances=variances, wanted=("cdnv",))["cdnv"]


def variability_collapse_index(within: Tensor, means: Tensor, *, rank: int | None = None) -> Tensor:
    """VCI = 1 - tr(S_T^+ S_B) / rank(S_B) with S_T = S_W + S_B: 0 at collapse, 1 where means coincide.

    Invariant under any invertible linear map of the features, unlike NC1's quotient. With S_B = R^T R, R (r, d), it
    equals tr((I + R S_W^-1 R^T)^-1) / r (Woodbury), and is computed so, by two Cholesky factorisations: near collapse
    the definition is 1 less a number that rounds to 1. Where S_W is singular or close to it, S_T is decomposed into
    eigenvectors instead. The rank rule: of S_T the eigenvalues above 1e-12 of the largest count, of S_B those that
    :func:`between_basis` keeps; what is below is the rounding of the features. So nothing depends on the order of the
    samples. Returns a 0-dim tensor; NaN for fewer than two classes or where all means coincide.

    Args:
        within: S_W (d, d).
        means: M (K, d), centred class means; S_B = M^T M / K.
        rank: largest rank that M can have, see :func:`nc1_pinv`.

    Example:
        >>> means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> round(float(variability_collapse_index(0.25 * torch.eye(2, dtype=torch.float64), means)), 4)
        0.2

    Source: Xu and Liu, "Quantifying the variability collapse of neural networks", ICML 2023.
    """
    k = len(means)
    if k < 2 or not bool(torch.isfinite(means).all()):
        return means.new_tensor(math.nan)
    return vci_of_basis(within, between_basis(means, rank=rank), k)


def vci_of_basis(within: Tensor, rows: Tensor, num_classes: int) -> Tensor:
    """:func:`variability_collapse_index` given what :func:`between_basis` makes of the means."""
    rows = rows / math.sqrt(num_classes)
    trace = within.trace()
    if not len(rows) or not bool(torch.isfinite(trace)):
        return within.new_tensor(math.nan)
    if not bool(trace > 0):
        return within.new_tensor(0.0)
    symmetric = (within + within.T) / 2
    factor, failed = torch.linalg.cholesky_ex(symmetric)
    smallest, total = factor.diagonal().square().min(), trace + rows.square().sum()
    if bool(failed) or not bool(smallest > 100 * NOISE * total):  # perhaps singular: look at the eigenvalues
        return _vci_of_kept(symmetric, rows)
    solved = torch.linalg.solve_triangular(factor, rows.T, upper=False)
    identity = torch.eye(len(rows), dtype=within.dtype, device=within.device)
    inner = torch.linalg.cholesky(identity + solved.T @ solved)
    root: Tensor = torch.linalg.solve_triangular(inner, identity, upper=False)
    return root.square().sum() / len(rows)


def _vci_of_kept(within: Tensor, rows: Tensor) -> Tensor:
    """VCI by the eigenvectors of S_T that are kept, V, with eigenvalues lambda.

    In units of W = V lambda^(-1/2), S_T is the identity and S_B is I - W^T S_W W. So with orthonormal rows Q of the
    range of S_B there, r - tr(S_B) = tr(Q W^T S_W W Q^T): a sum of small numbers near collapse, not 1 less one near 1.
    """
    values, vectors = torch.linalg.eigh(within + rows.T @ rows)
    kept = values > NOISE * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    between = between_basis(rows @ vectors, rank=len(rows))
    white = vectors / values.sqrt()
    basis = torch.linalg.qr((between / values.sqrt()).T).Q
    index: Tensor = ((white.T @ within @ white @ basis) * basis).sum() / basis.shape[1]
    return index


def effective_rank(vectors: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values: between 1 and the rank; K-1 for a centred simplex ETF.

    Returns a 0-dim tensor; NaN for a zero matrix or one with NaN.

    Args:
        vectors: (K, d), such as centred class means.

    Example:
        >>> round(float(effective_rank(torch.eye(4) - 0.25)), 4)
        3.0

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.
    """
    if not bool(torch.isfinite(vectors).all()):
        return vectors.new_tensor(math.nan)
    values = torch.linalg.svdvals(vectors)
    entropy: Tensor = torch.special.entr(values / values.sum()).sum()
    return entropy.exp()
