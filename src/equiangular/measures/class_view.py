"""Four classes in three dimensions over the epochs of a training: where features, class means and class vectors go."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from equiangular.measures.collapse.moments import ClassMoments

_TETRAHEDRON = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))
DIGITS = 3  # of a drawing


class _Epoch(NamedTuple):
    features: Tensor  # (S, d), centred and scaled
    means: Tensor  # (C, d)
    vectors: Tensor  # (C, d)


class ClassView:
    """Records epochs of a training, and projects them together on the space that four classes span.

    The classes are the two with most and the two with fewest training samples: what becomes of the tail beside the
    head. At each epoch features h and class means mu_c are centred at mu_G, the mean of class means, and divided by the
    mean of ||mu_c - mu_G||; class vectors w_c are divided by the mean of ||w_c||. At the end all are projected on the
    three directions that the four class vectors of the last epoch span about their mean, turned so that these are as
    near as can be to a tetrahedron (orthogonal Procrustes). Projection is orthogonal: four vectors of a simplex ETF of
    any K, or of any orthogonal frame, are the corners of a regular tetrahedron, and two classes that have merged lie on
    one another. With fewer classes, or vectors that span less, the rest are the directions in which the features vary
    most.

    Args:
        labels: (N,) int64: classes of the training samples, in the order in which features will come.
        class_counts: (K,) training samples of the classes.
        samples: most samples to show of each class; the first ones.

    Example:
        >>> from equiangular.frames import simplex_etf
        >>> weight = simplex_etf(6, 8)
        >>> labels = torch.arange(6).repeat(3)
        >>> view = ClassView(labels, [3] * 6)
        >>> view.add(1, weight[labels], weight)
        >>> shown = view.project()
        >>> x = torch.tensor(shown["vectors"][0])
        >>> round(float(torch.nn.functional.cosine_similarity(x[0], x[1], dim=0)), 2)  # -1/3: a tetrahedron
        -0.33
    """

    def __init__(self, labels: Tensor, class_counts: list[int], *, samples: int = 25) -> None:
        order = sorted((c for c, n in enumerate(class_counts) if n), key=lambda c: -class_counts[c])
        self.classes = order if len(order) <= 4 else [*order[:2], *order[-2:]]
        self.labels = labels
        self.shown = torch.cat([(labels == c).nonzero().flatten()[:samples] for c in self.classes])
        self.epochs: list[float] = []
        self._kept: list[_Epoch] = []

    def add(self, epoch: float, features: Tensor, weight: Tensor) -> None:
        """Record an epoch: features (N, d) of all training samples and class vectors (K, d), floating point."""
        features, weight = features.double().cpu(), weight.double().cpu()
        moments = ClassMoments.empty(len(weight), features.shape[1], covariance=False).update(features, self.labels)
        seen = moments.mean[moments.count > 0]
        centre = seen.mean(0)
        size = (seen - centre).norm(dim=1).mean().clamp_min(1e-12)
        vectors = weight[self.classes] / weight.norm(dim=1).mean().clamp_min(1e-12)
        means = (moments.mean[self.classes] - centre) / size
        self._kept.append(_Epoch((features[self.shown] - centre) / size, means, vectors))
        self.epochs.append(epoch)

    def project(self) -> dict[str, list[list[list[float]]]]:
        """``features`` (E, S, 3), ``means`` and ``vectors`` (E, C, 3) of the E epochs, of three decimals."""
        basis = _basis(self._kept[-1])
        return {
            name: [[[round(v, DIGITS) for v in row] for row in (part @ basis).tolist()] for part in parts]
            for name, parts in zip(_Epoch._fields, zip(*self._kept, strict=True), strict=True)
        }


def _basis(last: _Epoch) -> Tensor:
    """(d, 3) orthonormal columns (zeros where d < 3)."""
    spread = last.vectors - last.vectors.mean(0)
    _, size, directions = torch.linalg.svd(spread, full_matrices=False)
    basis: Tensor = directions[size > 1e-6 * size.max().clamp_min(1e-12)][:3].T
    if basis.shape[1] < 3:
        rest = last.features - last.features @ basis @ basis.T
        _, size, more = torch.linalg.svd(rest, full_matrices=False)
        basis = torch.cat([basis, more[size > 1e-9][: 3 - basis.shape[1]].T], 1)
    basis = torch.nn.functional.pad(basis, (0, 3 - basis.shape[1]))
    if len(spread) == 4:
        u, _, v = torch.linalg.svd((spread @ basis).T @ basis.new_tensor(_TETRAHEDRON))
        basis = basis @ u @ v
    return basis


def cosine_table(vectors: Tensor, *, centre: bool = False) -> list[list[float]]:
    """(K, K) cosines of vectors (K, d), about their mean where ``centre``; of three decimals.

    Example:
        >>> cosine_table(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        [[1.0, 0.0], [0.0, 1.0]]
    """
    points = vectors.detach().double().cpu()
    unit = torch.nn.functional.normalize(points - points.mean(0) if centre else points, dim=1)
    return [[round(v, DIGITS) for v in row] for row in (unit @ unit.T).tolist()]
