"""Class vectors with prescribed cosines: a Gram matrix factored, or the nearest one that can be."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._validate import Device, Dtype, check_int, check_num_classes, check_positive
from equiangular.frames.orthogonal import haar_orthonormal


def frame_from_gram(
    gram: Tensor,
    dim: int | None = None,
    *,
    nearest: bool = False,
    seed: int = 0,
    atol: float = 1e-6,
    device: Device = None,
    dtype: Dtype = None,
) -> Tensor:
    """Unit vectors W (K, d) with W W^T = G, the cosines that the user wants between the classes.

    G = V diag(lambda) V^T gives W = V diag(sqrt(lambda)) Q^T with a Haar-random Q (d, rank) with orthonormal columns.

    Args:
        gram: G (K, K): symmetric, ones on the diagonal, positive semi-definite; tensor, array or nested sequence.
        dim: d >= rank of G; the rank if None.
        nearest: take the nearest correlation matrix where G is not positive semi-definite, see
            :func:`nearest_correlation`; else that is an error.
        seed: seed of the orientation.
        atol: how far from symmetric, from 1 on the diagonal and below 0 in the eigenvalues G may be; eigenvalues up
            to K times this do not count towards the rank.
        device, dtype: of the result, torch's defaults if None; computed in float64.

    Raises:
        ValueError: not a square matrix of numbers, not symmetric, a diagonal that is not 1, a negative eigenvalue, or
            a rank above d.

    Example:
        >>> weight = frame_from_gram([[1.0, 0.5], [0.5, 1.0]], 3)
        >>> (weight @ weight.T).round(decimals=4)
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    matrix = check_gram(gram, atol=atol)
    k = len(matrix)
    values, vectors = torch.linalg.eigh(matrix)
    if float(values[0]) < -k * atol:
        if not nearest:
            raise ValueError(
                f"no vectors have these cosines: the Gram matrix has the negative eigenvalue {float(values[0]):.4g}. "
                "Ask for nearest=True, or bring the off-diagonal entries closer to 0 or to each other."
            )
        values, vectors = torch.linalg.eigh(nearest_correlation(matrix))
    kept = values > k * atol
    rank = int(kept.sum())
    d = rank if dim is None else check_int(dim, "dim", minimum=1)
    if rank > d:
        raise ValueError(
            f"the Gram matrix has rank {rank}, got dim={d}: vectors with these cosines need {rank} dimensions. "
            "Use a larger dim or a projector before the head, or fewer distinct cosines."
        )
    weight = torch.nn.functional.normalize(vectors[:, kept] * values[kept].sqrt(), dim=1)
    weight = weight @ haar_orthonormal(d, rank, seed=seed).T
    return weight.to(device=device, dtype=dtype or torch.get_default_dtype())


def nearest_correlation(matrix: Tensor, *, tolerance: float = 1e-9, steps: int = 5000) -> Tensor:
    """The positive semi-definite matrix (K, K) float64 with a unit diagonal nearest in the Frobenius norm.

    Alternating projections with Dykstra's correction, onto the positive semi-definite matrices and onto those with a
    unit diagonal. It converges linearly; it stops where no entry changes by more than ``tolerance``, or after ``steps``
    eigen-decompositions. The last step is a projection and a rescaling of the rows, so that what is returned is a
    correlation matrix to rounding even when the steps run out.

    Raises:
        ValueError: ``matrix`` is not square or not symmetric, or has entries that are not finite.

    Example:
        >>> a = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> nearest_correlation(a).round(decimals=4)  # Higham 2002, section 4
        tensor([[1.0000, 0.7607, 0.1573],
                [0.7607, 1.0000, 0.7607],
                [0.1573, 0.7607, 1.0000]], dtype=torch.float64)

    Source: Higham, "Computing the nearest correlation matrix - a problem from finance", IMA J. Numer. Anal. 22, 2002,
    algorithm 3.3.
    """
    check_positive(tolerance, "tolerance")
    check_int(steps, "steps", minimum=1)
    current = _square(matrix)
    correction = torch.zeros_like(current)
    for _ in range(steps):
        shifted = current - correction
        values, vectors = torch.linalg.eigh(shifted)
        projected = (vectors * values.clamp(min=0)) @ vectors.T
        correction = projected - shifted
        after = projected.clone().fill_diagonal_(1)
        change, current = float((after - current).abs().max()), after
        if change <= tolerance:
            break
    values, vectors = torch.linalg.eigh(current)
    root = torch.nn.functional.normalize(vectors * values.clamp(min=0).sqrt(), dim=1)
    return (root @ root.T).fill_diagonal_(1)


def check_gram(gram: Tensor, *, atol: float = 1e-6) -> Tensor:
    """A matrix that can hold cosines ((K, K), symmetric, unit diagonal, entries in [-1, 1]) as float64 on the CPU."""
    check_positive(atol, "atol")
    matrix = _square(gram, atol)
    wrong = (matrix.diagonal() - 1).abs()
    if float(wrong.max()) > atol:
        row = int(wrong.argmax())
        raise ValueError(
            f"a Gram matrix of unit vectors has ones on its diagonal, got {float(matrix[row, row]):.6g} in row {row}. "
            "Divide row and column i by the square root of entry (i, i)."
        )
    beyond = matrix.abs().max()
    if float(beyond) > 1 + atol:
        raise ValueError(f"cosines lie in [-1, 1], got an entry of absolute value {float(beyond):.6g}.")
    return matrix


def _square(matrix: Tensor, atol: float = 1e-6) -> Tensor:
    """(K, K) float64 on the CPU, K >= 2, finite, made exactly symmetric."""
    try:
        value = torch.as_tensor(matrix, device="cpu").detach().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"a Gram matrix is a (K, K) matrix of numbers, got {type(matrix).__name__}.") from error
    if value.ndim != 2 or value.shape[0] != value.shape[1]:
        raise ValueError(f"a Gram matrix has shape (K, K), got {tuple(value.shape)}.")
    check_num_classes(len(value))
    if not torch.isfinite(value).all():
        raise ValueError("the Gram matrix has NaN or infinite entries.")
    skew = (value - value.T).abs()
    if float(skew.max()) > atol * max(1.0, float(value.abs().max())):
        row, column = divmod(int(skew.argmax()), len(value))
        raise ValueError(
            f"a Gram matrix is symmetric, got {float(value[row, column]):.6g} at ({row}, {column}) and "
            f"{float(value[column, row]):.6g} at ({column}, {row}). Use (G + G.T) / 2 if either will do."
        )
    return (value + value.T) / 2
