"""The class vectors nearest to features, for more classes than logits are wanted of: in chunks, or by FAISS."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._random import make_generator
from equiangular._validate import check_features, check_int, values_are_readable
from equiangular.frames.implicit import column_signs, quadratic_nearest
from equiangular.frames.quadratic_code import QuadraticCode, quadratic_code
from equiangular.heads.base import Head
from equiangular.heads.functional import unit_normalize
from equiangular.heads.implicit import ImplicitHead

CHUNK_SIZE = 4096
FEATURES = 256  # at a time: their scores stay near the processor
_AUTO_BYTES = 2**32


def nearest_prototypes(
    features: Tensor, prototypes: Tensor | Head, *, k: int = 1, chunk_size: int = CHUNK_SIZE
) -> tuple[Tensor, Tensor]:
    """The k class vectors with the largest cosine to each feature, exactly, without the B x K logits.

    Class vectors are looked at ``chunk_size`` at a time: O(B k + (B + d) chunk_size) memory whatever K. Those of an
    :class:`ImplicitHead` are computed for it, and where they are a quadratic-form code not even that: then
    :func:`equiangular.frames.quadratic_nearest` finds them some hundred times faster. Returns cosines (B, k), largest
    first, and classes (B, k) int64.

    Args:
        features: (B, d) floating point, of any norm; what ``head(x, pre_logits=True)`` gives.
        prototypes: (K, d) class vectors of any norm, or a head.
        k: how many, at most K.
        chunk_size: class vectors at a time.

    Raises:
        ValueError: widths that differ, NaN, a k out of range.

    Example:
        >>> cosines, classes = nearest_prototypes(torch.tensor([[0.0, 2.0], [3.0, 0.1]]), torch.eye(2))
        >>> classes
        tensor([[1],
                [0]])
    """
    rows, count, dim = _rows(prototypes)
    check_features(features, dim=dim)
    if check_int(k, "k", minimum=1) > count:
        raise ValueError(f"k must be at most the number of classes, {count}, got {k}.")
    check_int(chunk_size, "chunk_size", minimum=1)
    unit = unit_normalize(features.detach())
    if isinstance(prototypes, ImplicitHead) and prototypes.construction == "quadratic" and k <= count // 2:
        signs = column_signs(dim, seed=prototypes.seed, device=unit.device)
        code = cast("QuadraticCode", quadratic_code(count, dim))  # the head has checked that there is one
        return quadratic_nearest(code, unit * signs, count, k=k)
    cosines = unit.new_full((len(unit), k), -math.inf)
    classes = torch.zeros(len(unit), k, dtype=torch.int64, device=unit.device)
    parts = [slice(first, first + FEATURES) for first in range(0, len(unit), FEATURES)]
    for start in range(0, count, chunk_size):
        vectors = rows(range(start, min(start + chunk_size, count))).to(unit.dtype).T
        for part in parts:
            _keep_nearest(unit[part] @ vectors, start, cosines[part], classes[part])
    return cosines, classes


def _keep_nearest(scores: Tensor, start: int, cosines: Tensor, classes: Tensor) -> None:
    """Take the scores (B, c) of classes from ``start`` on into the best so far, (B, k) each, in place.

    To find the largest score costs a fraction of finding where it is, and of many chunks few have anything to add.
    """
    if values_are_readable(scores) and scores.device.type == "cpu":
        better = (scores.amax(1) > cosines[:, -1]).nonzero().flatten()
        if not len(better):
            return
        scores = scores.index_select(0, better)
    else:
        better = torch.arange(len(scores), device=scores.device)
    found, position = scores.topk(min(cosines.shape[1], scores.shape[1]), dim=1)
    both = torch.cat([cosines[better], found], 1)
    kept, order = both.topk(cosines.shape[1], dim=1)
    cosines[better] = kept
    classes[better] = torch.cat([classes[better], start + position], 1).gather(1, order)


class PrototypeIndex:
    """An index of class vectors for many searches: through FAISS where it is installed, in chunks elsewhere.

    An inverted file of FAISS keeps the class vectors in cells and looks into the cells nearest to a feature only. It is
    faster for that, and can miss the nearest class, the more easily the further a feature is from its class vector
    (docs/frames.md has figures). The cosines of what it finds are taken from the class vectors themselves and are
    exact, whatever the index compresses.

    Args:
        prototypes: (K, d) class vectors, or a head, as they are now; those of an :class:`ImplicitHead` are computed in
            chunks and kept in the index only.
        index: ``"chunks"``: :func:`nearest_prototypes`, exact, nothing stored; ``"auto"``: an inverted file of about
            4 sqrt(K) cells, or chunks where FAISS is not installed, K is below 10,000 or the class vectors take more
            than 4 GiB; or a FAISS factory string: ``"Flat"``, ``"IVF4096,Flat"``, ``"IVF4096,SQ8"``.
        probes: cells of an inverted file that are looked into.
        candidates: classes that the index proposes for each that is asked for.
        chunk_size: class vectors at a time.

    Attributes:
        kind: ``"chunks"``, or the factory string of the FAISS index.

    Raises:
        ValueError: an argument out of its range, or a factory string that FAISS does not know.
        ImportError: a FAISS index where FAISS is not installed.

    Example:
        >>> index = PrototypeIndex(torch.eye(4), index="chunks")
        >>> index.search(torch.tensor([[0.1, 0.9, 0.0, 0.0]]))[1]
        tensor([[1]])

    Source: Douze et al., "The Faiss library", arXiv:2401.08281.
    """

    def __init__(
        self,
        prototypes: Tensor | Head,
        *,
        index: str = "auto",
        probes: int = 64,
        candidates: int = 4,
        chunk_size: int = CHUNK_SIZE,
    ) -> None:
        self._prototypes = prototypes
        self._rows, self._count, self._dim = _rows(prototypes)
        self._candidates = check_int(candidates, "candidates", minimum=1)
        self._chunk_size = check_int(chunk_size, "chunk_size", minimum=1)
        check_int(probes, "probes", minimum=1)
        if index == "auto":
            cells = 4 * math.isqrt(self._count)
            fits = self._count >= 10_000 and 4 * self._count * self._dim <= _AUTO_BYTES
            index = f"IVF{cells},Flat" if fits and find_spec("faiss") else "chunks"
        self.kind = index
        self._index = None if index == "chunks" else self._build(index, probes)

    def search(self, features: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k nearest class vectors: cosines (B, k), largest first, and classes (B, k) int64.

        Args:
            features: (B, d) floating point, of any norm.
            k: how many, at most K.

        Raises:
            ValueError: a wrong width, NaN, or a k out of range.
        """
        if self._index is None:
            return nearest_prototypes(features, self._prototypes, k=k, chunk_size=self._chunk_size)
        check_features(features, dim=self._dim)
        if check_int(k, "k", minimum=1) > self._count:
            raise ValueError(f"k must be at most the number of classes, {self._count}, got {k}.")
        unit = unit_normalize(features.detach())
        wanted = min(self._count, max(k, k * self._candidates))
        classes = torch.from_numpy(self._index.search(unit.float().cpu().numpy(), wanted)[1]).to(unit.device)
        found = classes >= 0  # -1 fills up where the cells held too few
        rows = self._rows(classes.clamp(min=0).flatten()).to(unit.dtype).reshape(*classes.shape, self._dim)
        cosines = torch.einsum("bd,bkd->bk", unit, rows).masked_fill(~found, -math.inf)
        cosines, order = cosines.topk(k, dim=1)
        return cosines, classes.gather(1, order)

    def _build(self, index: str, probes: int) -> Any:
        faiss = require("faiss", extra="faiss", purpose="A FAISS index of class vectors")
        try:
            built = faiss.index_factory(self._dim, index, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            reason = str(error).rpartition(": ")[2]
            raise ValueError(f"FAISS has no index {index!r}: {reason}. Try 'Flat' or 'IVF1024,Flat'.") from error
        if hasattr(built, "nprobe"):
            built.nprobe, built.cp.niter = probes, 2  # spread vectors have no clusters to be found
        if not built.is_trained:
            wanted = min(self._count, 40 * getattr(built, "nlist", 1024))
            sample = torch.randint(self._count, (wanted,), generator=make_generator(0), device="cpu")
            built.train(self._rows(sample).float().cpu().numpy())
        for start in range(0, self._count, self._chunk_size):
            ids = range(start, min(start + self._chunk_size, self._count))
            built.add(self._rows(ids).float().cpu().numpy())
        return built


def _rows(prototypes: Tensor | Head) -> tuple[Callable[[Tensor | range], Tensor], int, int]:
    """Unit class vectors by number, one by one or from one to another; how many there are, and their width."""
    if isinstance(prototypes, ImplicitHead):
        head = prototypes

        def computed(ids: Tensor | range) -> Tensor:
            return head.rows(torch.arange(ids.start, ids.stop, device="cpu") if isinstance(ids, range) else ids)

        return computed, head.num_classes, head.dim
    weight = prototypes.class_vectors() if isinstance(prototypes, Head) else prototypes
    check_features(weight, name="prototypes", allow_zero=False)
    weight = weight.detach()

    def stored(ids: Tensor | range) -> Tensor:
        own = weight[ids.start : ids.stop] if isinstance(ids, range) else weight[ids.to(weight.device)]
        return unit_normalize(own)

    return stored, len(weight), weight.shape[1]
