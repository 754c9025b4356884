"""Class means and scatters in one pass, safe near collapse: Chan's parallel update, vectorised over classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equiangular._validate import check_features, check_int, check_labels


@dataclass
class ClassMoments:
    """Counts, means and scatters of the features of each class.

    A raw second moment minus a squared mean loses every digit where features have collapsed; here deviations are taken
    from the batch's own class means and corrected by the distance of the old mean to the new one (Chan, Golub and
    LeVeque 1983, eq. 2.1), so nothing large is ever subtracted from something large. O(K d + d^2) memory, or O(K d)
    without the covariance.

    Attributes:
        count: (K,) float, samples of each class.
        mean: (K, d), mean feature of each class; 0 for a class not seen.
        squares: (K,), sum over the class of ||h - mean||^2.
        scatter: (d, d), sum over all samples of (h - mean_y)(h - mean_y)^T, or None.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    scatter: Tensor | None

    @classmethod
    def empty(
        cls,
        num_classes: int,
        dim: int,
        *,
        covariance: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ClassMoments:
        """Moments of no samples, in float64 unless the device has none.

        Args:
            num_classes: K >= 1.
            dim: d >= 1.
            covariance: whether to keep the (d, d) scatter.
            device: where to accumulate.
            dtype: dtype of the accumulation.

        Example:
            >>> ClassMoments.empty(3, 2).mean.shape
            torch.Size([3, 2])
        """
        k, d = check_int(num_classes, "num_classes", minimum=1), check_int(dim, "dim", minimum=1)
        if dtype is None:
            dtype = torch.float32 if torch.device(device or "cpu").type == "mps" else torch.float64
        zeros = {"device": device, "dtype": dtype}
        return cls(
            torch.zeros(k, **zeros),
            torch.zeros(k, d, **zeros),
            torch.zeros(k, **zeros),
            torch.zeros(d, d, **zeros) if covariance else None,
        )

    @property
    def num_classes(self) -> int:
        """K, classes seen or not."""
        return self.count.shape[0]

    @property
    def dim(self) -> int:
        """d, width of the features."""
        return self.mean.shape[1]

    @property
    def seen(self) -> Tensor:
        """(K,) bool, classes with at least one sample."""
        return self.count > 0

    def update(self, features: Tensor, labels: Tensor) -> ClassMoments:
        """Add a batch, in place; returns itself. Only the classes of the batch are touched.

        Args:
            features: (B, d) floating point, of any precision.
            labels: (B,) integers in [0, K).

        Raises:
            ValueError: wrong shapes or dtypes, NaN, or a label out of range.
        """
        check_features(features, dim=self.dim)
        labels = check_labels(labels, self.num_classes, batch=features.shape[0]).to(self.mean.device)
        h = features.detach().to(self.mean)
        present, inverse, count = labels.unique(return_inverse=True, return_counts=True)
        count = count.to(h.dtype)
        mean = torch.zeros(len(present), self.dim, dtype=h.dtype, device=h.device).index_add_(0, inverse, h)
        mean /= count[:, None]
        deviation = h - mean[inverse]
        rounding = torch.zeros_like(mean).index_add_(0, inverse, deviation) / count[:, None]
        mean += rounding
        deviation -= rounding[inverse]
        squares = torch.zeros_like(count).index_add_(0, inverse, deviation.square().sum(1))
        scatter = None if self.scatter is None else deviation.T @ deviation
        return self._absorb(present, count, mean, squares, scatter)

    def merge(self, other: ClassMoments) -> ClassMoments:
        """Add the moments of other samples, in place; returns itself. The order of merging does not matter.

        Raises:
            ValueError: another number of classes or another width, or only one of the two has a covariance.
        """
        if self.mean.shape != other.mean.shape or (self.scatter is None) != (other.scatter is None):
            raise ValueError(
                f"cannot merge moments of shape {tuple(other.mean.shape)} (covariance: {other.scatter is not None}) "
                f"into {tuple(self.mean.shape)} (covariance: {self.scatter is not None}); they must agree."
            )
        theirs = (other.count, other.mean, other.squares, other.scatter)
        parts = (None if t is None else t.to(self.mean) for t in theirs)
        return self._absorb(torch.arange(self.num_classes, device=self.mean.device), *parts)

    def _absorb(
        self, rows: Tensor, count: Tensor, mean: Tensor, squares: Tensor, scatter: Tensor | None
    ) -> ClassMoments:
        """Chan's update of the classes ``rows``: n_a n_b / (n_a + n_b) (mean_b - mean_a)(.)^T joins the scatters."""
        before = self.count[rows]
        share = count / (before + count).clamp(min=1)
        weight = before * share
        shift = mean - self.mean[rows]
        self.squares[rows] += squares + weight * shift.square().sum(1)
        if self.scatter is not None:
            self.scatter += scatter
            self.scatter += shift.T @ (shift * weight[:, None])
        self.mean[rows] += share[:, None] * shift
        self.count[rows] += count
        return self
