"""What our torchmetrics metrics have in common: states that are not mixed up, merged unseen or rounded away."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from equiangular._extras import require
from equiangular.measures.collapse.moments import accumulation_dtype

if TYPE_CHECKING:
    from torchmetrics import Metric
else:
    # The package whole takes seconds; its utilities import the class, which itself cannot be imported first.
    require("torchmetrics.utilities", extra="measures", purpose="A streaming metric", part=True)
    from torchmetrics.metric import Metric


class SumMetric(Metric):
    """A metric whose states are sums, in float32 at least; counts stay integers."""

    is_differentiable = False
    full_state_update = False
    needed_alike = "arguments"  # what two metrics must have in common to be merged
    configuration: Tensor

    def configure(self, *values: Tensor | None) -> None:
        """Keep a fingerprint of what ``update`` depends on, as a state.

        A ``MetricCollection`` lets metrics of equal states share one update, and ``merge_state`` adds any state up.
        Neither looks at arguments.
        """
        digest = hashlib.sha256()
        for value in values:
            digest.update(b"none" if value is None else value.detach().cpu().double().contiguous().numpy().tobytes())
        self.add_state("configuration", torch.tensor(list(digest.digest())), dist_reduce_fx="max")

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the state of another metric made with the same arguments; the order does not matter.

        Raises:
            ValueError: a metric of another size, or one that counts otherwise.
        """
        state = incoming_state if isinstance(incoming_state, dict) else incoming_state.metric_state
        for name, theirs in state.items():
            ours = getattr(self, name, None)
            if not isinstance(theirs, Tensor) or not isinstance(ours, Tensor):
                continue  # torchmetrics says what is missing
            what = f"a state of {theirs.numel()} numbers into one of {ours.numel()}"
            if theirs.shape == ours.shape:
                if name != "configuration" or torch.equal(theirs.to(ours), ours):
                    continue
                what = "a state that was counted otherwise"
            raise ValueError(f"cannot merge {what}: both metrics need the same {self.needed_alike}.")
        super().merge_state(incoming_state)
        self._computed = None  # torchmetrics would go on giving the values from before

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
        """Move the states; convert floating ones, to float32 at least. Some devices have no float64."""
        narrow = accumulation_dtype(fn(torch.zeros(0)).device) != torch.float64

        @functools.wraps(fn)  # torchmetrics knows what is asked for by the function's name
        def widely(tensor: Tensor) -> Tensor:
            tensor = tensor.float() if narrow and tensor.dtype == torch.float64 else tensor
            moved = fn(tensor)
            if moved.dtype == tensor.dtype:
                return moved
            wide = torch.promote_types(moved.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype
            return tensor.to(moved.device, wide)

        return super()._apply(widely, *args, **kwargs)
