"""What all heads share: features in, one pipeline, logits out."""

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.jit import is_tracing  # type: ignore[attr-defined]  # torch's stubs leave it out
from torch.nn import functional as F

from equiangular._random import make_generator
from equiangular._rebuilt import RebuiltModule
from equiangular._validate import (
    check_choice,
    check_features,
    check_int,
    check_num_classes,
    check_positive,
    have_values,
    values_are_readable,
)
from equiangular.heads.functional import (
    DEFAULT_PROBABILITY,
    PROJECTIONS,
    Projection,
    certain_unit_rows,
    class_rows,
    make_projection,
    rows_or_zero,
    scale_for_probability,
    unit_normalize,
)
from equiangular.heads.options import NORMS, SCALE_NAMES, ZERO_NORMS, Norm, ScaleName, ZeroNorm

Kind = Literal["fixed", "mapped", "learned", "computed"]
LARGEST_SIMPLEX = 2**32  # numbers in a matrix of class vectors that is made unasked: 34 GB while it is built


class Head(RebuiltModule, ABC):
    """A classifier head: h = normalise(dropout(norm(projection(x)))), logits = scale h W^T (+ bias).

    Args:
        in_features: width of the incoming features.
        num_classes: K >= 2; 0 makes the head return its features h.
        norm: ``"batch"`` puts BatchNorm1d after the projection, before the normalisation, as Yang et al. (2022) do;
            ``"batch-first"`` before the projection; ``"none"`` nothing.
        normalize: whether h has unit norm, so that the logits are scaled cosines.
        scale: a number above 0; ``"auto"``: the scale at which probability 0.999 can be reached
            (:func:`scale_for_probability`), or 1 where features are not normalised; ``"learned"``: starts from auto
            and learns its logarithm. A criterion that never looks at the logits (dot-regression) gives a learned
            scale no gradient.
        drop_rate: dropout probability, before the normalisation.
        projection: ``"linear"`` or ``"mlp"`` learns a map to ``dim``; ``"residual"`` learns one that keeps the width
            and starts as the identity, for features of a pretrained encoder; None passes the features on.
        dim: width of h: ``in_features`` without a projection or with a residual one, K - 1 with another unless given.
        zero_norm: ``"keep"`` lets a zero feature through as zero, with a zero gradient; ``"error"`` raises, where
            values can be looked at (eager mode on the CPU).
        seed: seed of everything random in the head, drawn on a local CPU generator: the same numbers on every
            process and device.
        device: device of the parameters and buffers.
        dtype: dtype of the parameters and buffers.

    Attributes:
        weight: (K, dim) class vectors, a parameter or a persistent buffer; None for 0 classes.

    Raises:
        ValueError: an argument out of its range, or a ``dim`` that neither the features nor a projection have.
    """

    weight: Tensor  # None for 0 classes
    bias: Tensor | None
    fixed_scale: Tensor  # None where the scale is learned
    log_scale: Tensor | None
    dim: int
    projection: nn.Module
    norm: nn.Module
    _norm_checked = False
    _frozen_told = False
    _map_parameters: tuple[str, ...] = ("projection.",)  # beginnings of the names of a learned map's parameters

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        norm: Norm = "none",
        normalize: bool = True,
        scale: float | ScaleName = "auto",
        drop_rate: float = 0.0,
        projection: Projection | None = None,
        dim: int | None = None,
        zero_norm: ZeroNorm = "keep",
        seed: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = check_int(in_features, "in_features", minimum=1)
        self.num_classes = _check_classes(num_classes)
        self.norm_kind = check_choice(norm, NORMS, "norm")
        self.normalize = bool(normalize)
        self.scale_option = _check_scale(scale)
        self.projection_kind = None if projection is None else check_choice(projection, PROJECTIONS, "projection")
        self.zero_norm = check_choice(zero_norm, ZERO_NORMS, "zero_norm")
        make_generator(seed)  # checks the seed
        self.seed = int(seed)
        self._dim_option = dim
        self._frozen: frozenset[str] = frozenset()
        if isinstance(drop_rate, bool) or not isinstance(drop_rate, (int, float)) or not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must be a number in [0, 1), got {drop_rate!r}.")
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"dtype must be a floating-point dtype such as torch.float32, got {dtype!r}.")
        self.dropout = nn.Dropout(drop_rate) if drop_rate else nn.Identity()
        self.feature_tap = nn.Identity()  # its output is h: the place for a forward hook
        like = torch.empty(0, device=device, dtype=dtype)
        self._build_trunk(like)
        self._build_classifier(like)
        # Not that of ``like``: transformers 4 and accelerate move parameters there one by one as they are registered.
        self._on_meta = any(tensor.is_meta for tensor in self._named_tensors().values())

    @abstractmethod
    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        """The initial class vectors (K, dim), on the device and in the dtype of ``like``."""

    def _set_vectors(self, vectors: Tensor) -> None:
        """Keep the class vectors as a persistent buffer; heads that learn them register a parameter instead."""
        self.register_buffer("weight", vectors)

    def class_vectors(self) -> Tensor:
        """What features are compared with: (K, dim)."""
        return self.weight

    def forward(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Logits (..., K) of features (..., in_features); with ``pre_logits`` the features h, (..., dim).

        Raises:
            ValueError: wrong width or dtype, or NaN values (looked for in eager mode on the CPU only).
        """
        if isinstance(x, Proxy):  # a symbolic trace sees the head as one node: its checks need values
            options = {"pre_logits": True} if pre_logits else {}
            tracer: Any = x.tracer
            node: Tensor = tracer.create_proxy("call_module", tracer.path_of_module(self), (x,), options)
            return node
        h = self._features(x)
        return h if pre_logits else self.logits_from_features(h)

    def features_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features h (..., dim) and logits (..., K) from one pass."""
        h = self._features(x)
        return h, self.logits_from_features(h)

    def logits_from_features(self, h: Tensor) -> Tensor:
        """Logits (..., K) of features h (..., dim), as ``forward(x, pre_logits=True)`` gives them."""
        if not self.num_classes:
            return h
        logits, scale = F.linear(h, self.class_vectors()), self.scale
        # A product with 1 changes no bit; heads that normalise have other scales.
        if self.normalize or scale.requires_grad or not values_are_readable(scale, h) or scale.item() != 1:
            logits = logits * scale
        bias = self.bias
        return logits if bias is None else logits + bias

    def targets(self, labels: Tensor) -> Tensor:
        """The class vectors of labels (B,) int64: (B, dim), all that dot-regression needs.

        A sample without a class has the label -100, as in PyTorch's losses: its row is zero. Out of the mean of a loss
        it stays by the loss's own ``target`` of -100.

        Raises:
            ValueError: labels that are no integers in [0, K) and not -100. On an accelerator and in compiled code it is
                the device that fails.
        """
        if not self.num_classes:
            raise ValueError("a head with num_classes=0 has no targets; give it classes with reset(num_classes).")
        vectors = self.class_vectors()
        return rows_or_zero(labels, self.num_classes, lambda ids: class_rows(vectors, ids)).to(vectors.dtype)

    def _features(self, x: Tensor) -> Tensor:
        if self._lost:
            raise ValueError(f"the head was built on the meta device and has no values: {self._lost}")
        plain = isinstance(x, Tensor) and have_values(x)
        tracing = not plain and is_tracing()  # sizes are tensors there
        if not isinstance(x, Tensor) or x.ndim == 0 or (not tracing and x.shape[-1] != self.in_features):
            received = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(
                f"this head takes features of shape (..., {self.in_features}), got {received}. "
                "Pool or flatten the backbone's output, or build the head with in_features of that width."
            )
        h = x.reshape(-1, self.in_features) if x.ndim != 2 else x
        through = _through if plain else _call
        normed, dropout = self.norm_kind != "none", self.dropout
        # Where nothing is left to do but to normalise, that looks at every value itself.
        direct = self.normalize and not normed and self.projection_kind is None and h is x
        direct = direct and x.is_floating_point() and not (self.training and isinstance(dropout, nn.Dropout))
        if not direct:
            check_features(h)
        if normed:
            norm = self.norm
            if norm.training and not tracing:
                self._check_norm(h)
            h = (
                through(self.projection, norm(h))
                if self.norm_kind == "batch-first"
                else norm(through(self.projection, h))
            )
            frozen = self.training and h.requires_grad and not x.requires_grad and not self._frozen_told
            if frozen and plain and self.kind == "fixed":
                h.register_hook(self._warn_of_frozen_features)
        else:
            h = through(self.norm, through(self.projection, h))
        h = through(dropout, h)
        if self.normalize:
            unit = certain_unit_rows(h) if direct else None
            if unit is None:
                if direct or self.zero_norm == "error":
                    check_features(h, allow_zero=self.zero_norm != "error")
                unit = unit_normalize(h)
            h = unit
        return through(self.feature_tap, h if x.ndim == 2 else h.reshape(*x.shape[:-1], self.dim))

    def _only_normalises(self, x: Tensor) -> bool:
        """Whether h is nothing but x normalised, and nobody listens to it."""
        if not self.normalize or self.norm_kind != "none" or self.projection_kind is not None or self._lost:
            return False
        if x.ndim != 2 or x.shape[1] != self.in_features or type(self.dropout) is not nn.Identity:
            return False
        return not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in (self, self.feature_tap))

    def _check_norm(self, x: Tensor) -> None:
        """What goes wrong with BatchNorm in training, told in the head's words."""
        if x.shape[0] == 1:
            raise ValueError(
                f"norm={self.norm_kind!r} normalises over the samples of a batch, and this one has a single sample in "
                "training. Leave out a last batch of one (drop_last=True of a DataLoader, dataloader_drop_last=True of "
                "TrainingArguments), take another batch size, or build the head with norm='none'."
            )
        if not self._norm_checked and have_values(x):
            self._norm_checked = True
            if not any(p.requires_grad for p in self.norm.parameters()):
                warnings.warn(
                    "the head's BatchNorm is frozen, but in training mode its running statistics go on changing. "
                    "Adapter files of PEFT have them only if the classifier is among modules_to_save. To leave them as "
                    "they are call head.norm.eval().",
                    stacklevel=2,
                )

    def _warn_of_frozen_features(self, gradient: Tensor) -> None:
        """Called with the gradient of features that BatchNorm alone could turn."""
        if not self._frozen_told:
            self._frozen_told = True
            warnings.warn(
                "the features have no gradient, and the head has nothing that turns them to its fixed class vectors: "
                "only BatchNorm learns. Behind a frozen encoder build the head with projection='linear', or take "
                "NamedHead, whose class vectors lie where the features lie.",
                stacklevel=2,
            )

    @property
    def scale(self) -> Tensor:
        """What the inner products are multiplied by, a 0-dim tensor."""
        return self.fixed_scale if self.log_scale is None else self.log_scale.exp()

    @property
    def kind(self) -> Kind:
        """What of the classifier is learned, by the parameters that the built head has and that require a gradient.

        - ``"learned"``: class vectors, or a bias.
        - ``"mapped"``: fixed vectors behind a learned map: a projection, or a rotation of the frame.
        - ``"fixed"``: neither. BatchNorm and a learned scale do not change that.
        - ``"computed"``: class vectors that a formula makes of training samples, see :class:`ClosedFormHead`.

        Frozen parameters count as fixed. A parameter of a subclass that is none of the above counts as class vectors.
        """
        names = [name for name, p in self.named_parameters() if p.requires_grad and p.numel()]
        names = [name for name in names if name != "log_scale" and not name.startswith("norm.")]
        if not names:
            return "fixed"
        return "mapped" if all(name.startswith(self._map_parameters) for name in names) else "learned"

    def head_parameters(self) -> int:
        """Number of learnable parameters of the head: class vectors if learned, bias, scale, projection, BatchNorm."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def reset(self, num_classes: int) -> None:
        """Give the head new classes, drawn from its seed; 0 makes it return its features.

        Device, dtype and the frozen state of its own parameters stay, and so do the trained projection and BatchNorm.
        Only a projection whose width was left to K - 1 and has become too narrow for the new K is made anew.
        Make a new optimiser afterwards, or add the new parameters to the old one.

        Raises:
            ValueError: a ``num_classes`` that is neither 0 nor at least 2, or that does not fit.
        """
        like = self.fixed_scale if self.log_scale is None else self.log_scale.detach()
        if self.num_classes:
            self._frozen = frozenset(n for n, p in self.named_parameters(recurse=False) if not p.requires_grad)
        before = self.num_classes, self.dim, self.projection, self.norm
        self.num_classes = _check_classes(num_classes)
        try:
            narrow = self._simplex_dim() > self.dim and self.projection_kind not in (None, "residual")
            if narrow and self._dim_option is None:
                self._build_trunk(like)
            self._build_classifier(like)
        except ValueError:
            self.num_classes, self.dim, self.projection, self.norm = before
            raise

    def _build_trunk(self, like: Tensor) -> None:
        """Projection and BatchNorm, and the width they lead to."""
        kept = self.projection_kind in (None, "residual")  # the width
        if kept and self._dim_option not in (None, self.in_features):
            raise ValueError(
                f"dim={self._dim_option} differs from in_features={self.in_features}, which takes a learned map: "
                'pass projection="linear" or "mlp", or leave dim out.'
            )
        if self.projection_kind is None:
            self.dim, self.projection = self.in_features, nn.Identity()
        else:
            default = self._simplex_dim() if self.num_classes and not kept else self.in_features
            stored = not kept and self._dim_option is None and self._has_matrix()
            if stored and default * self.num_classes > LARGEST_SIMPLEX:
                raise ValueError(
                    f"a simplex of K={self.num_classes} classes has K (K - 1) numbers, {8e-9 * default**2:,.0f} GB in "
                    f"float64. Use ImplicitHead({self.in_features}, {self.num_classes}), which computes class vectors "
                    "when they are needed, or fewer dimensions: projection=None, or dim= with basis='spread'."
                )
            self.dim = default if self._dim_option is None else check_int(self._dim_option, "dim", minimum=1)
            generator = make_generator((self.seed + 1) % 2**63)
            self.projection = make_projection(
                self.projection_kind, self.in_features, self.dim, generator=generator, like=like
            )
        width = self.in_features if self.norm_kind == "batch-first" else self.dim
        none = self.norm_kind == "none"
        self.norm = nn.Identity() if none else nn.BatchNorm1d(width, device=like.device, dtype=like.dtype)
        module: Any
        for module in (*self.projection.modules(), self.norm):
            module._is_hf_initialized = True  # transformers would draw a Linear anew, from the global generator
        self.train(self.training)

    def _simplex_dim(self) -> int:
        """The width that a simplex of the classes takes."""
        return self.num_classes - 1

    def _has_matrix(self) -> bool:
        """Whether a large frame is stored: all are, unless it has a formula."""
        return True

    def _made_tensors(self) -> dict[str, Tensor]:
        twin = copy.copy(self)
        for name in ("_parameters", "_buffers", "_modules"):
            setattr(twin, name, dict(getattr(self, name)))
        twin._build_again(torch.empty(0, dtype=self.scale.dtype))
        return twin._named_tensors()

    def _build_again(self, like: Tensor) -> None:
        self._build_trunk(like)
        self._build_classifier(like)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        if f"{prefix}weight" in state_dict or f"{prefix}frame" in state_dict:
            self._lost = None

    def _build_classifier(self, like: Tensor) -> None:
        """Class vectors, bias and scale."""
        vectors = self._initial_vectors(self.num_classes, like) if self.num_classes else None
        self._drop_classifier()
        self.register_parameter("bias", None)
        if vectors is None:
            self.register_buffer("weight", None)
        else:
            self._set_vectors(vectors)
        value = torch.tensor(self._initial_scale(), dtype=torch.float64, device="cpu")
        learned = self.scale_option == "learned"
        self.register_buffer("fixed_scale", None if learned else value.to(like))
        self.register_parameter("log_scale", nn.Parameter(value.log().to(like)) if learned else None)
        for name, parameter in self.named_parameters(recurse=False):
            parameter.requires_grad_(name not in self._frozen)

    def _drop_classifier(self) -> None:
        """Forget what there was, now that what comes next is known to fit."""
        for name in ("weight", "bias", "log_scale", "fixed_scale"):
            self._parameters.pop(name, None)
            self._buffers.pop(name, None)

    def _initial_scale(self) -> float:
        if not isinstance(self.scale_option, str):
            return self.scale_option
        if not self.normalize or not self.num_classes:
            return 1.0
        return scale_for_probability(DEFAULT_PROBABILITY, self.num_classes)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        shown = [f"in_features={self.in_features}", f"num_classes={self.num_classes}", f"dim={self.dim}"]
        scale = self.scale_option if self.scale_option == "learned" else round(self._initial_scale(), 4)
        return ", ".join([*shown, f"normalize={self.normalize}", f"scale={scale}"])


def _call(module: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = module(x)
    return result


def _through(module: nn.Module, x: Tensor) -> Tensor:
    """What a module makes of x; an identity that nobody listens to is not called, which costs more than it does."""
    if type(module) is not nn.Identity or module._forward_hooks or module._forward_pre_hooks:
        return _call(module, x)
    return _call(module, x) if module._backward_hooks or module._backward_pre_hooks else x


def _check_classes(num_classes: Any) -> int:
    return 0 if num_classes == 0 and not isinstance(num_classes, bool) else check_num_classes(num_classes)


def _check_scale(scale: Any) -> float | ScaleName:
    if isinstance(scale, str):
        return check_choice(scale, SCALE_NAMES, "scale")
    return check_positive(scale, "scale", hint="Or pass 'auto' or 'learned'.")
