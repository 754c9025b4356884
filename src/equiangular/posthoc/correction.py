"""The prior correction as a module: fitted once, saved with the model, moved to any prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equiangular._validate import check_features, check_num_classes
from equiangular.posthoc.calibration import calibrate_prior_correction
from equiangular.posthoc.prior import corrected, log_prior


class PriorCorrection(nn.Module):
    """Module form of :func:`prior_corrected_logits`, with scale and strength fitted on held-out training data.

    Everything it has learned is in persistent buffers. Before :meth:`fit` it returns its input.

    Args:
        num_classes: K.
        device: device of the buffers.
        dtype: dtype of the buffers.

    Raises:
        ValueError: K < 2.

    Example:
        >>> z, y = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.6, 0.5], [0.5, 0.4]]), torch.tensor([0, 0, 1, 1])
        >>> correction = PriorCorrection(2).fit(z, y, [90, 10])
        >>> correction(z).argmax(1)
        tensor([0, 0, 1, 1])
        >>> correction.to_prior([90, 10])(z).argmax(1)  # the prior it was trained with: the ranking of z itself
        tensor([0, 0, 0, 0])
    """

    scale: Tensor
    strength: Tensor
    log_train_prior: Tensor
    log_target_prior: Tensor

    def __init__(
        self, num_classes: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.num_classes = check_num_classes(num_classes)
        like = torch.empty(0, device=device, dtype=dtype)
        uniform = log_prior(None, self.num_classes, "target_prior").to(like)
        self.register_buffer("scale", like.new_ones(()))
        self.register_buffer("strength", like.new_ones(()))
        self.register_buffer("log_train_prior", uniform)
        self.register_buffer("log_target_prior", uniform.clone())

    @torch.no_grad()
    def fit(
        self, logits: Tensor, labels: Tensor, class_counts: Any, *, target_prior: Any | None = None
    ) -> PriorCorrection:
        """Fit scale and strength; see :func:`calibrate_prior_correction` for arguments and errors. Returns self."""
        check_features(logits, dim=self.num_classes, name="logits")
        scale, strength = calibrate_prior_correction(logits, labels, class_counts, target_prior=target_prior)
        self.scale.fill_(scale)
        self.strength.fill_(strength)
        self.log_train_prior.copy_(log_prior(class_counts, self.num_classes, "class_counts"))
        return self.to_prior(target_prior)

    @torch.no_grad()
    def to_prior(self, target_prior: Any | None = None) -> PriorCorrection:
        """Correct to another target prior (K,) from now on, uniform by default; scale and strength stay. Returns self.

        Raises:
            ValueError: weights of the wrong shape, or not all above 0.
        """
        self.log_target_prior.copy_(log_prior(target_prior, self.num_classes, "target_prior"))
        return self

    def forward(self, logits: Tensor) -> Tensor:
        """Corrected logits (N, K) of cosines or logits (N, K)."""
        check_features(logits, dim=self.num_classes, name="logits")
        return corrected(logits, self.log_train_prior - self.log_target_prior, self.scale, self.strength)

    def extra_repr(self) -> str:
        """The number of classes, for ``repr``."""
        return f"num_classes={self.num_classes}"
