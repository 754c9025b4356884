"""The option to answer "none of these", for scikit-learn classifiers that have ``predict_proba``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from equiangular.integrations._labels import plain
from equiangular.posthoc import rejection_threshold


class Rejection:
    """Mixin: parameters ``reject`` and ``reject_label``, attribute ``rejection_threshold_``, method ``rejected``.

    A sample is rejected where 1 - its largest probability is above the threshold. A classifier calls
    ``_set_rejection`` in ``fit`` with probabilities of held-out samples, and ``_with_rejected`` in ``predict``.
    """

    classes_: np.ndarray
    reject: float | None
    reject_label: Any

    def rejected(self, X: Any) -> np.ndarray:
        """Which samples are rejected as none of the classes, (N,) bool.

        Raises:
            ValueError: ``reject`` was None in ``fit``.
        """
        probabilities = self.predict_proba(X)  # type: ignore[attr-defined]  # of the classifier
        if not hasattr(self, "rejection_threshold_"):
            raise ValueError("no threshold was calibrated. Set reject, to 0.05 for instance, before fit.")
        return np.asarray(1 - probabilities.max(1) > self.rejection_threshold_)

    def _set_rejection(self, probabilities: np.ndarray) -> None:
        """Calibrate the threshold on probabilities (n, K) of held-out samples."""
        if self.reject is not None:
            scores = torch.from_numpy(1 - probabilities.max(1))
            self.rejection_threshold_ = rejection_threshold(scores, self.reject)

    def _with_rejected(self, predicted: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The labels (N,), ``reject_label`` where a sample is rejected."""
        if self.reject is None:
            return predicted
        label = self.reject_label
        if label is None:
            label = -1 if np.issubdtype(self.classes_.dtype, np.number) else "unknown"
        if label in self.classes_.tolist():
            raise ValueError(f"reject_label is {plain(label)!r}, which is a class. Choose another one.")
        kinds = [np.asarray(label).dtype, predicted.dtype]
        alike = any(all(k.kind in of_a_kind for k in kinds) for of_a_kind in ("iuf", "U"))
        predicted = predicted.astype(np.result_type(*kinds) if alike else object)  # room for a longer text, a minus
        predicted[1 - probabilities.max(1) > self.rejection_threshold_] = label
        return predicted
