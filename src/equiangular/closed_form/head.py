"""The classifiers in closed form as a head: fitted instead of trained, with the verbs of every other head."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from equiangular._autocast import without_autocast
from equiangular._validate import check_int
from equiangular.closed_form.classifier import LINEAR_KINDS, ClosedForm, Kind
from equiangular.closed_form.features import KernelFeatures
from equiangular.closed_form.files import load_closed_form, save_closed_form
from equiangular.heads.base import Head
from equiangular.heads.base import Kind as HeadKind
from equiangular.heads.linear import LinearHead

CLOSED_FORM = "closed-form"  # in the description of a stored head
TargetPrior = Tensor | Literal["uniform", "train"] | None


class ClosedFormHead(Head):
    """Logits = scale W phi(x) + b, computed from the features of a training set instead of learned.

    ``fit`` or any number of ``partial_fit``, ``merge`` and ``remove``, then use it as any head: its class vectors are
    computed at the next forward pass, or by :meth:`solve`. They are buffers, so that the ``state_dict`` is enough to
    predict; :meth:`save` keeps also what adding and removing needs, and after ``load_state_dict`` these verbs are
    refused. Left-out samples set scale and strength, with
    which the logits are those of a softmax, see :class:`ClosedForm`.

    Args:
        in_features: d, width of the features.
        num_classes: K of at least 2, or 0: then each ``partial_fit`` makes room for the labels it brings.
        kind: ``"class-means"``, ``"gaussian"``, ``"ridge"``, ``"random-features"`` or ``"kernel"``, see
            :class:`ClosedForm`.
        target_prior: class frequencies to predict for: ``"uniform"``, ``"train"``, or (K,) positive weights.
        regularization: ``"loo"`` for leave-one-out, or a number.
        prior_weight: weight of each sample given by :meth:`set_prior`, or ``"moments"``, see :class:`ClosedForm`.
        width: number of random features.
        seed: seed of the random features.
        device: device of the buffers.
        dtype: dtype of the buffers, and of the logits whatever that of the features; of a kernel float32 at least,
            since its dual weights cancel. What was seen is kept in float64 on the CPU.

    Attributes:
        closed_form: the :class:`ClosedForm` behind it; after changing it, call :meth:`solve`.
        weight: (K, dim), W.
        bias: (K,), with the prior; -inf for a class without samples.
        calibrated: whether left-out samples decided on scale and strength.
        chosen: what leave-one-out chose, by name.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.8, 0.1]])
        >>> head = ClosedFormHead(2, kind="ridge").fit(x, torch.tensor([0, 0, 1, 1]))
        >>> head(x).argmax(1), head.partial_fit(-x[:2], torch.tensor([2, 2])).num_classes
        (tensor([0, 0, 1, 1]), 3)
    """

    _map: nn.Module

    def __init__(
        self,
        in_features: int,
        num_classes: int = 0,
        *,
        kind: Kind = "gaussian",
        target_prior: TargetPrior = "uniform",
        regularization: float | Literal["loo"] = "loo",
        prior_weight: float | Literal["moments"] = "moments",
        width: int = 2000,
        seed: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options: Any = {"regularization": regularization, "prior_weight": prior_weight, "width": width, "seed": seed}
        self._options = {"kind": kind, **options}
        self._given_classes = num_classes
        closed_form = ClosedForm(in_features, num_classes, kind=kind, **options)
        _check_precision(closed_form, dtype or torch.get_default_dtype())
        self.__dict__["_map"] = closed_form.features  # no submodule: the projection is a copy in the head's dtype
        super().__init__(in_features, num_classes, normalize=False, scale=1.0, seed=seed, device=device, dtype=dtype)
        self.closed_form = closed_form
        self.target_prior: TargetPrior = target_prior
        self.calibrated, self.chosen = False, cast("dict[str, float]", {})
        self._stale, self._unrelated = False, cast("ClosedForm | None", None)  # to class vectors that were loaded
        closed_form.log_prior(target_prior)  # checks it
        self.register_state_dict_pre_hook(_solve_first)  # type: ignore[no-untyped-call]  # untyped in torch

    def fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClosedFormHead:
        """Forget everything seen and fit; returns itself. Prior samples stay.

        Args:
            features: (N, d) floating point.
            labels: (N,) integers in [0, K), every one of which must occur.
            weights: (N,) of at least 0; 2 is the same as the sample twice.

        Raises:
            ValueError: bad data, or a class without samples.
        """
        prior, self._unrelated = self.closed_form.prior, None
        self.closed_form = ClosedForm(self.in_features, self._given_classes, **self._options)
        self.closed_form.prior = prior
        if prior is not None:
            self.closed_form.grow(prior.num_classes)
        self.partial_fit(features, labels, weights)
        empty = (self.closed_form.class_counts == 0).nonzero().flatten().tolist()
        if prior is not None:
            empty = [k for k in empty if prior.count[k] == 0]
        if empty:
            raise ValueError(
                f"class {empty[0]} has no samples ({len(empty)} such classes of {self.closed_form.num_classes}). "
                "Relabel the classes 0..K-1, or add them as they come with partial_fit."
            )
        return self.solve()

    def partial_fit(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClosedFormHead:
        """Add samples, also of new classes where ``num_classes`` was left at 0; returns itself.

        Raises:
            ValueError: bad data, or a head that has its class vectors from ``load_state_dict``.
        """
        self._check_seen("partial_fit")
        if not self._given_classes and isinstance(labels, Tensor) and labels.numel() and not labels.is_floating_point():
            self.closed_form.grow(max(self.closed_form.num_classes, int(labels.max()) + 1))
        self.closed_form.update(features, labels, weights)
        return self._changed()

    def merge(self, other: ClosedFormHead) -> ClosedFormHead:
        """Add all that another head of the same kind has seen, in place; returns itself.

        Raises:
            ValueError: another kind, width or random features, another fixed number of classes, or a head that has its
                class vectors from ``load_state_dict``.
        """
        if not isinstance(other, ClosedFormHead):
            raise ValueError(f"merge takes another ClosedFormHead, got {type(other).__name__}.")
        self._check_seen("merge")
        other._check_seen("merge")
        theirs = other.closed_form
        if not self._given_classes and theirs.num_classes > self.closed_form.num_classes:
            self.closed_form.grow(theirs.num_classes)
        smaller = not other._given_classes and theirs.num_classes < self.closed_form.num_classes
        self.closed_form.merge(theirs, torch.arange(theirs.num_classes) if smaller else None)
        return self._changed()

    def remove(self, features: Tensor, labels: Tensor, weights: Tensor | None = None) -> ClosedFormHead:
        """Take samples out again, in place; returns itself.

        Raises:
            ValueError: samples that were never added, where that can be told, see :meth:`ClassStatistics.remove`.
                Nothing is changed then.
        """
        self._check_seen("remove")
        self.closed_form.remove(features, labels, weights)
        return self._changed()

    def set_prior(self, vectors: Tensor | None, labels: Tensor | None = None) -> ClosedFormHead:
        """Give classes prior samples, such as embeddings of their names; returns itself. See :class:`ClosedForm`."""
        self._check_seen("set_prior")
        if vectors is not None and not self._given_classes:
            needed = len(vectors) if labels is None else int(labels.max()) + 1
            self.closed_form.grow(max(self.closed_form.num_classes, needed))
        self.closed_form.set_prior(vectors, labels)
        return self._changed()

    def set_target_prior(self, target_prior: TargetPrior) -> ClosedFormHead:
        """Predict for other class frequencies; nothing is fitted again. Returns itself."""
        self._check_seen("set_target_prior")
        self.closed_form.log_prior(target_prior)
        self.target_prior = target_prior
        return self._changed()

    @torch.no_grad()
    def solve(self) -> ClosedFormHead:
        """Compute the class vectors of all that was seen; returns itself. A forward pass does it where need be.

        Raises:
            ValueError: no samples, or class vectors that are too large for the head's dtype.
        """
        self._check_seen("solve")
        solution = self.closed_form.solve()
        like = self.fixed_scale
        largest = max(solution.scale, float(solution.weight.abs().max()))
        if largest > torch.finfo(like.dtype).max:
            raise ValueError(
                f"the class vectors or their scale, up to {largest:.3g}, do not fit into {like.dtype}: the features "
                "are too small for it. Divide them by their norm, or take a wider dtype."
            )
        self.num_classes = self.closed_form.num_classes
        self.__dict__["_map"] = solution.features
        self._build_trunk(like)
        bias = solution.scale * solution.bias + self.closed_form.log_prior(self.target_prior)
        self.fixed_scale = torch.tensor(solution.scale, dtype=torch.float64, device="cpu").to(like)
        self._set_vectors(solution.weight.to(like))
        self.bias = bias.to(like)
        self.calibrated, self.chosen = solution.calibrated, dict(solution.chosen)
        self._stale = False
        return self

    def linear_head(self) -> LinearHead:
        """A learnable :class:`LinearHead` of the same logits: to be attached, trained on, stored or exported.

        Raises:
            ValueError: a kind that is not linear in the features, fewer than two classes, or one without samples.
        """
        if self.closed_form.kind not in LINEAR_KINDS:
            raise ValueError(
                f"a head of kind {self.closed_form.kind!r} is not linear in its features; "
                f"one of these is: {', '.join(LINEAR_KINDS)}."
            )
        if self._unrelated is not self.closed_form:
            self.solve()
        bias = cast("Tensor", self.bias)
        if not torch.isfinite(bias).all():
            raise ValueError("a class has no samples, so no linear layer has these logits. Add samples of every class.")
        head = LinearHead(self.in_features, self.num_classes, device=self.weight.device, dtype=self.weight.dtype)
        with torch.no_grad():
            head.weight.copy_(self.weight * self.scale)
            cast("Tensor", head.bias).copy_(bias)
        return head

    def save(self, path: str | Path) -> Path:
        """Write the head and all it has seen to a safetensors file; :meth:`load` reads it."""
        self._check_seen("save")
        prior = self.target_prior.tolist() if isinstance(self.target_prior, Tensor) else self.target_prior
        dtype = str(self.fixed_scale.dtype).removeprefix("torch.")
        given = {"target_prior": prior, "given_classes": self._given_classes, "dtype": dtype}
        return save_closed_form(path, self.closed_form, metadata=given)

    @classmethod
    def load(cls, path: str | Path) -> ClosedFormHead:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file is missing, damaged, or of another kind.
        """
        model, kept = load_closed_form(path)
        prior = kept.get("target_prior", "uniform")
        prior = torch.tensor(prior, dtype=torch.float64) if isinstance(prior, list) else prior
        names: Any = {n: getattr(model, n) for n in ("kind", "regularization", "prior_weight", "width", "seed")}
        names["dtype"] = getattr(torch, kept.get("dtype", "float32"))
        head = cls(model.in_features, kept.get("given_classes", 0), **names)
        head.closed_form, head.target_prior = model, prior
        return head._changed()

    def describe(self) -> dict[str, Any]:
        """Kind and options, JSON-plain: :meth:`described` makes it again from its state, ready to predict."""
        self._refresh()
        kept = {name: self._options[name] for name in ("kind", "width", "seed")}
        return {"kind": CLOSED_FORM, "options": kept}

    @classmethod
    def described(
        cls, description: dict[str, Any], in_features: int, num_classes: int, state: dict[str, Tensor]
    ) -> ClosedFormHead:
        """The head of a description with its ``state_dict``. It predicts; what it has seen is not in there.

        Raises:
            ValueError: a description that is incomplete, or a state that does not fit it.
        """
        try:
            head = cls(in_features, num_classes, **description["options"])
            head.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise ValueError(f"a head of kind {CLOSED_FORM!r} cannot be made of {description!r}: {why}") from error
        return head

    def reset(self, num_classes: int) -> None:
        """Forget everything and take ``num_classes`` classes; with 0 the head returns its features until fitted."""
        self._given_classes = check_int(num_classes, "num_classes", minimum=0)
        self.closed_form = ClosedForm(self.in_features, num_classes, **self._options)
        self.__dict__["_map"] = self.closed_form.features
        self._build_trunk(self.fixed_scale)
        super().reset(num_classes)
        self.calibrated, self.chosen, self._stale, self._unrelated = False, {}, False, None

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        scale = round(float(self.fixed_scale), 4)
        shown = f"in_features={self.in_features}, num_classes={self.num_classes}, dim={self.dim}"
        return f"{shown}, kind={self.closed_form.kind!r}, scale={scale}"

    @property
    def kind(self) -> HeadKind:
        """``"computed"``: a formula makes the class vectors of training samples, and no gradient reaches them."""
        return "computed"

    def class_vectors(self) -> Tensor:
        """W, (K, dim), of all that was seen."""
        self._refresh()
        return self.weight

    def logits_from_features(self, h: Tensor) -> Tensor:
        """Logits (..., K) of phi(x), (..., dim), as ``forward(x, pre_logits=True)`` gives them."""
        self._refresh()
        if self.closed_form.kind != "kernel":
            return super().logits_from_features(h)
        _check_precision(self.closed_form, self.fixed_scale.dtype)
        with without_autocast(h):
            return super().logits_from_features(h.to(self.fixed_scale.dtype))

    def _changed(self) -> ClosedFormHead:
        self.num_classes, self._stale = self.closed_form.num_classes, True
        return self

    def _check_seen(self, verb: str) -> None:
        if self._unrelated is self.closed_form:
            raise ValueError(
                f"{verb} needs what the head has seen, and load_state_dict brought its class vectors alone. To go on, "
                "read a file of ClosedFormHead.save with ClosedFormHead.load; to begin anew, call fit or reset."
            )

    def _refresh(self) -> None:
        if self._stale:
            self.solve()

    def _features(self, x: Tensor) -> Tensor:
        self._refresh()
        if isinstance(x, Tensor) and x.is_floating_point():
            x = x.to(self.fixed_scale.dtype)
        return super()._features(x)

    def _build_trunk(self, like: Tensor) -> None:
        self.projection, self.norm = copy.deepcopy(self._map).to(like), nn.Identity()
        self.dim = getattr(self.projection, "width", self.in_features)

    def _initial_vectors(self, num_classes: int, like: Tensor) -> Tensor:
        return like.new_zeros(num_classes, self.dim)

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_buffer("weight", vectors)
        self._parameters.pop("bias", None)  # other heads have a parameter or None there
        self.register_buffer("bias", vectors.new_zeros(len(vectors)))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        lost = self.fixed_scale.is_meta
        super()._apply(fn, recurse)
        if lost and not self.fixed_scale.is_meta and self._unrelated is None:
            self._stale = bool(self.closed_form.class_counts.any())  # what it has seen was not lost
        return self

    def _is_of(self, state: dict[str, Any], prefix: str) -> bool:
        """Whether a state holds the class vectors that the head has anyway."""
        own = {name: getattr(self, name) for name in ("weight", "bias", "fixed_scale")}
        pairs = [(state.get(prefix + name), value) for name, value in own.items()]
        return all(
            a is not None and b is not None and not a.is_meta and not b.is_meta and torch.equal(a.cpu(), b.cpu())
            for a, b in pairs
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """The number of classes, and of a kernel's samples, is taken from the state."""
        rows, weight = (state_dict.get(prefix + name) for name in ("projection.rows", "weight"))
        if weight is not None and (self._stale or not self._is_of(state_dict, prefix)):
            self._unrelated = self.closed_form
        if rows is not None:
            self.__dict__["_map"] = KernelFeatures(rows, float(state_dict[prefix + "projection.sharpness"]))
            self._build_trunk(self.fixed_scale)
        if weight is not None:
            self._set_vectors(weight.new_zeros(weight.shape).to(self.fixed_scale))
        super()._load_from_state_dict(state_dict, prefix, *args)
        if self.weight is not None:
            self.num_classes = len(self.weight)
        self._stale = False


def _check_precision(model: ClosedForm, dtype: torch.dtype) -> None:
    if model.kind == "kernel" and torch.finfo(dtype).eps > 1e-6:
        raise ValueError(
            f"a head of kind 'kernel' cannot be computed in {dtype}: its logits are small differences of large sums. "
            "Keep it in float32, with head.float() where a whole model was converted, and call solve() after that."
        )


def _solve_first(head: ClosedFormHead, prefix: str, keep_vars: bool) -> None:
    """What a state_dict holds is the classifier of all samples, those added last among them."""
    head._refresh()
