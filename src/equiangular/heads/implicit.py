"""A fixed head for any number of classes whose class vectors are computed when they are needed and never stored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from equiangular._autocast import autocast_is_on
from equiangular._validate import check_choice, check_int, have_values
from equiangular.frames.blocks import Block, implicit_blocks
from equiangular.frames.implicit import CONSTRUCTIONS, implicit_rows
from equiangular.frames.quadratic_code import quadratic_code
from equiangular.heads.base import Head
from equiangular.heads.functional import rows_or_zero, write_recipe

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.frames.implicit import Construction
    from equiangular.heads.options import HeadOptions


class ImplicitHead(Head):
    """Logits = scale cos(h, w_k) with w_k a function of (seed, k), see :func:`equiangular.frames.implicit_rows`.

    Dot-regression and the dot loss need the class vectors of the batch and no others, so a training step takes O(B d)
    time and memory in the head at K = 10,000,000 as at K = 10::

        h = head(x, pre_logits=True)
        loss = dot_regression_loss(h, torch.arange(len(h)), head.targets(labels))

    :func:`equiangular.heads.nearest_prototypes` finds the nearest classes of a feature without logits. The logits
    themselves, ``head(x)``, are B x K, for a K where that is wanted; class vectors are computed ``chunk_size`` at a
    time for them, and again for the gradient.

    What is stored is the recipe: seed, K, d and construction are a persistent buffer, so that a checkpoint brings back
    the very class vectors the features were trained against.

    Args:
        construction: ``"random"``, ``"quadratic"``, or ``"auto"``: the quadratic code where one of this size exists and
            its proved largest cosine is below that of random vectors, about sqrt(4 ln(K) / d).
        chunk_size: class vectors computed at a time for logits.
        in_features, num_classes, options: see :class:`Head`.

    Attributes:
        construction: the one in use.
        recipe: (4,) int64: seed, K, d and the number of the construction.

    Raises:
        ValueError: no quadratic code of that size, or an argument out of its range.

    Example:
        >>> head = ImplicitHead(64, 10_000_000)
        >>> x, labels = torch.randn(8, 64), torch.randint(0, 10_000_000, (8,))
        >>> head(x, pre_logits=True).shape, head.targets(labels).shape, head.construction
        (torch.Size([8, 64]), torch.Size([8, 64]), 'random')
        >>> sum(t.numel() for t in head.state_dict().values())  # the recipe and the scale
        5
    """

    recipe: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        construction: Literal["auto"] | Construction = "auto",
        chunk_size: int = 4096,
        **options: Unpack[HeadOptions],
    ) -> None:
        self._construction_option = check_choice(construction, ("auto", *CONSTRUCTIONS), "construction")
        self.construction = cast("Construction", construction)  # "auto" as long as there are no classes
        self.chunk_size = check_int(chunk_size, "chunk_size", minimum=1)
        super().__init__(in_features, num_classes, **options)

    def rows(self, class_ids: Tensor) -> Tensor:
        """The class vectors of classes (...) int64: (..., dim), on the head's device and in its dtype."""
        if not self.num_classes:
            raise ValueError("a head with num_classes=0 has no class vectors; give it classes with reset(num_classes).")
        like = self.scale
        ids, code = class_ids.to(like.device), self.construction
        return implicit_rows(
            ids, self.dim, seed=self.seed, construction=code, num_classes=self.num_classes, dtype=like.dtype
        )

    def class_vectors(self) -> Tensor:
        """All class vectors at once, (K, dim): what this head exists to avoid; for measures on a moderate K."""
        return self.rows(torch.arange(self.num_classes))

    def targets(self, labels: Tensor) -> Tensor:
        """The class vectors of labels (B,) int64: (B, dim); zero for -100, see :meth:`Head.targets`.

        Raises:
            ValueError: labels that are no integers in [0, K) and not -100.
        """
        return rows_or_zero(labels, self.num_classes, self.rows)

    def logits_from_features(self, h: Tensor) -> Tensor:
        """Logits (..., K) of features h (..., dim): B x K numbers, the class vectors computed in chunks."""
        if not self.num_classes:
            return h
        flat = h.reshape(-1, self.dim)
        plain = have_values(h) and not autocast_is_on(h) and h.dtype == self.scale.dtype
        if plain and forward_ad._current_level < 0 and h.dtype in (torch.float32, torch.float64):
            logits: Tensor = _Logits.apply(flat, self)  # type: ignore[no-untyped-call]  # torch's
            logits = logits * self.scale if self.scale.requires_grad else logits.mul_(self.scale)
            return logits.view(*h.shape[:-1], -1)
        transformed = not is_compiling() and is_functorch_wrapped_tensor(h)  # torch.func knows no checkpoints
        again = torch.is_grad_enabled() and h.requires_grad and not transformed
        parts = []
        for ids in torch.arange(self.num_classes, device=h.device).split(self.chunk_size):
            parts.append(checkpoint(self._cosines, h, ids, use_reentrant=False) if again else self._cosines(h, ids))
        return torch.cat(parts, -1) * self.scale

    def blocks(self, size: int | None = None, dtype: torch.dtype | None = None) -> Iterator[Block]:
        """The class vectors about ``size`` at a time, ``chunk_size`` if None, in eager mode."""
        like = self.scale
        return implicit_blocks(
            self.num_classes, self.dim, seed=self.seed, construction=self.construction, dtype=dtype or like.dtype,
            rounded_to=like.dtype, device=like.device, size=self.chunk_size if size is None else size,
        )  # fmt: skip

    def _cosines(self, h: Tensor, class_ids: Tensor) -> Tensor:
        return F.linear(h, self.rows(class_ids))

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        if self._construction_option == "auto":
            code = quadratic_code(num_classes, self.dim)
            better = code is not None and code.max_cosine < math.sqrt(4 * math.log(num_classes) / self.dim)
            self.construction = "quadratic" if better else "random"
        none = torch.empty(0, dtype=torch.int64)
        implicit_rows(none, self.dim, construction=self.construction, num_classes=num_classes)  # checks the size
        return like

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_buffer("weight", None)
        self.register_buffer("recipe", torch.tensor(self._recipe(), device=vectors.device))

    def _recipe(self) -> list[int]:
        return [self.seed, self.num_classes, self.dim, CONSTRUCTIONS.index(self.construction)]

    def _drop_classifier(self) -> None:
        super()._drop_classifier()
        self.register_buffer("recipe", None)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        write_recipe(destination, prefix, self.recipe, self._recipe())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take over the seed of a checkpoint; refuse one of another size or construction."""
        given = state_dict.get(f"{prefix}recipe")
        if given is not None and self.recipe is not None:
            own, other = self._recipe(), given.tolist()
            if other[1:] == own[1:]:
                self.seed = other[0]
            else:
                made = f"K={other[1]}, d={other[2]}, construction={CONSTRUCTIONS[other[3]]!r}"
                rest[-1].append(f"the checkpoint's class vectors have {made}; this head: {self.extra_repr()}.")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"{super().extra_repr()}, construction={self.construction!r}, seed={self.seed}"


class _Logits(torch.autograd.Function):
    """h (B, d) -> h W^T (B, K): nothing but features is kept for the gradient, for which W is made again."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, head: ImplicitHead) -> Tensor:
        ctx.head = head
        logits = h.new_empty(len(h), head.num_classes)
        for block in head.blocks():
            block.products(h, logits[:, block.start : block.stop])
        return logits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if not have_values(gradient):  # gradients of many at once
            ids = torch.arange(ctx.head.num_classes, device=gradient.device).split(ctx.head.chunk_size)
            parts = gradient.split(ctx.head.chunk_size, -1)
            return sum(part @ ctx.head.rows(some) for part, some in zip(parts, ids, strict=True)), None
        return _Gradient.apply(gradient, ctx.head), None  # type: ignore[no-untyped-call]  # torch's


class _Gradient(torch.autograd.Function):
    """g (B, K) -> g W (B, d), whose gradient is the logits again."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, head: ImplicitHead) -> Tensor:
        ctx.head = head
        total = g.new_zeros(len(g), head.dim)
        for block in head.blocks():
            total = total + block.weighted(g.narrow(1, block.start, block.stop - block.start))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Logits.apply(gradient, ctx.head), None  # type: ignore[no-untyped-call]  # torch's
