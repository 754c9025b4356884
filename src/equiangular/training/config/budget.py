"""The optimisation budget, what every method of a comparison gets alike, and its learning-rate schedule."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from equiangular._checks import check_choice, check_int, check_non_negative, check_positive, did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

Optimizer = Literal["sgd", "adamw", "muon"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
Schedule = Literal["cosine", "constant", "step"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


@dataclass(frozen=True)
class Budget:
    """The optimisation budget, equal for every method of a comparison.

    Attributes:
        epochs: passes over the training data.
        batch_size: samples per step, over all processes and parts of gradient accumulation together.
        optimizer: ``"sgd"`` with Nesterov momentum, ``"adamw"`` with beta_1 = momentum and beta_2 = 0.999, or
            ``"muon"``: Muon for the kernels of convolutions, SGD for all else.
        learning_rate: peak learning rate.
        momentum: momentum of SGD, Nesterov's form when above 0.
        weight_decay: L2 penalty on every learnable parameter (decoupled for ``"adamw"``, and for
            kernels under ``"muon"``).
        warmup_epochs: epochs of linear warm-up from 0 to the peak.
        schedule: ``"cosine"`` to 0, ``"constant"``, or ``"step"``: x0.1 at 80 % and again at 90 % of the epochs
            (Yang et al. 2022: epochs 160 and 180 of 200).
        clip_norm: largest norm of the gradient of all parameters together; 0 does not clip.
        ema: decay per step of a moving average of the weights, which is then measured and saved; 0 keeps none.
        sampler: ``"uniform"``: every sample once an epoch; ``"class-balanced"``: every class equally often;
            ``"class-balanced:0.5"``: class c with probability proportional to n_c^(1 - 0.5). Losses that take class
            counts are given those of the data: balance by the sampler or by the loss, not by both.
        augment: augmentation of images, such as ``"crop,flip"``, ``"crop,flip,cutout"`` or ``"crop,flip,randaugment"``.
        mix: ``"none"``, ``"mixup:1.0"``, ``"cutmix:1.0"`` or both with a comma: mixing of pairs of samples, with the
            parameter of the Beta distribution of the share.

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> Budget(epochs=2).epochs
        2
    """

    epochs: int = 40
    batch_size: int = 64
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 2
    schedule: Schedule = "cosine"
    clip_norm: float = 0.0
    ema: float = 0.0
    sampler: str = "uniform"
    augment: str = "none"
    mix: str = "none"

    def __post_init__(self) -> None:
        check_int(self.epochs, "epochs", minimum=1)
        check_int(self.batch_size, "batch_size", minimum=2, hint="Batch statistics need two samples.")
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        check_positive(self.learning_rate, "learning_rate", hint="Typical values: 0.01 to 0.2.")
        check_share(self.momentum, "momentum")
        check_non_negative(self.weight_decay, "weight_decay")
        check_int(self.warmup_epochs, "warmup_epochs", minimum=0)
        check_choice(self.schedule, SCHEDULES, "schedule")
        check_non_negative(self.clip_norm, "clip_norm", hint="0 does not clip.")
        check_share(self.ema, "ema", hint="Typical: 0.999; 0 keeps no average.")
        sampler_alpha(self.sampler)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Budget:
        """Build from plain values; an unknown key is refused with the closest known one."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"unknown budget field {key!r}{did_you_mean(key, known)}")
        return cls(**values)

    def with_changes(self, **changes: Any) -> Self:
        """A copy with the given fields changed; ``None`` leaves a field as it is."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})


def learning_rate_factor(step: int, steps_per_epoch: int, budget: Budget) -> float:
    """Factor of the peak learning rate at optimiser step ``step`` (from 0).

    Linear warm-up over ``warmup_epochs``; then cosine to 0 over the rest, constant, or x0.1 at 80 % and 90 % of all
    epochs (Yang et al. 2022: epochs 160 and 180 of 200).

    Example:
        >>> budget = Budget(epochs=10, warmup_epochs=0, schedule="step")
        >>> [round(learning_rate_factor(epoch, 1, budget), 3) for epoch in (0, 7, 8, 9)]
        [1.0, 1.0, 0.1, 0.01]
    """
    total, warmup = budget.epochs * steps_per_epoch, min(budget.warmup_epochs, budget.epochs - 1) * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    if budget.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    if budget.schedule == "step":
        return 0.1 ** ((step >= 0.8 * total) + (step >= 0.9 * total))
    return 1.0


def sampler_alpha(sampler: str) -> float:
    """How far a sampler balances the classes: 0 for ``"uniform"``, 1 for ``"class-balanced"``, or what follows ``:``.

    Raises:
        ValueError: neither of them, or a number outside [0, 1].

    Example:
        >>> sampler_alpha("uniform"), sampler_alpha("class-balanced"), sampler_alpha("class-balanced:0.5")
        (0.0, 1.0, 0.5)
    """
    name, colon, number = str(sampler).partition(":")
    check_choice(name, ("uniform", "class-balanced"), "sampler")
    if name == "uniform" or not colon:
        return float(name != "uniform")
    try:
        alpha = float(number)
    except ValueError:
        alpha = math.nan
    if not 0 <= alpha <= 1:
        raise ValueError(f"the number of sampler={sampler!r} must lie in [0, 1]: 1 balances the classes, 0 does not.")
    return alpha


def check_share(value: Any, name: str, *, hint: str = "") -> None:
    """Raise unless ``value`` is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}.{' ' + hint if hint else ''}")


def fingerprint(values: dict[str, Any]) -> str:
    """A short hash of JSON-plain values: equal configurations have equal fingerprints.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
