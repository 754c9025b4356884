"""Class vectors that follow a hierarchy: classes with a close common ancestor lie closer to each other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from equiangular._validate import check_num_classes
from equiangular.frames.gram import frame_from_gram, nearest_correlation


def hierarchy_gram(
    classes: Sequence[Hashable],
    parents: Mapping[Hashable, Hashable] | None = None,
    *,
    superclasses: Sequence[Hashable] | None = None,
    cosines: Sequence[float] | None = None,
) -> Tensor:
    """The Gram matrix of a class hierarchy: the cosine of two classes depends on their lowest common ancestor.

    The root has depth 0. With ``cosines`` the entry for two classes whose lowest common ancestor has depth a is
    cosines[a]; where no vectors have all these cosines, the nearest Gram matrix that has some is taken.

    Without ``cosines`` the similarity is s = (1 + depth of the lowest common ancestor) / (1 + depth of the deeper
    class), which is positive definite; it is then centred, J S J with J = I - 11^T/K, and scaled to a unit diagonal.
    A flat tree gives the simplex ETF in this way, and every tree a matrix of rank K - 1 at most.

    Args:
        classes: the K class names in label order, the leaves of the tree.
        parents: parent of every node but the root; the hierarchy is this or ``superclasses``.
        superclasses: the superclass of each class, in label order: a tree of two levels.
        cosines: cosine by depth of the lowest common ancestor, one for each depth from 0 on.

    Returns:
        (K, K) float64 with ones on the diagonal, positive semi-definite.

    Raises:
        ValueError: neither or both descriptions, repeated classes, a class that is missing from the tree, two roots,
            a cycle, a class that is the ancestor of another, or too few cosines.

    Example:
        >>> hierarchy_gram(["cat", "dog", "car"], superclasses=["animal", "animal", "machine"], cosines=[-0.2, 0.5])
        tensor([[ 1.0000,  0.5000, -0.2000],
                [ 0.5000,  1.0000, -0.2000],
                [-0.2000, -0.2000,  1.0000]], dtype=torch.float64)
        >>> hierarchy_gram(["a", "b", "c"], superclasses=["all", "all", "all"])
        tensor([[ 1.0000, -0.5000, -0.5000],
                [-0.5000,  1.0000, -0.5000],
                [-0.5000, -0.5000,  1.0000]], dtype=torch.float64)
    """
    k = check_num_classes(len(classes))
    if len(set(classes)) != k:
        repeated = next(c for c in classes if list(classes).count(c) > 1)
        raise ValueError(f"classes must be distinct, got {repeated!r} more than once.")
    if (parents is None) == (superclasses is None):
        raise ValueError("give the hierarchy either as parents or as superclasses, and not both.")
    if superclasses is not None:
        if len(superclasses) != k:
            raise ValueError(f"superclasses has {len(superclasses)} entries for {k} classes; they must agree.")
        paths: list[tuple[Hashable, ...]] = [((), (s,), (s, i)) for i, s in enumerate(superclasses)]
    else:
        paths = [_path(name, parents or {}) for name in classes]
        roots = sorted({str(path[0]) for path in paths})
        if len(roots) > 1:
            raise ValueError(f"the classes must share one root, got {', '.join(roots)}. Add a common parent to these.")
        inner = {node for path in paths for node in path[:-1]}
        if not inner.isdisjoint(classes):
            name = next(c for c in classes if c in inner)
            raise ValueError(f"class {name!r} is the ancestor of another class; only leaves can be classes.")
    shared = torch.zeros(k, k, dtype=torch.int64)
    for i, path in enumerate(paths):
        for j in range(i):
            same = sum(a == b for a, b in zip(path, paths[j], strict=False))
            shared[i, j] = shared[j, i] = same - 1
    own = torch.tensor([len(path) - 1 for path in paths])
    if cosines is not None:
        deepest = int(shared.max())
        if len(cosines) <= deepest:
            raise ValueError(
                f"common ancestors reach depth {deepest}, got {len(cosines)} cosines. "
                f"Give {deepest + 1}, from the root (depth 0) down."
            )
        gram = torch.tensor([float(c) for c in cosines], dtype=torch.float64)[shared].fill_diagonal_(1)
        if float(gram.abs().max()) > 1:
            raise ValueError(f"cosines lie in [-1, 1], got {list(cosines)}.")
        return gram if float(torch.linalg.eigvalsh(gram)[0]) >= -1e-12 * k else nearest_correlation(gram)
    similarity = (shared + 1).double() / (1 + torch.maximum(own[:, None], own))
    similarity.fill_diagonal_(1)
    centred = similarity - similarity.mean(0) - similarity.mean(1, keepdim=True) + similarity.mean()
    length = centred.diagonal().sqrt()
    return (centred / torch.outer(length, length)).fill_diagonal_(1)


def hierarchy_frame(
    classes: Sequence[Hashable],
    dim: int | None = None,
    *,
    parents: Mapping[Hashable, Hashable] | None = None,
    superclasses: Sequence[Hashable] | None = None,
    cosines: Sequence[float] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Unit class vectors whose cosines follow a class hierarchy, in a random orientation.

    Args:
        classes: the K class names in label order.
        dim: d, at least the rank of the Gram matrix (K - 1 without ``cosines``, up to K with them); that rank if None.
        parents: see :func:`hierarchy_gram`.
        superclasses: see :func:`hierarchy_gram`.
        cosines: see :func:`hierarchy_gram`.
        seed: seed of the orientation.
        device: device of the result.
        dtype: dtype of the result, torch's default if None.

    Returns:
        (K, d) with unit rows.

    Raises:
        ValueError: as in :func:`hierarchy_gram`, or too few dimensions.

    Example:
        >>> tree = {"cat": "animal", "dog": "animal", "car": "thing", "animal": "thing"}
        >>> weight = hierarchy_frame(["cat", "dog", "car"], 8, parents=tree, dtype=torch.float64)
        >>> gram = weight @ weight.T
        >>> bool(gram[0, 1] > gram[0, 2]), weight.shape
        (True, torch.Size([3, 8]))

    Source:
        Barz and Denzler, "Hierarchy-based image embeddings for semantic image retrieval", WACV 2019 (cosines from a
        hierarchy).
    """
    gram = hierarchy_gram(classes, parents, superclasses=superclasses, cosines=cosines)
    return frame_from_gram(gram, dim, seed=seed, device=device, dtype=dtype)


def _path(name: Hashable, parents: Mapping[Hashable, Hashable]) -> tuple[Hashable, ...]:
    """From the root down to a class."""
    if name not in parents:
        raise ValueError(f"class {name!r} has no parent in the hierarchy. Add it, or correct its spelling.")
    path = [name]
    while path[-1] in parents:
        parent = parents[path[-1]]
        if parent in path:
            raise ValueError(f"the hierarchy has a cycle: {' -> '.join(map(str, [*path, parent]))}.")
        path.append(parent)
    return tuple(reversed(path))
