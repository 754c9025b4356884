"""Haar-random orthonormal columns: the sign-fixed QR factor of a Gaussian matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from equiangular._random import make_generator
from equiangular._validate import check_int


def haar_orthonormal(rows: int, columns: int, *, seed: int) -> Tensor:
    """Orthonormal columns, uniformly distributed (Haar measure on the Stiefel manifold).

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q; without them the result is not Haar
    (Mezzadri, section 5). The Gaussian numbers depend on the seed alone; LAPACK rounds by thread count and
    processor, so two machines agree to some 1e-15, not to the last bit.

    Args:
        rows: d.
        columns: n <= d.
        seed: seed of a local CPU generator.

    Returns:
        Q (d, n) float64 on the CPU with Q^T Q = I.

    Raises:
        ValueError: n < 1, d < n, or a bad seed.

    Example:
        >>> q = haar_orthonormal(5, 3, seed=0)
        >>> torch.allclose(q.T @ q, torch.eye(3, dtype=torch.float64))
        True

    Source: Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the AMS 54(5),
    2007.
    """
    columns = check_int(columns, "columns", minimum=1)
    rows = check_int(rows, "rows", minimum=columns, hint=f"{columns} orthonormal columns need as many rows.")
    gaussian = torch.randn(rows, columns, generator=make_generator(seed), dtype=torch.float64, device="cpu")
    q: Tensor
    q, r = torch.linalg.qr(gaussian)
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0).to(q)
