"""What a training runs on, and in which precision. The number of processes changes no result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from equiangular._checks import check_choice, check_int

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Strategy = Literal["auto", "ddp", "fsdp"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Numerics:
    """What of the computation changes a result by more than rounding.

    Attributes:
        precision: ``"32-true"``, ``"bf16-mixed"``, ``"16-mixed"`` or ``"64-true"``.
        accumulate: parts that a batch is computed in, one after the other, to save memory. BatchNorm sees the parts.
    """

    precision: Precision = "32-true"
    accumulate: int = 1

    def __post_init__(self) -> None:
        check_choice(self.precision, PRECISIONS, "precision")
        check_int(self.accumulate, "accumulate", minimum=1)


@dataclass(frozen=True)
class Hardware(Numerics):
    """Devices and processes; the fields of :class:`Numerics` are its own too.

    Attributes:
        accelerator: ``"auto"`` takes a GPU if there is one; else ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: processes on this machine, one device each. Under ``torchrun`` and SLURM their numbers are taken.
        num_nodes: machines.
        strategy: ``"auto"`` is DDP for several processes; ``"fsdp"`` spreads the weights over them as well.
        compile: torch.compile for the backbone.
        channels_last: images and convolutions with the channels last in memory.
        workers: processes that decode images of data sets too large for memory.
        threads: CPU threads of each process; 0 leaves it to PyTorch (one for each of several processes).

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> Hardware(devices=2).strategy
        'auto'
    """

    accelerator: Accelerator = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: Strategy = "auto"
    compile: bool = False
    channels_last: bool = False
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_choice(self.accelerator, ACCELERATORS, "accelerator")
        check_choice(self.strategy, STRATEGIES, "strategy")
        super().__post_init__()
        if self.strategy == "fsdp" and self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"strategy='fsdp' works in 32-true and bf16-mixed, got precision={self.precision!r}.")
        for name in ("devices", "num_nodes"):
            check_int(getattr(self, name), name, minimum=1)
        for name in ("workers", "threads"):
            check_int(getattr(self, name), name, minimum=0)
