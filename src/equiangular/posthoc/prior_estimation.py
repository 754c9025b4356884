"""The class prior of unlabelled data: maximum likelihood by EM, and the calibration that its posteriors need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equiangular._validate import check_features, check_int, check_positive
from equiangular.posthoc.calibration import LOG_SCALE_STD, _minimise, held_out
from equiangular.posthoc.prior import log_prior

# Standard deviation of the weak prior of each bias about what Bayes' rule says.
BIAS_STD = 1.0


@dataclass(frozen=True)
class PriorEstimate:
    """What :func:`estimate_prior` found.

    Attributes:
        prior: (K,) float64, at least 0, sums to 1.
        standard_error: (K,) float64, of each share: what another draw of as many samples would change. It does not
            cover errors of the posteriors. Infinite where the samples do not tell classes apart.
        log_likelihood: in nats, of all samples under ``prior``, less that under the training prior; at least 0.
        iterations: steps of EM.
        converged: whether the log-likelihood per sample is within the tolerance of its maximum.
    """

    prior: Tensor
    standard_error: Tensor
    log_likelihood: float
    iterations: int
    converged: bool

    @property
    def expected_error(self) -> float:
        """The total variation distance, half the sum of absolute errors, that sampling alone is expected to leave.

        It is no bound of the error: wrong posteriors, or another p(x | class), are not in it. After a strong shift of
        the prior, logistic regression was off by 0.28 where it says 0.03.

        Of normal errors, sqrt(2 / pi) times the sum of the standard errors, halved; infinite with one of them. An
        estimate of 1 or more says nothing.
        """
        return float(self.standard_error.sum()) / math.sqrt(2 * math.pi)


@torch.no_grad()
def estimate_prior(
    log_posteriors: Tensor, train_prior: Any, *, tolerance: float = 1e-7, max_iterations: int = 10_000
) -> PriorEstimate:
    """The class prior of unlabelled samples, from their posteriors under another prior.

    Maximises the concave log-likelihood L(q) = (1/N) sum_i log sum_c q_c r_ic with r_ic = p(c | x_i) / pi_c by EM,

        q_c <- q_c g_c,   g_c = (1/N) sum_i r_ic / sum_k q_k r_ik,

    from q = pi. No prior can have an L above L(q) + max_c g_c - 1, so that is what the tolerance bounds. Standard
    errors are those of the observed information, the inverse of sum_i u_i u_i^T with u_ic = r_ic / sum_k q_k r_ik on
    the plane of vectors that sum to 0. They ignore that shares are at least 0, and so overstate those close to it.

    The posteriors have to be calibrated: correct them by :func:`bias_corrected_temperature` first. That
    p(x | class) is the same in both data sets is assumed; a class that the classifier does not know breaks it. A
    calibration holds on average over the training shares: where the model is wrong in places that the new shares make
    frequent, the estimate is biased, and neither standard errors nor the likelihood show it.

    Args:
        log_posteriors: (N, K) floating point: log p(c | x) under the training prior, up to a constant in each row.
        train_prior: pi as (K,) positive weights, such as the training samples per class.
        tolerance: the largest shortfall of L, in nats per sample.
        max_iterations: steps of EM at most.

    Raises:
        ValueError: no samples, wrong shapes, NaN values, or weights that are not above 0.

    Example:
        >>> p = torch.tensor([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 6)  # 2 samples look like class 0, 6 like class 1
        >>> found = estimate_prior(p.log(), [1, 1])
        >>> found.prior, found.converged
        (tensor([0.1875, 0.8125], dtype=torch.float64), True)

    Sources: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities",
    Neural Computation 2002, eq. 2.9; the bound is that of a concave function by its tangent.
    """
    check_features(log_posteriors, name="log_posteriors")
    number, num_classes = log_posteriors.shape
    if not number:
        raise ValueError("log_posteriors is empty; a prior cannot be estimated from no samples.")
    tolerance = check_positive(tolerance, "tolerance")
    check_int(max_iterations, "max_iterations", minimum=1)
    log_pi = log_prior(train_prior, num_classes, "train_prior").cpu()
    log_ratio = log_posteriors.detach().cpu().double().log_softmax(1) - log_pi
    largest = log_ratio.amax(1, keepdim=True)
    ratio = (log_ratio - largest).exp()
    prior = log_pi.exp()
    for iterations in range(max_iterations + 1):
        density = ratio @ prior
        gain = ratio.T @ (1 / density) / number
        converged = float(gain.max()) - 1 <= tolerance
        if converged or iterations == max_iterations:
            break
        prior = prior * gain
        prior /= prior.sum()
    likelihood = float((density.log() + largest[:, 0]).sum())
    return PriorEstimate(prior, _standard_error(ratio / density[:, None]), likelihood, iterations, converged)


def _standard_error(score: Tensor) -> Tensor:
    """Roots of the diagonal of B (B^T U^T U B)^-1 B^T, with U the scores (N, K) and B a basis of the sum-0 plane."""
    num_classes = score.shape[1]
    basis: Tensor = torch.linalg.svd(score.new_ones(1, num_classes))[2][1:].T
    along = score @ basis
    values, vectors = torch.linalg.eigh(along.T @ along)
    squares = (basis @ vectors).square()
    known = values > values[-1].clamp_min(torch.finfo(values.dtype).tiny) * num_classes * torch.finfo(values.dtype).eps
    variance = squares[:, known] @ (1 / values[known])
    blurred = squares[:, ~known].sum(1) > 1e-9
    error: Tensor = variance.masked_fill(blurred, math.inf).sqrt()
    return error


class BiasCorrectedTemperature(NamedTuple):
    """What :func:`bias_corrected_temperature` found: log posteriors are ``scale * logits + bias``.

    Attributes:
        scale: 1 / temperature, above 0.
        bias: (K,) float64, of mean 0.
    """

    scale: float
    bias: Tensor


def bias_corrected_temperature(
    logits: Tensor, labels: Tensor, class_counts: Any, *, logit_prior: Any | None = None
) -> BiasCorrectedTemperature:
    """Scale and class biases at which logits fit held-out training data best.

    Minimises over (log scale, b), by L-BFGS in float64,

        (1/N) sum_i CE(scale z_i + b, y_i) + [ (log scale)^2 / (2 0.5^2) + |b - b_0|^2 / (2 1^2) ] / N,

    with b_0 = log pi - log beta, pi the prior of the data and beta that of the logits. The bracket is a weak prior; it
    keeps a class without held-out samples, and data that are all classified right, from sending the fit to infinity.
    Where it fades, the mean posterior of each class is its share of the held-out data, which is what
    :func:`estimate_prior` builds on and a temperature alone does not give.

    Args:
        logits: (N, K) floating point.
        labels: (N,) integers in [0, K).
        class_counts: pi as (K,) positive weights: the training samples per class.
        logit_prior: beta as (K,) positive weights; pi by default.

    Raises:
        ValueError: wrong shapes, NaN values, weights that are not above 0, or no samples.

    Example:
        >>> z, y = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]] * 50), torch.tensor([0, 1, 1] * 50)
        >>> scale, bias = bias_corrected_temperature(z, y, [50, 100])
        >>> (scale * z + bias).softmax(1).mean(0)
        tensor([0.34..., 0.65...], dtype=torch.float64)

    Source: Alexandari, Kundaje and Shrikumar, "Maximum likelihood with bias-corrected calibration is
    hard-to-beat at label shift adaptation", ICML 2020, section 3 (BCTS).
    """
    z, y, start = held_out(logits, labels, class_counts, logit_prior, "a calibration")
    z = z.double()

    def objective(point: Tensor) -> Tensor:
        likelihood = torch.nn.functional.cross_entropy(point[0].exp() * z + point[1:], y)
        weak = (point[0] / LOG_SCALE_STD).square() + ((point[1:] - start) / BIAS_STD).square().sum()
        return likelihood + weak / (2 * len(y))

    log_scale, *bias = _minimise(lambda point: [objective(point)], [0.0, *start.tolist()])
    found = torch.tensor(bias, dtype=torch.float64, device="cpu")
    return BiasCorrectedTemperature(math.exp(log_scale), found - found.mean())
