"""A simplex ETF whose orientation is learned: the frame turns as a whole, its geometry stays."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._autocast import without_autocast
from equiangular.heads.etf import ETFHead


def rotation_matrix(skew: Tensor, dim: int) -> Tensor:
    """The rotation R = (I + A/2) (I - A/2)^-1 of a skew-symmetric matrix A (Cayley map), differentiable in A.

    R is the identity for A = 0 and I + A to first order; every rotation without the eigenvalue -1 has such an A, so
    every one can be come arbitrarily close to. One Newton step for the orthogonal factor, R <- R (3 I - R^T R) / 2,
    takes out the rounding that the solve collects. The matrix exponential does the same at some ten times the cost.

    Args:
        skew: (dim (dim - 1) / 2,) floating point: the entries of A below its diagonal, row by row.
        dim: d.

    Returns:
        (d, d), in float32 for half precision.

    Example:
        >>> quarter_turn = rotation_matrix(torch.tensor([2.0]), 2)
        >>> bool(torch.allclose(quarter_turn, torch.tensor([[0.0, -1.0], [1.0, 0.0]]), atol=1e-6))
        True
    """
    wide = skew.to(torch.promote_types(skew.dtype, torch.float32))
    rows, columns = torch.tril_indices(dim, dim, -1, device=skew.device)
    lower = wide.new_zeros(dim, dim).index_put((rows, columns), wide)
    half = (lower - lower.T) / 2
    eye = torch.eye(dim, device=wide.device, dtype=wide.dtype)
    rotation: Tensor = torch.linalg.solve(eye - half, eye + half)  # the two factors commute
    return rotation @ (1.5 * eye - 0.5 * (rotation.T @ rotation))


class RotatedETFHead(ETFHead):
    """Logits = scale cos(h, m_k R) with a fixed simplex ETF m and a learned rotation R (d, d).

    Inner products of the class vectors stay -1/(K-1) whatever R, so no class can crowd out another; but the frame may
    turn to where the features are. R starts as the identity, so that an untrained head is the :class:`ETFHead` of the
    same seed. It is made anew at every use, at a cost of O(d^3): see :func:`rotation_matrix`. Weight decay pulls it
    towards the identity.

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features.
        options: see :class:`ETFHead` and :class:`Head`.

    Attributes:
        weight: (K, dim) class vectors in their present orientation, frame R; carries the gradient of R.
        frame: (K, dim) the frame before the rotation, a persistent buffer.
        skew: (dim (dim - 1) / 2,) what is learned; None once the rotation is baked in.

    Raises:
        ValueError: ``dim`` < K - 1, where no such frame exists, or an argument out of its range.

    Example:
        >>> head = RotatedETFHead(4, 3)
        >>> head.weight.shape, head.head_parameters()
        (torch.Size([3, 4]), 6)
        >>> torch.equal(head.weight, ETFHead(4, 3).weight)
        True

    Source: Peifeng et al., "Feature directions matter: long-tailed learning via rotated balanced representation",
    ICML 2023; the Cayley map as coordinates of the rotation is a choice of ours.
    """

    frame: Tensor
    skew: Tensor | None
    _map_parameters = ("projection.", "skew")

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # made anew at every use, not stored
        """The class vectors in their present orientation, (K, dim)."""
        if self._buffers.get("frame") is None:
            raise AttributeError("weight")  # nn.Module then looks among its buffers: None for 0 classes
        if self.skew is None:
            return self.frame
        with without_autocast(self.frame):
            rotation = rotation_matrix(self.skew, self.dim)
            return (self.frame.to(rotation.dtype) @ rotation).to(self.frame.dtype)

    def logits_from_features(self, h: Tensor) -> Tensor:
        """Logits (..., K) of features h (..., dim), as ``forward(x, pre_logits=True)`` gives them."""
        return F.linear(h, self.weight) * self.scale if self.num_classes else h

    def bake(self) -> RotatedETFHead:
        """Make the present orientation the frame itself, in place, and return the head: a fixed head from here on.

        For deployment: it saves making the rotation, and takes the linear solve, which ONNX lacks, out of the graph.
        """
        if self.num_classes:
            self.frame = self.weight.detach()
            self.skew = None
        return self

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_buffer("frame", vectors)
        self.register_parameter("skew", nn.Parameter(vectors.new_zeros(self.dim * (self.dim - 1) // 2)))

    def _build_classifier(self, like: Tensor) -> None:
        if not self.num_classes:
            self._buffers.pop("frame", None)
            self._parameters.pop("skew", None)
        super()._build_classifier(like)
