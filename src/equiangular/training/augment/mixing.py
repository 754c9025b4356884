"""Mixing of whole batches: every sample with a partner, from the same global batch or from the training data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._validate import check_positive
from equiangular.longtail.labels import ClassMembers
from equiangular.training.augment.steps import parse_steps, step_text


@dataclass(frozen=True)
class MixDraws:
    """How one global batch is mixed.

    Attributes:
        partner: (num,) int64: the position in the global batch that each sample is mixed with; positions from num on
            are those of ``extra``.
        lam: share of the sample itself, in [0, 1]; the partner has the rest, in the input and in the target. A number,
            or (num,) float32, one for every sample.
        box: top, left, bottom, right of what CutMix takes from the partner, in pixels; None for mixup.
        extra: int64 positions in the training data of partners that follow the batch; None where all are in it.
    """

    partner: Tensor
    lam: float | Tensor
    box: tuple[int, int, int, int] | None = None
    extra: Tensor | None = None

    def rows(self, rows: slice) -> MixDraws:
        """The draws of a slice of the batch; partners keep their positions in the whole."""
        lam = self.lam[rows] if isinstance(self.lam, Tensor) else self.lam
        return replace(self, partner=self.partner[rows], lam=lam)


@dataclass(frozen=True)
class Mixup:
    """lam x + (1 - lam) x_partner with lam from Beta(alpha, alpha), one for the batch (Zhang et al., ICLR 2018).

    Small values of ``alpha``, above 0, mix little: 1 for CIFAR, 0.2 for ImageNet.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.alpha, "the alpha of mixup", hint="Usual: 0.2 to 1; leave mixup out to mix nothing.")

    def draw(self, partner: Tensor, shape: tuple[int, ...], random: np.random.Generator) -> MixDraws:
        """Draw lam."""
        return MixDraws(partner, float(random.beta(self.alpha, self.alpha)))


@dataclass(frozen=True)
class CutMix:
    """A box of the partner is pasted in; its area is the partner's share of the target (Yun et al., ICCV 2019).

    The box has sides W sqrt(1 - l) and H sqrt(1 - l), l from Beta(alpha, alpha), around a uniformly drawn pixel. What
    of it lies outside the image is lost, and lam is the share of the pixels that stay. With ``alpha`` 1, the
    publication's choice, l is uniform.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.alpha, "the alpha of cutmix", hint="Usual: 1; leave cutmix out to mix nothing.")

    def draw(self, partner: Tensor, shape: tuple[int, ...], random: np.random.Generator) -> MixDraws:
        """Draw the box; lam follows from it."""
        height, width = shape[1:]
        side = np.sqrt(1 - random.beta(self.alpha, self.alpha))
        centre = random.integers([height, width])
        half = [int(height * side) // 2, int(width * side) // 2]
        top, left = (max(0, int(c - h)) for c, h in zip(centre, half, strict=True))
        bottom, right = (min(s, int(c + h)) for c, h, s in zip(centre, half, (height, width), strict=True))
        lam = 1 - (bottom - top) * (right - left) / (height * width)
        return MixDraws(partner, lam, (top, left, bottom, right))


# What Mixing.parse knows, by name. Others may be added, also such as take partners from all training data: instead of
# draw they have draw_from(labels, members, random), see experiments/tail_mixing.py.
KINDS: dict[str, Any] = {"mixup": Mixup, "cutmix": CutMix}


@dataclass(frozen=True)
class Mixing:
    """Mixing of whole batches, read from a text: ``none``, ``mixup:1.0``, ``cutmix:1.0``, or both with a comma.

    Of several, each batch has one, with equal probability. The losses of this library take the mixed target as
    ``(y, y[partner], lam)``. Mixup and CutMix take their partners from the batch. ``kinds`` are pairs of name and kind.

    Example:
        >>> mix = Mixing.parse("mixup:0.2")
        >>> drawn = mix.draw(4, (3,), torch.Generator().manual_seed(0))
        >>> x = torch.eye(4, 3)
        >>> mix.apply(x, x[drawn.partner], drawn).shape
        torch.Size([4, 3])

    Source: Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018; Yun et al., CutMix: regularization
    strategy to train strong classifiers with localizable features, ICCV 2019; for the others see the kinds.
    """

    kinds: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Mixing:
        """Read the text form.

        Raises:
            ValueError: an unknown kind (the closest one is suggested), one named twice, or an alpha not above 0.
        """
        return cls(parse_steps(text, KINDS, what="mixing"))

    def __str__(self) -> str:
        return ",".join(step_text(*kind) for kind in self.kinds) or "none"

    @property
    def from_all_data(self) -> bool:
        """Whether partners may come from outside the batch."""
        return any(hasattr(kind, "draw_from") for _, kind in self.kinds)

    def draw(
        self,
        num: int,
        image_shape: tuple[int, ...],
        generator: torch.Generator,
        *,
        labels: Tensor | None = None,
        members: ClassMembers | None = None,
    ) -> MixDraws | None:
        """Draw for a global batch of ``num`` samples; None where nothing is mixed.

        Args:
            num: samples of the global batch.
            image_shape: (C, H, W), or (d,) for tables, which CutMix does not take.
            generator: CPU generator.
            labels: (num,) int64 labels of the batch, for kinds whose partners come from the whole training data.
            members: the samples of the training data by class, for them too.

        Raises:
            ValueError: CutMix of what is not an image, or no labels where they are needed.
        """
        if not self.kinds:
            return None
        if len(image_shape) != 3 and any(name == "cutmix" for name, _ in self.kinds):
            raise ValueError(
                f"cutmix is for images (C, H, W), got inputs of shape {tuple(image_shape)}. Use mixup, or none."
            )
        partner = torch.randperm(num, generator=generator)
        # Of torch's distributions, beta has no form that takes a generator; NumPy's has.
        random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        _, kind = self.kinds[int(random.integers(len(self.kinds)))]
        if not hasattr(kind, "draw_from"):
            return kind.draw(partner, tuple(image_shape), random)
        if labels is None or members is None:
            raise ValueError(f"{self} takes its partners from all training data: pass labels= and members= too.")
        return kind.draw_from(labels, members, random)

    def apply(self, x: Tensor, x_partner: Tensor, draws: MixDraws) -> Tensor:
        """Mix inputs with those of their partners: (B, ...) in the dtype of ``x``; the inputs are not changed.

        Args:
            x: (B, ...) floating point: a process's slice of the batch, augmented and standardised.
            x_partner: the same shape: the samples at ``draws.partner`` of that slice.
            draws: from :meth:`draw`, its ``rows`` of that slice.

        Raises:
            ValueError: shapes that differ, or integers.
        """
        if x.shape != x_partner.shape or not x.is_floating_point():
            raise ValueError(
                f"mixing takes two floating-point batches of one shape, got {x.dtype} {tuple(x.shape)} and "
                f"{x_partner.dtype} {tuple(x_partner.shape)}."
            )
        if draws.box is None:
            lam = draws.lam
            if isinstance(lam, Tensor):
                lam = lam.to(x).reshape(-1, *[1] * (x.ndim - 1))
            return lam * x + (1 - lam) * x_partner
        top, left, bottom, right = draws.box
        mixed = x.clone()
        mixed[:, :, top:bottom, left:right] = x_partner[:, :, top:bottom, left:right]
        return mixed
