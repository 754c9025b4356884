"""The fixed head: class vectors on the vertices of a simplex, never learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from equiangular._renamed import warn_renamed
from equiangular._validate import check_choice, have_values, values_are_readable
from equiangular.frames import BASES, load_frame, simplex_etf, spread_frame, warn_unreachable
from equiangular.heads.base import Head

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.frames.simplex import Basis
    from equiangular.heads.options import HeadOptions


class ETFHead(Head):
    """Logits = scale cos(h, m_k) with the m_k of a simplex equiangular tight frame, <m_i, m_j> = -1/(K-1).

    The frame is a persistent buffer: it is in the state_dict, follows ``.to()``, gets no gradient, and a checkpoint
    brings back the very frame the features were trained against. DistributedDataParallel sends it to all ranks when it
    wraps the model, and again in every forward pass, as any buffer, unless told ``broadcast_buffers=False`` (in
    newer versions ``forward_sync_buffers=False``).

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features.
        basis: orientation of the frame, see :func:`equiangular.simplex_etf`; or ``"spread"``, the vectors of
            :func:`equiangular.spread_frame` for any K and d, which are a simplex ETF where there is one.
        prototypes: (K, d) unit-norm class vectors to use instead, such as ``spread_frame(K, d, objective="softmax")``,
            or the file that holds them, see :func:`equiangular.frames.load_frame`.
        options: see :class:`Head`.

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
        self._prototypes = None

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        if self._prototypes is not None:
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
        return simplex_etf(
            num_classes, self.dim, basis=self.basis, seed=self.seed, device=like.device, dtype=like.dtype
        )

    def _features(self, x: Tensor) -> Tensor:
        h = super()._features(x)
        if self.training and not self._reach_checked and self.num_classes and h.numel() >= 64 and have_values(h):
            # Once, since an accelerator waits for it, and on enough entries not to have one sign by chance.
            self._reach_checked = True
            warn_unreachable(h.detach().reshape(-1, self.dim), self.class_vectors().detach(), stacklevel=2)
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
