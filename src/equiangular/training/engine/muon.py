"""PyTorch's Muon for the kernels of convolutions, and SGD for all else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Muon(Optimizer):
    """``torch.optim.Muon`` for parameters of four dimensions, ``torch.optim.SGD`` for the others.

    A kernel (out, in, h, w) is the matrix (out, in * h * w): its momentum is brought close to the nearest matrix with
    equal singular values, and added at the rate of the group. Weight decay is decoupled for kernels, an L2 penalty for
    the others. Both have Nesterov's momentum.

    Args:
        parameters: those that learn, whole on this device, at least one of them a kernel.
        lr: learning rate of both.
        momentum: momentum of both, in [0, 1).
        weight_decay: of both.
        foreach: of SGD, see ``torch.optim.SGD``.

    Raises:
        ValueError: no kernel, or a PyTorch without Muon.

    Example:
        >>> convolution = nn.Conv2d(3, 4, 3)
        >>> optimizer = Muon(convolution.parameters(), lr=0.1)
        >>> convolution(torch.ones(1, 3, 5, 5)).sum().backward()
        >>> optimizer.step()

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr})
        if not hasattr(torch.optim, "Muon"):
            raise ValueError(
                f"optimizer='muon' needs PyTorch 2.9 or newer, this is {torch.__version__}. Use optimizer='sgd'."
            )
        own = [p for group in self.param_groups for p in group["params"]]
        # Views of the kernels: what is written into the matrix is written into the kernel.
        self._matrices = {p: nn.Parameter(_as_matrix(p.detach())) for p in own if p.ndim == 4}
        if not self._matrices:
            raise ValueError(
                "optimizer='muon' is for the kernels of convolutions, and this network learns none. "
                "Use optimizer='sgd', or a backbone such as 'resnet8'."
            )
        common: dict[str, Any] = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": True}
        others = [p for p in own if p.ndim != 4]
        muon = torch.optim.Muon(self._matrices.values(), **common)
        self._parts: list[Optimizer] = [muon]
        self._trained_by: dict[nn.Parameter, tuple[Optimizer, nn.Parameter]] = {
            p: (muon, m) for p, m in self._matrices.items()
        }
        if others:
            common["nesterov"] = momentum > 0
            sgd = torch.optim.SGD(others, foreach=foreach, **common)
            self._parts.append(sgd)
            self._trained_by |= {p: (sgd, p) for p in others}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step at the rate of the group; a closure is not taken."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradients before the step.")
        for kernel, matrix in self._matrices.items():
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            part.step()
        for parameter, (part, trained) in self._trained_by.items():
            self.state[parameter] = part.state[trained]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; momenta of kernels are matrices."""
        super().load_state_dict(state_dict)
        for parameter, (part, trained) in self._trained_by.items():
            part.state[trained] = self.state[parameter]


def _as_matrix(kernel: Tensor) -> Tensor:
    """(out, in * h * w), or (out, h * w * in) where channels come last in memory; a view of a parameter."""
    return kernel.flatten(1) if kernel.is_contiguous() else kernel.permute(0, 2, 3, 1).flatten(1)
