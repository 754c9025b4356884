"""Collapse over the epochs of a Hugging Face Trainer: one callback. Needs the extra ``[transformers]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from equiangular._extras import require
from equiangular._validate import check_int
from equiangular.measures.over_loader import measure_collapse

_transformers = require("transformers", extra="transformers", purpose="NeuralCollapseTrainerCallback")


class NeuralCollapseTrainerCallback(_transformers.TrainerCallback):
    """Measure neural collapse at the end of epochs and put it into the trainer's log history as ``nc_nc1`` and so on.

    Args:
        loader: data to measure on, batches with ``"labels"``; by default the trainer's training loader, gone through
            once more in evaluation mode (twice with NC4).
        every_n_epochs: epochs between two measurements; the last epoch is always measured.
        options: options of :func:`equiangular.measures.measure_collapse`, such as ``classifier`` or ``class_counts``.

    Attributes:
        history: one dictionary for each measurement, with ``epoch``.
    """

    def __init__(self, loader: Iterable[Any] | None = None, *, every_n_epochs: int = 1, **options: Any) -> None:
        self.loader = loader
        self.every_n_epochs = check_int(every_n_epochs, "every_n_epochs", minimum=1)
        self.options = options
        self.history: list[dict[str, float]] = []

    def on_epoch_end(
        self, args: Any, state: Any, control: Any, model: Any = None, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Measure; Trainer calls this."""
        epoch = round(state.epoch)
        if epoch % self.every_n_epochs and epoch < state.num_train_epochs:
            return
        measured = measure_collapse(model, train_dataloader if self.loader is None else self.loader, **self.options)
        values = {key: float(value) for key, value in measured.items()}
        self.history.append({"epoch": epoch, **values})
        logged = {f"nc_{key}": value for key, value in values.items()}
        state.log_history.append({"epoch": state.epoch, "step": state.global_step, **logged})
