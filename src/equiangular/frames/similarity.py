"""Class vectors that lie closer where classes are alike: by their means, or by a hierarchy of their names."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from equiangular._scaled import near_one
from equiangular._validate import Device, Dtype, check_features, check_int, check_num_classes
from equiangular.frames.gram import frame_from_gram, nearest_correlation
from equiangular.frames.orthogonal import haar_orthonormal


def class_mean_frame(
    means: Tensor, dim: int, *, similarity: float = 1.0, seed: int = 0, device: Device = None, dtype: Dtype = None
) -> Tensor:
    r"""Unit vectors (K, d) whose cosines are those of class means, as of the inputs of a network yet to be trained.

    .. math:: W W^\top \approx (1 - s)\,M M^\top + s\,C, \quad C_{ij} = \cos(\mu_i - \bar\mu,\; \mu_j - \bar\mu)

    M M^T is the Gram matrix of the simplex ETF, mu_i the mean of class i, mu-bar the mean of the class means and s the
    similarity: 0 gives the ETF, 1 the cosines of the means. The Gram matrix is factored by its largest ``dim``
    eigenvalues, the rows brought to norm 1, and the result turned to a random orientation. Exact where its rank, K - 1
    at most for s = 0 or more dimensions of the means than classes, is at most ``dim``.

    Why: with few samples of many classes, such as intents of short texts, a class may lie closer to a similar one than
    to another, and bounded logits can then say so. See docs/answer.md for where that pays.

    Args:
        means: (K, p) floating point: one mean for each class.
        dim: d >= 1.
        similarity: s in [0, 1].
        seed: seed of the orientation.
        device: device of the result, that of ``means`` by default.
        dtype: dtype of the result, torch's default if None; computed in float64 on the CPU.

    Raises:
        ValueError: fewer than 2 classes, NaN, a similarity outside [0, 1], a class whose mean is the mean of all, or
            two classes with the same vector.

    Example:
        >>> means = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
        >>> frame = class_mean_frame(means, 3, dtype=torch.float64)
        >>> bool(frame[0] @ frame[1] > 0), bool(frame[0] @ frame[2] < 0)  # the first two are alike
        (True, True)

    Source: this project, docs/answer.md. Learned class vectors that start at class means of features: Qi, Brown and
    Lowe, "Low-shot learning with imprinted weights", CVPR 2018.
    """
    check_features(means, name="means")
    k = check_num_classes(len(means))
    d = check_int(dim, "dim", minimum=1)
    if isinstance(similarity, bool) or not isinstance(similarity, (int, float)) or not 0 <= similarity <= 1:
        raise ValueError(f"similarity must lie in [0, 1], got {similarity!r}: 0 is the ETF, 1 follows the class means.")
    place = means.device if device is None else device
    centred = near_one(means.detach().cpu().double())[0]
    centred = centred - centred.mean(0)
    norms = torch.linalg.vector_norm(centred, dim=1)
    if similarity and float(norms.min()) <= 1e-12 * float(norms.max()):
        raise ValueError(
            f"the mean of class {int(norms.argmin())} is the mean of all class means, so that it has no direction. "
            "Use similarity=0, or other features."
        )
    unit = torch.nn.functional.normalize(centred, dim=1)
    with torch.device("cpu"):
        etf = (torch.eye(k, dtype=torch.float64, device="cpu") - 1 / k) * (k / (k - 1))
        values, vectors = torch.linalg.eigh((1 - similarity) * etf + similarity * unit @ unit.T)
        kept = min(d, int((values > 1e-10 * k).sum()))
        frame = torch.nn.functional.normalize(vectors[:, -kept:] * values[-kept:].sqrt(), dim=1)
        cosines = (frame @ frame.T).fill_diagonal_(-1)
        if float(cosines.max()) > 1 - 1e-9:
            i, j = divmod(int(cosines.argmax()), k)
            raise ValueError(
                f"classes {i} and {j} would have the same vector in {d} dimensions, and no feature could tell them "
                "apart. Use a similarity below 1, or a larger dim."
            )
        frame = frame @ haar_orthonormal(d, kept, seed=seed).T
    return frame.to(device=place, dtype=dtype or torch.get_default_dtype())


def hierarchy_gram(
    classes: Sequence[Hashable],
    parents: Mapping[Hashable, Hashable] | None = None,
    *,
    superclasses: Sequence[Hashable] | None = None,
    cosines: Sequence[float] | None = None,
) -> Tensor:
    """The Gram matrix of a class hierarchy: the cosine of two classes depends on their lowest common ancestor.

    It is (K, K) float64, positive semi-definite with ones on the diagonal. The root has depth 0. With ``cosines`` the
    entry for two classes whose lowest common ancestor has depth a is cosines[a]; where no vectors have all these
    cosines, the nearest Gram matrix that has some is taken.

    Without ``cosines`` the similarity is s = (1 + depth of the lowest common ancestor) / (1 + depth of the deeper
    class), which is positive definite; it is then centred, J S J with J = I - 11^T/K, and scaled to a unit diagonal.
    A flat tree gives the simplex ETF in this way, and every tree a matrix of rank K - 1 at most.

    Args:
        classes: the K class names in label order, the leaves of the tree.
        parents: parent of every node but the root; the hierarchy is this or ``superclasses``.
        superclasses: the superclass of each class, in label order: a tree of two levels.
        cosines: cosine by depth of the lowest common ancestor, one for each depth from 0 on.

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
    shared = torch.zeros(k, k, dtype=torch.int64, device="cpu")
    for i, path in enumerate(paths):
        for j in range(i):
            same = sum(a == b for a, b in zip(path, paths[j], strict=False))
            shared[i, j] = shared[j, i] = same - 1
    own = torch.tensor([len(path) - 1 for path in paths], device="cpu")
    if cosines is not None:
        deepest = int(shared.max())
        if len(cosines) <= deepest:
            raise ValueError(
                f"common ancestors reach depth {deepest}, got {len(cosines)} cosines. "
                f"Give {deepest + 1}, from the root (depth 0) down."
            )
        gram = torch.tensor([float(c) for c in cosines], dtype=torch.float64, device="cpu")[shared].fill_diagonal_(1)
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
    device: Device = None,
    dtype: Dtype = None,
) -> Tensor:
    """Unit class vectors (K, d) whose cosines follow a class hierarchy, in a random orientation.

    Args:
        classes, parents, superclasses, cosines: the hierarchy, see :func:`hierarchy_gram`.
        dim: d, at least the rank of the Gram matrix (K - 1 without ``cosines``, up to K with them); that rank if None.
        seed: seed of the orientation.
        device, dtype: of the result, torch's defaults if None.

    Raises:
        ValueError: as in :func:`hierarchy_gram`, or too few dimensions.

    Example:
        >>> tree = {"cat": "animal", "dog": "animal", "car": "thing", "animal": "thing"}
        >>> weight = hierarchy_frame(["cat", "dog", "car"], 8, parents=tree, dtype=torch.float64)
        >>> gram = weight @ weight.T
        >>> bool(gram[0, 1] > gram[0, 2]), weight.shape
        (True, torch.Size([3, 8]))

    Source: Barz and Denzler, "Hierarchy-based image embeddings for semantic image retrieval", WACV 2019 (cosines from a
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
