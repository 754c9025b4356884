"""``NeuralCollapse``: every measure of collapse as a torchmetrics metric, in one pass, over any number of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from equiangular._validate import check_choice, check_features, check_int, check_labels
from equiangular.longtail import class_groups
from equiangular.measures._metric import SumMetric
from equiangular.measures.accuracy import decided_classes
from equiangular.measures.collapse.moments import GLOBAL_MEANS, ClassMoments, GlobalMean, fold, seen_classes, unpack
from equiangular.measures.collapse.nc3 import nearest_mean, ood_orthogonality
from equiangular.measures.collapse.summary import collapse_measures, group_slots
from equiangular.measures.collapse_plot import plot_collapse

Precision = Literal["double", "single"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class NeuralCollapse(SumMetric):
    """Measures of neural collapse, updated batch by batch.

    One pass, numerically safe near collapse (Chan's update, float64 where the device has it), O(K d + d^2) memory.
    Merging batches, shards, processes or checkpoints in any order gives the same values up to rounding.

    Args:
        num_classes: K >= 2.
        dim: d, width of the features.
        weight: classifier vectors W (K, d), or the module that has them (a head, a linear layer), looked at when
            computing; adds the NC3 measures.
        global_mean: ``"class"`` or ``"sample"``, see :func:`equiangular.measures.collapse.global_mean`.
        class_counts: (K,) training samples of each class; adds every measure for the many-, medium- and few-shot
            classes.
        thresholds: few-shot classes have fewer samples than the first, many-shot ones more than the second.
        groups: name -> class indices, instead of ``class_counts``.
        covariance: whether to keep the d x d scatter, one for each group if there are groups that do not overlap;
            without it ``nc1`` and ``vci`` are left out.
        reference_means: (K, d) class means, such as :meth:`class_means` of an earlier pass over the same data. With
            them, and logits given to ``update``, ``nc4`` is the share of samples that the classifier puts where the
            nearest of these means would. Without them one pass cannot know the means yet, and ``nc4_running`` compares
            with the means of the samples seen so far: it depends on their order.
        precision: of products: ``"double"``, or ``"single"``, float32, at about half the time. Deviations from class
            means are taken exactly and sums are float64 in both; errors are then about 1e-6.
        kwargs: further arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> from equiangular import simplex_etf
        >>> metric = NeuralCollapse(num_classes=4, dim=8)
        >>> labels = torch.arange(4).repeat(5)
        >>> metric.update(simplex_etf(4, 8)[labels], labels)
        >>> measured = metric.compute()
        >>> bool(measured["nc1"] < 1e-12), bool(measured["nc2_equiangular"] < 1e-6)
        (True, True)
    """

    higher_is_better = None
    needed_alike = "num_classes, dim, groups, covariance and reference_means"
    slot: Tensor
    packed: Tensor
    agreed: Tensor
    decided: Tensor
    ood_sum: Tensor
    ood_count: Tensor
    reference_means: Tensor | None

    def __init__(
        self,
        num_classes: int,
        dim: int,
        *,
        weight: Tensor | nn.Module | None = None,
        global_mean: GlobalMean = "class",
        class_counts: Sequence[int] | None = None,
        thresholds: tuple[int, int] = (20, 100),
        groups: Mapping[str, Any] | None = None,
        covariance: bool = True,
        reference_means: Tensor | None = None,
        precision: Precision = "double",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_int(num_classes, "num_classes", minimum=2)
        self.dim = check_int(dim, "dim", minimum=1)
        self.global_mean = check_choice(global_mean, GLOBAL_MEANS, "global_mean")
        self.covariance = bool(covariance)
        self.precision = check_choice(precision, PRECISIONS, "precision")
        self.groups = _groups(groups, class_counts, thresholds, self.num_classes)
        # In a list, so that a module is not registered as part of the metric.
        self._weight = [weight]
        shape = (self.num_classes, self.dim)
        if reference_means is not None and tuple(reference_means.shape) != shape:
            raise ValueError(f"reference_means must have shape (K, d) = {shape}, got {tuple(reference_means.shape)}.")
        self.register_buffer("reference_means", reference_means, persistent=False)
        slot = group_slots(self.num_classes, self.groups or {}) if self.covariance else None
        slot = torch.zeros(self.num_classes, dtype=torch.long) if slot is None else slot
        self.register_buffer("slot", slot, persistent=False)
        size = self.num_classes * (self.dim + 2) + (int(slot.max()) + 1) * self.dim**2 * self.covariance
        self.add_state(
            "packed",
            torch.zeros(size, dtype=torch.float64),
            dist_reduce_fx=partial(fold, num_classes, dim, slot, self.covariance),
        )
        for name, length in (("agreed", num_classes), ("decided", num_classes), ("ood_sum", dim), ("ood_count", 1)):
            self.add_state(name, torch.zeros(length, dtype=torch.float64), dist_reduce_fx="sum")
        self.configure(slot, reference_means)

    @property
    def moments(self) -> ClassMoments:
        """The class moments so far: views of the metric's state."""
        return unpack(self.packed, self.num_classes, self.dim, self.slot, self.covariance)

    @property
    def _product_dtype(self) -> torch.dtype | None:
        return torch.float32 if self.precision == "single" else None

    def class_means(self) -> Tensor:
        """Class means (K, d) of the samples so far, those of all processes: mu_c is the mean over all of class c."""
        with self.sync_context():
            return self.moments.mean.clone()

    def update(self, features: Tensor, labels: Tensor, logits: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            features: (B, d) floating point, of any precision: what the classifier is given.
            labels: (B,) integers in [0, K).
            logits: (B, K) the classifier's logits, its bias included; adds NC4.

        Raises:
            ValueError: wrong shapes or dtypes, NaN, or a label out of range.
        """
        check_features(features, dim=self.dim)
        if logits is not None and tuple(logits.shape) != (features.shape[0], self.num_classes):
            shape = (features.shape[0], self.num_classes)
            raise ValueError(f"logits must have shape (B, K) = {shape}, got {tuple(logits.shape)}.")
        self.moments.update(features, labels, dtype=self._product_dtype)
        if logits is not None:
            known, seen = self.reference_means, self.moments.seen
            means = self.moments.mean if known is None else known.to(self.packed)
            nearest = nearest_mean(features.to(self.packed), means, seen if known is None else None)
            same = (nearest == decided_classes(logits).to(nearest.device)).to(self.agreed)
            labels = labels.long().to(self.agreed.device)
            self.agreed.index_add_(0, labels, same)
            self.decided.index_add_(0, labels, torch.ones_like(same))

    def update_ood(self, features: Tensor) -> None:
        """Add features of samples that belong to no class, (B, d); adds NC5, ``nc5``.

        Raises:
            ValueError: wrong shape or dtype, or NaN.
        """
        check_features(features, dim=self.dim)
        self.ood_sum += features.detach().to(self.ood_sum).sum(0)
        self.ood_count += len(features)
        self._computed = None

    def compute(self) -> dict[str, Tensor]:
        """All measures by name, see :func:`equiangular.measures.collapse.collapse_measures`."""
        weight = self._weight[0]
        if isinstance(weight, nn.Module):  # a head may compare features with something else than its raw weight
            module: Any = weight
            weight = module.class_vectors() if hasattr(module, "class_vectors") else module.weight.flatten(1)
        options: dict[str, Any] = {"global_mean": self.global_mean, "groups": self.groups, "dtype": self._product_dtype}
        results = collapse_measures(self.moments, weight=weight, **options)
        results |= self._agreement()
        if bool(self.ood_count > 0):
            for part, index in self._parts().items():
                means = self.moments.mean[seen_classes(self.moments, index)]
                results[f"nc5{part}"] = ood_orthogonality(means, self.ood_sum / self.ood_count)
        return results

    def agreement(self) -> dict[str, Tensor]:
        """NC4 alone, of all and of each group, over all processes; empty where ``update`` was given no logits."""
        with self.sync_context():
            return self._agreement()

    def _agreement(self) -> dict[str, Tensor]:
        if not bool(self.decided.sum() > 0):
            return {}
        name = "nc4" if self.reference_means is not None else "nc4_running"
        parts = self._parts().items()
        return {f"{name}{part}": self.agreed[index].sum() / self.decided[index].sum() for part, index in parts}

    def _parts(self) -> dict[str, Tensor]:
        """Suffix of the measures' names -> indices of classes."""
        groups = {f"/{name}": index for name, index in (self.groups or {}).items()}
        return {"": torch.arange(self.num_classes, device=self.agreed.device), **groups}

    def plot(self, val: Any = None, ax: Any = None, *, keys: Sequence[str] | None = None) -> tuple[Any, Any]:
        """Plot one result of :meth:`compute`, by default the present one, or a sequence of them as curves.

        Returns figure and axis.

        Args:
            val: measures by name, or a sequence of such results.
            ax: a matplotlib axis; a new figure by default.
            keys: names of the measures; by default all that are 0 at collapse.
        """
        return plot_collapse(self.compute() if val is None else val, ax, keys=keys)


def _groups(
    groups: Mapping[str, Any] | None, counts: Sequence[int] | None, thresholds: tuple[int, int], num_classes: int
) -> dict[str, Tensor] | None:
    if groups is not None and counts is not None:
        raise ValueError("give either class_counts or groups, not both.")
    if counts is not None:
        if len(counts) != num_classes:
            raise ValueError(f"class_counts has {len(counts)} entries for {num_classes} classes; they must agree.")
        groups = class_groups(counts, thresholds)
    if groups is None:
        return None
    named = {name: torch.as_tensor(index, dtype=torch.long) for name, index in groups.items()}
    for name, index in named.items():
        check_labels(index, num_classes, name=f"the classes of group {name!r}")
    return named
