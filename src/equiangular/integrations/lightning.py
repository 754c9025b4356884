"""Collapse over the epochs of a Lightning training: one callback. Needs the extra ``[lightning]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from equiangular._extras import require
from equiangular._validate import check_choice, check_int
from equiangular.measures.over_loader import measure_collapse

_pytorch = require("lightning.pytorch", extra="lightning", purpose="NeuralCollapseCallback")


class NeuralCollapseCallback(_pytorch.Callback):
    """Measure neural collapse every few epochs and log it as ``nc/nc1``, ``nc/nc3`` and so on.

    An extra pass over the data in evaluation mode: collapse is defined on the features of all training samples under
    one set of weights, which the batches of an epoch are not. Under several processes each measures its shard and
    the metric merges them.

    Args:
        data: ``"train"`` or ``"val"`` for the trainer's own loader, or a loader of your own (best: the training data
            without augmentation).
        every_n_epochs: epochs between two measurements; the last epoch is always measured.
        keys: measures to log; all by default.
        options: options of :func:`equiangular.measures.measure_collapse`, such as ``classifier`` or ``class_counts``.

    Attributes:
        history: one dictionary for each measurement, with ``epoch``; part of the checkpoint.

    Example:
        >>> callback = NeuralCollapseCallback(every_n_epochs=5, keys=("nc1", "nc3"))
        >>> callback.state_key
        "NeuralCollapseCallback{'every_n_epochs': 5}"
    """

    def __init__(
        self,
        *,
        data: str | Iterable[Any] = "train",
        every_n_epochs: int = 1,
        keys: tuple[str, ...] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.data = check_choice(data, ("train", "val"), "data") if isinstance(data, str) else data
        self.every_n_epochs = check_int(every_n_epochs, "every_n_epochs", minimum=1)
        self.keys = keys
        self.options = options
        self.history: list[dict[str, float]] = []

    @property
    def state_key(self) -> str:
        """The name under which a checkpoint keeps the history."""
        return self._generate_state_key(every_n_epochs=self.every_n_epochs)

    def state_dict(self) -> dict[str, Any]:
        """The history, JSON-plain."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of a checkpoint."""
        self.history = list(state_dict["history"])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure and log."""
        epoch = trainer.current_epoch
        last = trainer.max_epochs is not None and epoch + 1 == trainer.max_epochs
        if (epoch + 1) % self.every_n_epochs and not last:
            return
        measured = measure_collapse(pl_module, self._loader(trainer), device=pl_module.device, **self.options)
        values = {key: float(value) for key, value in measured.items() if self.keys is None or key in self.keys}
        self.history.append({"epoch": epoch, **values})
        pl_module.log_dict({f"nc/{key}": value for key, value in values.items()}, rank_zero_only=True)

    def _loader(self, trainer: Any) -> Iterable[Any]:
        if not isinstance(self.data, str):
            return self.data
        loader = trainer.train_dataloader if self.data == "train" else trainer.val_dataloaders
        if loader is None:
            raise ValueError(f"the trainer has no {self.data} loader; pass a loader as data=.")
        return loader[0] if isinstance(loader, (list, tuple)) else loader
