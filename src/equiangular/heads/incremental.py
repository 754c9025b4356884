"""A fixed head for classes that arrive later: vertices kept in reserve, handed out as classes come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from equiangular._validate import check_choice, check_features, check_int, check_labels, values_are_readable
from equiangular.heads.alignment import match_vertices
from equiangular.heads.base import _check_classes
from equiangular.heads.etf import ETFHead
from equiangular.heads.locate import evaluating

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from equiangular.heads.options import ETFHeadOptions

Vector = Literal["vertex", "prototype"]
VECTORS: tuple[Vector, ...] = get_args(Vector)


class IncrementalETFHead(ETFHead):
    """An :class:`ETFHead` over V = K + reserved vertices that answers for the K classes seen so far.

    The frame is made for all V classes from the start, so a class that arrives takes a vertex at the widest possible
    angle to every other, and no class vector of an old class moves: <m_i, m_j> = -1/(V-1) then and now. The scale is
    that of V classes and stays as well.

    Classes are numbered 0, 1, 2, ... in the order in which they arrive. The frame, in the order of the classes with the
    free vertices last, and the number of classes are persistent buffers: a checkpoint taken after any session loads
    into a head of the same ``num_classes + reserved``.

    Args:
        num_classes: K >= 2 classes of the base session; 0 makes the head return its features.
        reserved: vertices kept for later classes.
        in_features, options: see :class:`ETFHead` and :class:`Head`. ``dim`` is V - 1 with a projection unless given;
            ``prototypes`` has V rows.

    Attributes:
        weight: (K, dim) class vectors of the classes so far.
        frame: (V, dim) those and the free vertices after them, a persistent buffer.
        num_classes: K, classes so far.

    Raises:
        ValueError: ``dim`` < V - 1, where no such frame exists, or an argument out of its range.

    Example:
        >>> head = IncrementalETFHead(16, 3, reserved=2)
        >>> x = torch.randn(5, 16)
        >>> head(x).shape, head.register_class(x), head(x).shape, head.free
        (torch.Size([5, 3]), 3, torch.Size([5, 4]), 1)

    Source: Yang et al., "Neural collapse inspired feature-classifier alignment for few-shot class-incremental
    learning" (NC-FSCIL), ICLR 2023.
    """

    frame: Tensor
    classes_so_far: Tensor
    _may_be_unstored = False

    def __init__(
        self, in_features: int, num_classes: int, *, reserved: int = 0, **options: Unpack[ETFHeadOptions]
    ) -> None:
        self.reserved = check_int(reserved, "reserved", minimum=0)
        count = _check_classes(num_classes)
        super().__init__(in_features, count + self.reserved if count else 0, **options)
        self._set_count(count)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # a part of the frame, not stored
        """The class vectors of the classes so far, (K, dim)."""
        if self._buffers.get("frame") is None:
            raise AttributeError("weight")  # nn.Module then looks among its buffers: None for 0 classes
        return self.frame[: self.num_classes]

    @property
    def capacity(self) -> int:
        """V, classes that the head has room for."""
        frame = self._buffers.get("frame")
        return 0 if frame is None else frame.shape[0]

    @property
    def free(self) -> int:
        """Vertices without a class, V - K."""
        return self.capacity - self.num_classes

    def add_classes(self, count: int) -> range:
        """Take the next vertices for ``count`` new classes; their features are then trained onto them.

        Returns the labels of the new classes.

        Raises:
            ValueError: fewer vertices are free.

        Example:
            >>> IncrementalETFHead(16, 3, reserved=4).add_classes(2)
            range(3, 5)
        """
        self._check_room(check_int(count, "count", minimum=1))
        first = self.num_classes
        self._set_count(first + count)
        return range(first, first + count)

    def register_class(self, features: Tensor, class_id: int | None = None, *, vector: Vector = "vertex") -> int:
        """Add one class by a handful of its samples; see :meth:`register_classes`. Returns its label.

        Args:
            features: (n, in_features), n >= 1.
            class_id: its label, the next one by default.
            vector: ``"vertex"`` or ``"prototype"``.

        Raises:
            ValueError: a class registered already, no free vertex, no features, or features of a wrong width.
        """
        check_features(features, dim=self.in_features)
        label = self.num_classes if class_id is None else check_int(class_id, "class_id", minimum=0)
        self.register_classes(features, torch.full((len(features),), label, device="cpu"), vector=vector)
        return label

    @torch.no_grad()
    def register_classes(self, features: Tensor, labels: Tensor | Sequence[int], *, vector: Vector = "vertex") -> range:
        """Add the classes of a session by a handful of samples each.

        The samples go through the head's projection and normalisation, as in evaluation. With mu_c the mean of the
        resulting features of class c,

        - ``"vertex"`` gives the new classes those free vertices that suit them best: the one-to-one matching with the
          largest sum of <mu_c, m>. The geometry stays an ETF; training can then pull the features the rest of the way.
        - ``"prototype"`` makes mu_c / ||mu_c|| the class vector, in the place of the matched vertex: of use at once
          where nothing is trained, but new classes are no longer at equal angles to the others.

        Every process of a distributed run must be given the same samples. Returns the labels of the new classes.

        Args:
            features: (N, in_features), what the head is given.
            labels: (N,) integers: the next labels K, K + 1, ..., each at least once.
            vector: ``"vertex"`` or ``"prototype"``.

        Raises:
            ValueError: a class registered already, a label that is skipped, more classes than free vertices, no
                features, features of a wrong width, or a class whose features cancel out.
            ImportError: SciPy, for several classes at once.

        Example:
            >>> head = IncrementalETFHead(16, 3, reserved=4)
            >>> head.register_classes(torch.randn(6, 16), [4, 3, 3, 4, 3, 4])
            range(3, 5)

        Source: Yang et al., ICLR 2023 (fixed vertices); Qi et al., "Low-shot learning with imprinted weights", CVPR
        2018 (prototypes).
        """
        check_choice(vector, VECTORS, "vector")
        check_features(features, dim=self.in_features)
        labels = torch.as_tensor(labels, device="cpu")
        highest = int(labels.max()) if labels.numel() else 0
        labels = check_labels(labels, max(self.capacity, highest + 1), batch=len(features))
        first, count = self.num_classes, self._check_new(labels)
        with evaluating(self):
            h = self._features(features).cpu().double()  # a handful of rows; some accelerators have no float64
        means = h.new_zeros(count, self.dim).index_add_(0, labels - first, h) / labels.bincount()[first:, None]
        norms = torch.linalg.vector_norm(means, dim=1, keepdim=True)
        if not bool((norms > 0).all()):
            label = first + int(norms.argmin())
            raise ValueError(f"the features of class {label} cancel out: their mean is zero and points nowhere.")
        chosen = match_vertices(means, self.frame[first:]).tolist()
        self.frame[first:] = self.frame[first:][chosen + sorted(set(range(self.free)) - set(chosen))]
        if vector == "prototype":
            self.frame[first : first + count] = means / norms
        return self.add_classes(count)

    def targets(self, labels: Tensor) -> Tensor:
        """The class vectors of labels (B,) int64: (B, dim), all that dot-regression needs.

        Raises:
            ValueError: labels that are no integers in [0, K) and not -100, a class that has not been added among them.
        """
        if self.num_classes and isinstance(labels, Tensor) and values_are_readable(labels) and labels.numel():
            highest = int(labels.max())
            if self.num_classes <= highest < self.capacity:
                raise ValueError(
                    f"labels has class {highest}, which has not been added: the head knows {self.num_classes} classes "
                    f"and has {self.free} vertices free. Call add_classes or register_classes first."
                )
        return super().targets(labels)

    def reset(self, num_classes: int) -> None:
        """Give the head new base classes and as many free vertices after them as it was built with; see :class:`Head`.

        Raises:
            ValueError: a ``num_classes`` that is neither 0 nor at least 2, or that does not fit.
        """
        count = _check_classes(num_classes)
        super().reset(count + self.reserved if count else 0)
        self._set_count(count)

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"{super().extra_repr()}, free={self.free}"

    def _check_new(self, labels: Tensor) -> int:
        """The number of new classes, if the labels are those that come next."""
        present = labels.unique().tolist()
        if not present:
            raise ValueError("features is empty; a class is registered by at least one sample.")
        if present[0] < self.num_classes:
            raise ValueError(
                f"class {present[0]} is registered already: the head knows classes 0 to {self.num_classes - 1}. "
                f"The next new class is {self.num_classes}."
            )
        missing = sorted(set(range(self.num_classes, present[-1])) - set(present))
        if missing:
            raise ValueError(
                f"new classes are numbered in the order in which they arrive: got class {present[-1]} but no sample of "
                f"class {missing[0]}."
            )
        self._check_room(len(present))
        return len(present)

    def _check_room(self, count: int) -> None:
        if count > self.free:
            raise ValueError(
                f"cannot add {count} class(es) to the {self.num_classes} there are: {self.free} of {self.capacity} "
                f"vertices are free. Build the head with reserved={count - self.free + self.reserved} or more; a frame "
                "of more vertices is another frame, so features have to be trained for it."
            )

    def _initial_scale(self) -> float:
        active, self.num_classes = self.num_classes, self.capacity
        try:
            return super()._initial_scale()
        finally:
            self.num_classes = active

    def _set_count(self, num_classes: int) -> None:
        self.num_classes = num_classes
        if self.capacity:
            self.classes_so_far.fill_(num_classes)

    def _set_vectors(self, vectors: Tensor) -> None:
        self.register_buffer("frame", vectors)
        self.register_buffer("classes_so_far", torch.tensor(self.num_classes, device=vectors.device))

    def _build_classifier(self, like: Tensor) -> None:
        if not self.num_classes:
            for name in ("frame", "classes_so_far"):
                self._buffers.pop(name, None)
        super()._build_classifier(like)

    def _build_again(self, like: Tensor) -> None:
        count = self.num_classes
        self.num_classes = self.capacity
        super()._build_again(like)
        self._set_count(count)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.capacity and not self.classes_so_far.is_meta:
            self.num_classes = int(self.classes_so_far)
