"""Modules that make their tensors from their options, and so can make them again where another library lost them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class RebuiltModule(nn.Module):
    """A module whose parameters and buffers survive the meta device, which keeps no values.

    Large models are built on it. What a checkpoint does not hold is then given memory without values, by
    ``to_empty`` or by ``from_pretrained`` of transformers, and so are all non-persistent buffers. Here such tensors
    are filled again: when the module leaves the meta device, and when transformers has initialised the module.
    """

    _on_meta = False  # built there, and not been filled since
    _lost: str | None = None  # why class vectors have no values, if they have none

    def _made_tensors(self) -> dict[str, Tensor]:
        """The initial values of all parameters and buffers by name, on the CPU."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Put all parameters and buffers back, in place, to what the module's options and seed give.

        Raises:
            ValueError: class vectors that were given, not drawn: the module has no copy of them.
        """
        self._fill(lambda name, tensor: True)

    @torch.no_grad()
    def _fill(self, wanted: Callable[[str, Tensor], bool]) -> None:
        tensors = {name: tensor for name, tensor in self._named_tensors().items() if wanted(name, tensor)}
        if not tensors:
            return
        with torch.device("cpu"):
            made = self._made_tensors()
        for name, tensor in tensors.items():
            tensor.copy_(made[name])

    def _named_tensors(self) -> dict[str, Tensor]:
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def _fill_or_tell(self, wanted: Callable[[str, Tensor], bool]) -> None:
        """Fill; what cannot be made again is told when it is used, for a checkpoint may bring it before."""
        try:
            self._fill(wanted)
        except ValueError as error:
            self._lost = str(error)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        empty = {name for name, tensor in self._named_tensors().items() if tensor.is_meta}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's
        if empty and not any(tensor.is_meta for tensor in self._named_tensors().values()):
            self._fill_or_tell(lambda name, tensor: name in empty)
            self._on_meta = False
        return self

    @property
    def _is_hf_initialized(self) -> bool:
        """What transformers asks before it initialises a module, and sets afterwards."""
        return not self._on_meta

    @_is_hf_initialized.setter
    def _is_hf_initialized(self, done: bool) -> None:
        if not (done and self._on_meta):
            return
        # transformers 5 asks when the checkpoint is loaded, and marks what came from it. Version 4 asks before: what a
        # checkpoint will bring is still on the meta device, and what it lacks is not.
        late = int(getattr(sys.modules.get("transformers"), "__version__", "5").split(".")[0]) >= 5
        if late and any(tensor.is_meta for tensor in self._named_tensors().values()):
            return
        never_loaded = self._non_persistent_buffers_set
        self._fill_or_tell(
            lambda name, tensor: (
                not tensor.is_meta
                and (name in never_loaded or not late or not getattr(tensor, "_is_hf_initialized", False))
            )
        )
        self._on_meta = False
