"""The class prior that a scikit-learn classifier was adapted to, in NumPy as its other fitted attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equiangular.posthoc import PriorEstimate


@dataclass(frozen=True)
class AdaptedPrior:
    """A :class:`equiangular.posthoc.PriorEstimate` in NumPy.

    Attributes:
        prior: (K,) float64, at least 0, sums to 1.
        standard_error: (K,) float64, of each share: what another draw of as many samples would change, no more.
        expected_error: total variation distance that sampling alone is expected to leave. Where the posteriors are
            wrong for the new class shares, the error may be ten times this.
        log_likelihood: in nats, of all samples under ``prior``, less that under the training prior.
        iterations: steps of EM.
        converged: whether the log-likelihood per sample is within the tolerance of its maximum.

    Example:
        >>> import torch
        >>> from equiangular.posthoc import estimate_prior
        >>> AdaptedPrior.of(estimate_prior(torch.tensor([[1.0, 3.0]]).log(), [1, 3])).prior
        array([0.25, 0.75])
    """

    prior: np.ndarray
    standard_error: np.ndarray
    expected_error: float
    log_likelihood: float
    iterations: int
    converged: bool

    @classmethod
    def of(cls, found: PriorEstimate) -> AdaptedPrior:
        """The same estimate, its tensors copied to arrays."""
        return cls(
            found.prior.numpy().copy(), found.standard_error.numpy().copy(), found.expected_error,
            found.log_likelihood, found.iterations, found.converged,
        )  # fmt: skip
