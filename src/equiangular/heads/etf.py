"""The fixed head: class vectors on the vertices of a simplex, never learned; the same under a learned rotation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiangular._autocast import without_autocast
from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice, have_values, values_are_readable
from equiangular.frames import BASES, load_frame, simplex_etf, spread_frame, warn_unreachable
from equiangular.frames.nonnegative import warn_beyond_reach
from equiangular.frames.structured import simplex_reach
from equiangular.heads.unstored import UnstoredFrame

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.frames.simplex import Basis
    from equiangular.heads.options import HeadOptions


class ETFHead(UnstoredFrame):
    """Logits = scale cos(h, m_k) with the m_k of a simplex equiangular tight frame, <m_i, m_j> = -1/(K-1).

    The frame is a persistent buffer: it is in the state_dict, follows ``.to()``, gets no gradient, and a checkpoint
    brings back the very frame the features were trained against. DistributedDataParallel sends it to all ranks when it
    wraps the model, and again in every forward pass, as any buffer, unless told ``broadcast_buffers=False`` (in
    newer versions ``forward_sync_buffers=False``).

    A canonical or minimal frame of 2^18 numbers or more is not stored: logits and ``targets`` come from its formula in
    O(B K) and O(B d), and the checkpoint has a ``recipe`` of three numbers in its place. ``weight`` makes the class
    vectors when it is first asked for and keeps them; once they are written to they are stored like any others.

    Args:
        basis: orientation of the frame, see :func:`equiangular.simplex_etf`; or ``"spread"``, the vectors of
            :func:`equiangular.spread_frame` for any K and d, which are a simplex ETF where there is one.
        prototypes: (K, d) unit-norm class vectors to use instead, such as ``spread_frame(K, d, objective="softmax")``,
            or the file that holds them, see :func:`equiangular.frames.load_frame`.
        in_features, num_classes, options: see :class:`Head`.

    Raises:
        ValueError: ``dim`` < K - 1, where no simplex ETF exists, an argument out of its range, or a file without a
            frame.

    Example:
        >>> head = ETFHead(64, 10, norm="batch")
        >>> x, labels = torch.randn(8, 64), torch.arange(8)
        >>> head(x).shape, head(x, pre_logits=True).shape, head.targets(labels).shape
        (torch.Size([8, 10]), torch.Size([8, 64]), torch.Size([8, 64]))

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022, section 3.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        basis: Basis | Literal["spread"] = "haar",
        prototypes: Tensor | str | Path | None = None,
        **options: Unpack[HeadOptions],
    ) -> None:
        if cast("str", basis) == "best":
            warn_renamed('basis="best"', 'basis="spread"')
            basis = "spread"
        known: tuple[Basis | Literal["spread"], ...] = (*BASES, "spread")
        self.basis: Basis | Literal["spread", "given"] = "given"
        if prototypes is None:
            self.basis = check_choice(basis, known, "basis")
        self._reach_checked = False
        if isinstance(prototypes, (str, Path)):
            prototypes = load_frame(prototypes)
        self._prototypes = prototypes.detach() if isinstance(prototypes, Tensor) else prototypes
        super().__init__(in_features, num_classes, **options)
        self._prototypes = self._prototypes if self._on_meta else None  # to be filled in later

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        if self._prototypes is not None:
            if self._prototypes.is_meta and not like.is_meta:
                raise ValueError("the prototypes were on the meta device themselves. Load a checkpoint of the head.")
            return _check_prototypes(self._prototypes, num_classes, self.dim).clone().to(like)
        if self.basis == "given":
            raise ValueError(
                f"a head of given class vectors cannot draw {num_classes} new ones; make a new head with prototypes=."
            )
        if self.basis == "spread":  # on the CPU, so that a seed gives the same frame for every device
            return spread_frame(num_classes, self.dim, seed=self.seed, dtype=like.dtype).to(like)
        if self.dim < num_classes - 1:
            raise ValueError(
                f"a simplex ETF of K={num_classes} classes needs features of width >= {num_classes - 1}, got "
                f'd={self.dim}. Pass projection="linear" (or "mlp") to learn a map to width {num_classes - 1}, or '
                f'basis="spread" for the class vectors of spread_frame({num_classes}, {self.dim}).'
            )
        if self._is_structured():
            return like  # nothing is built
        return simplex_etf(
            num_classes, self.dim, basis=self.basis, seed=self.seed, device=like.device, dtype=like.dtype
        )

    def _made_tensors(self) -> dict[str, Tensor]:
        made = super()._made_tensors()
        self._prototypes = None
        return made

    def _only_normalises(self, x: Tensor) -> bool:
        checked = self._reach_checked or not self.training  # the first step of a training looks at the features
        return checked and super()._only_normalises(x)

    def _features(self, x: Tensor) -> Tensor:
        h = super()._features(x)
        if self.training and not self._reach_checked and self.num_classes and h.numel() >= 64 and have_values(h):
            # Once, since an accelerator waits for it, and on enough entries not to have one sign by chance.
            self._reach_checked = True
            rows = h.detach().reshape(-1, self.dim)
            structure = self.structure
            if structure is None:
                warn_unreachable(rows, self.class_vectors().detach(), stacklevel=2)
            else:
                warn_beyond_reach(rows, lambda: simplex_reach(self.num_classes, self.dim, structure), stacklevel=2)
        return h

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"{super().extra_repr()}, basis={self.basis!r}"


def _check_prototypes(prototypes: Tensor, num_classes: int, dim: int) -> Tensor:
    """A (K, d) floating-point tensor with rows of norm 1."""
    if not isinstance(prototypes, Tensor) or tuple(prototypes.shape) != (num_classes, dim):
        received = tuple(prototypes.shape) if isinstance(prototypes, Tensor) else type(prototypes).__name__
        raise ValueError(f"prototypes must have shape (K, d) = ({num_classes}, {dim}), got {received}.")
    if not prototypes.is_floating_point():
        raise ValueError(f"prototypes must be floating point, got {prototypes.dtype}. Convert them with .float().")
    if values_are_readable(prototypes):
        norms = torch.linalg.vector_norm(prototypes.double(), dim=1)
        off = (norms - 1).abs()
        tolerance = 8 * torch.finfo(prototypes.dtype).eps
        if not bool((off <= tolerance).all()):
            row = int(off.nan_to_num(torch.inf).argmax())
            raise ValueError(
                f"prototypes must have rows of norm 1, row {row} has norm {float(norms[row]):.6g}. "
                "Divide each row by its norm."
            )
    return prototypes


def rotation_matrix(skew: Tensor, dim: int) -> Tensor:
    """The rotation R = (I + A/2) (I - A/2)^-1 of a skew-symmetric matrix A (Cayley map), differentiable in A.

    R is the identity for A = 0 and I + A to first order; every rotation without the eigenvalue -1 has such an A, so
    every one can be come arbitrarily close to. One Newton step for the orthogonal factor, R <- R (3 I - R^T R) / 2,
    takes out the rounding that the solve collects. The matrix exponential does the same at some ten times the cost.
    Returns (d, d), in float32 for half precision.

    Args:
        skew: (dim (dim - 1) / 2,) floating point: the entries of A below its diagonal, row by row.
        dim: d.

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
        in_features, num_classes, options: see :class:`ETFHead` and :class:`Head`.

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
    _may_be_unstored = False
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
