"""What a computation allocates, by watching every operation."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
VIEWS = (
    _aten.t.default,
    _aten.transpose.int,
    _aten.detach.default,
    _aten.slice.Tensor,
    _aten.view.default,
    _aten.alias.default,
)


class Results(TorchDispatchMode):
    """Records the shape of every tensor that an operation returns, forward and backward, views of others left out."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    @property
    def largest(self) -> int:
        """Number of elements of the largest one."""
        return max(torch.Size(shape).numel() for shape in self.shapes)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func not in VIEWS:
            self.shapes.extend(tuple(leaf.shape) for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        return out
