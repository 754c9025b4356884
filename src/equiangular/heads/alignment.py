"""A fixed head moved to where the features are: its frame turned, or its classes dealt out to the vertices anew."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular._validate import check_choice, check_features
from equiangular.frames import BASES
from equiangular.frames.closed_forms import minimal_simplex
from equiangular.frames.nearest import nearest_orientation
from equiangular.heads.base import Head
from equiangular.heads.etf import ETFHead, RotatedETFHead
from equiangular.heads.unstored import UnstoredFrame

Move = Literal["turn", "match"]
MOVES: tuple[Move, ...] = get_args(Move)


def match_vertices(vectors: Tensor, vertices: Tensor) -> Tensor:
    """Which vertex each vector gets, so that no two share one and the sum of inner products is largest.

    argmax over one-to-one maps pi of sum_k <a_k, m_pi(k)>: the assignment problem, solved exactly in O(K^3). For
    vertices of equal norm it is also the smallest sum of squared distances. Returns (K,) int64 on the CPU: the row of
    ``vertices`` for each row of ``vectors``.

    Args:
        vectors: a (K, d) floating point, such as class means.
        vertices: m (V, d), V >= K.

    Raises:
        ValueError: fewer vertices than vectors, widths that differ, NaN.
        ImportError: SciPy is missing; a single vector does without it.

    Example:
        >>> match_vertices(torch.tensor([[0.1, 2.0], [0.0, 9.0]]), torch.eye(2))  # row 1 insists more
        tensor([0, 1])

    Source: Kuhn, "The Hungarian method for the assignment problem", 1955; SciPy's ``linear_sum_assignment``.
    """
    check_features(vectors, name="vectors")
    check_features(vertices, dim=vectors.shape[1], name="vertices")
    if len(vectors) > len(vertices):
        raise ValueError(f"{len(vectors)} vectors cannot have a vertex each: there are {len(vertices)}.")
    gain = vectors.detach().cpu().double() @ vertices.detach().cpu().double().T
    if len(vectors) == 1:
        return gain.argmax(1)
    optimize = require("scipy.optimize", extra="train", purpose="Matching classes to vertices")
    return torch.from_numpy(optimize.linear_sum_assignment(gain.numpy(), maximize=True)[1])


@torch.no_grad()
def align_head(head: Head, means: Tensor, counts: Any | None = None, *, move: Move = "turn") -> Head:
    """Move the class vectors of a fixed head as close to the class means as their geometry allows, in place.

    ``"turn"``: the frame turns as a whole (:func:`equiangular.frames.nearest_orientation`): for a simplex ETF this is
    the ETF nearest to the means. ``"match"``: the vertices stay where they are and are dealt out to the classes
    anew (:func:`match_vertices`). All permutations of a simplex are among its rotations and reflections, so there
    turning comes at least as close as matching, and turning leaves a matching nothing to gain.

    The buffers stay the same tensors: device, dtype, ``state_dict`` and references to them keep their meaning. Returns
    ``head``.

    Args:
        head: a head whose class vectors are not learned: :class:`ETFHead`, given prototypes included, its
            subclasses, or :class:`RandomHead`. The rotation of a :class:`RotatedETFHead` starts anew from the identity.
        means: (K, dim) class means of the features h, as ``head(x, pre_logits=True)`` gives them. Longer ones, of
            classes whose features agree, weigh more.
        counts: (K,) samples of each class, or a (K,) mask: a class of 0 has no mean and just follows the frame. All
            classes count by default; above 0 the number does not matter.
        move: ``"turn"`` or ``"match"``.

    Raises:
        ValueError: learned class vectors, means of a wrong shape, NaN, or no class with samples.
        ImportError: SciPy is missing, for ``"match"``.

    Example:
        >>> head, aim = ETFHead(8, 5, seed=0), ETFHead(8, 5, seed=1)
        >>> torch.allclose(align_head(head, 0.3 * aim.weight).weight, aim.weight, atol=1e-6)
        True

    Source: Markou et al., "Guiding Neural Collapse", NeurIPS 2024.
    """
    check_choice(move, MOVES, "move")
    stored = _stored_vectors(head)
    vectors = head.class_vectors()
    check_features(means, dim=vectors.shape[1], name="means")
    if len(means) != len(vectors):
        raise ValueError(f"means has {len(means)} rows for the {len(vectors)} classes of the head; they must agree.")
    seen = _seen(counts, len(means))
    # On the CPU: not every device has float64.
    target = torch.zeros(len(stored), stored.shape[1], dtype=torch.float64, device="cpu")
    target[: len(means)] = torch.where(seen[:, None], means.detach().cpu().double(), 0.0)
    if move == "turn":
        known = torch.nn.functional.pad(seen, (0, len(stored) - len(means)))
        simplex = isinstance(head, ETFHead) and head.basis in BASES  # the exact one: no rounding adds up
        frame = minimal_simplex(len(stored)) if simplex else stored.cpu()
        moved = nearest_orientation(frame, target, known)
    else:
        current = stored if not isinstance(head, RotatedETFHead) else vectors.detach()
        moved = current[match_vertices(target, current)]
    stored.copy_(moved)
    if isinstance(head, RotatedETFHead) and head.skew is not None:
        head.skew.zero_()
    return head


def _stored_vectors(head: Head) -> Tensor:
    """The buffer that holds the class vectors and, after them, reserved vertices."""
    if isinstance(head, UnstoredFrame):
        head.store_frame()
    for name in ("frame", "weight"):
        if (stored := head._buffers.get(name)) is not None:
            return stored
    what = "has no classes" if not head.num_classes else "learns its class vectors, which move by themselves"
    raise ValueError(f"{type(head).__name__} cannot be aligned: it {what}. Use a fixed head, such as ETFHead.")


def _seen(counts: Any | None, num_classes: int) -> Tensor:
    seen = torch.ones(num_classes, device="cpu") if counts is None else torch.as_tensor(counts, device="cpu")
    if tuple(seen.shape) != (num_classes,):
        raise ValueError(f"counts must have shape ({num_classes},), one for each class, got {tuple(seen.shape)}.")
    seen = seen > 0
    if not bool(seen.any()):
        raise ValueError("no class has samples, so there are no class means to align the head with.")
    return seen
