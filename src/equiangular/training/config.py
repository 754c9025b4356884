"""What a training run is told: one flat, JSON-plain dataclass in which every field is documented with its unit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from equiangular._validate import check_choice, check_int, check_positive, did_you_mean

SCHEDULES = ("cosine", "constant", "step")


@dataclass(frozen=True)
class Budget:
    """The optimisation budget, equal for every method of a comparison.

    Attributes:
        epochs: passes over the training data.
        batch_size: samples per step, over all processes together.
        learning_rate: peak learning rate of SGD.
        momentum: momentum of SGD, Nesterov's form when above 0.
        weight_decay: L2 penalty on every learnable parameter.
        warmup_epochs: epochs of linear warm-up from 0 to the peak.
        schedule: ``"cosine"`` to 0, ``"constant"``, or ``"step"``: x0.1 at 80 % and again at 90 % of the epochs
            (Yang et al. 2022: epochs 160 and 180 of 200).

    Raises:
        ValueError: a field is out of range; the message names it.

    Example:
        >>> Budget(epochs=2).epochs
        2
    """

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 2
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        check_int(self.epochs, "epochs", minimum=1)
        check_int(self.batch_size, "batch_size", minimum=2, hint="Batch statistics need two samples.")
        check_positive(self.learning_rate, "learning_rate", hint="Typical values: 0.01 to 0.2.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum!r}.")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay!r}.")
        check_int(self.warmup_epochs, "warmup_epochs", minimum=0)
        check_choice(self.schedule, SCHEDULES, "schedule")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Budget:
        """Build from plain values; an unknown key is refused with the closest known one."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"unknown budget field {key!r}{did_you_mean(key, known)}")
        return cls(**values)

    def with_changes(self, **changes: Any) -> Budget:
        """A copy with the given fields changed; ``None`` leaves a field as it is."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})


def fingerprint(values: dict[str, Any]) -> str:
    """A short hash of JSON-plain values: equal configurations have equal fingerprints.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_plain(config: Any) -> dict[str, Any]:
    """A dataclass as JSON-plain values."""
    return asdict(config)
