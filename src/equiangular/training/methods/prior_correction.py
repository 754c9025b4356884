"""Any trained method with the training prior taken out of its logits afterwards, nothing retrained."""

from __future__ import annotations

from dataclasses import replace

from equiangular.training.methods import best_frame, cross_entropy, dot_regression
from equiangular.training.methods.base import Method


def corrected(method: Method) -> Method:
    """The same method followed by the prior correction: one training run serves both."""
    return replace(
        method,
        name=f"{method.name}-pc",
        label=f"{method.label} + prior correction",
        source=f"{method.source}; Menon et al. 2021, section 4.1",
        corrected=True,
        trained_as=method.name,
    )


_FRAMES = [m for m in best_frame.METHODS if m.name != "frame-la"]  # logit adjustment has taken the prior out already

METHODS = tuple(corrected(m) for m in (*cross_entropy.METHODS, *dot_regression.METHODS, *_FRAMES))
