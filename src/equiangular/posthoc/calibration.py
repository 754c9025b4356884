"""Scale, temperature and strength of a prior correction, fitted on held-out training data; all as a module."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equiangular._rebuilt import RebuiltModule
from equiangular._validate import check_features, check_labels, check_num_classes, check_positive
from equiangular.posthoc.prior import PART, corrected, log_prior, prior_shift, row_parts

# Standard deviations of the weak priors: on the strength about 1, on log scale about the data's own starting point.
STRENGTH_STD = 0.5
LOG_SCALE_STD = 0.5
MAX_STRENGTH = 4.0
# The class probability that the starting scale gives to the median sample.
START_PROBABILITY = 0.95


class Calibration(NamedTuple):
    """What :func:`calibrate_prior_correction` found: pass both to :func:`prior_corrected_logits`."""

    scale: float
    strength: float


def calibrate_prior_correction(
    logits: Tensor,
    labels: Tensor,
    class_counts: Any,
    *,
    target_prior: Any | None = None,
    expected_scale: float | None = None,
) -> Calibration:
    """Fit scale and strength of the prior correction by the likelihood under the target prior.

    Minimises, over (log scale, strength) by L-BFGS in float64,

        sum_i omega_i CE(scale z_i - strength (log pi - log rho), y_i)
            + [ (strength - 1)^2 / (2 0.5^2) + (log scale - log scale_0)^2 / (2 0.5^2) ] / n_eff,

    where omega_i is proportional to rho_{y_i} / n_{y_i}, n_c the held-out samples of class c, and sums to 1: the first
    term estimates the negative log-likelihood under the target prior rho from data that follow another prior. The
    bracket is a weak prior that fades with n_eff = 1 / sum_i omega_i^2, the effective number of samples: with a handful
    of held-out samples of the rare classes the strength stays near 1, the value of Bayes' rule, and the scale near
    scale_0, at which the median sample's top class has probability 0.95, also where the held-out data are separable
    and the likelihood alone would send it to infinity. The strength is kept in [0, 4].

    Classes absent from the held-out data are left out of the softmax altogether. Bayes' rule holds among the
    remaining classes as well, so this costs precision and no bias, where keeping them as rivals that never win would
    push the strength down.

    Use held-out *training* data, never the test set. Returns ``(scale, strength)``. Multiplying ``logits`` by a
    constant divides the scale by it and changes nothing else.

    Args:
        logits: (N, K) floating point: cosines or logits of held-out training samples.
        labels: (N,) integers in [0, K).
        class_counts: (K,) samples per class that the classifier was trained on, all above 0.
        target_prior: (K,) positive weights of the classes where the classifier is used; uniform by default.
        expected_scale: scale_0, where it is known: 1 for logarithms of probabilities. By default the scale at which
            the median sample's top class has probability 0.95.

    Raises:
        ValueError: wrong shapes, NaN values, an empty class in the counts, or fewer than two classes held out.

    Example:
        >>> from equiangular.posthoc import calibrate_prior_correction, prior_corrected_logits
        >>> z, y = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.6, 0.5], [0.5, 0.4]]), torch.tensor([0, 0, 1, 1])
        >>> scale, strength = calibrate_prior_correction(z, y, [90, 10])
        >>> prior_corrected_logits(z, [90, 10], scale=scale, strength=strength).argmax(1)
        tensor([0, 0, 1, 1])

    Sources: Menon et al., ICLR 2021, section 4.1 (the correction and its strength tau); Saerens et al., Neural
    Computation 2002 (change of prior); Guo et al., "On calibration of modern neural networks", ICML 2017 (the scale).
    """
    check_features(logits, name="logits")
    num_classes = logits.shape[1]
    labels = check_labels(labels, num_classes, batch=logits.shape[0]).cpu()
    shift = prior_shift(class_counts, target_prior, num_classes)
    rho = log_prior(target_prior, num_classes, "target_prior").exp().cpu()
    held = torch.bincount(labels, minlength=num_classes)
    present = held > 0
    if int(present.sum()) < 2:
        raise ValueError(
            f"the held-out data have {int(present.sum())} of {num_classes} classes; at least 2 are needed. "
            "Hold out more samples, or use prior_corrected_logits with its default strength of 1."
        )
    parts = _Parts(logits, present)
    y = (present.cumsum(0) - 1)[labels]
    omega = (rho / held.clamp_min(1))[labels]
    if expected_scale is not None:
        start = math.log(check_positive(expected_scale, "expected_scale"))
    else:
        start = _starting_log_scale(torch.cat([_top_gap(z) for _, z in parts]), int(present.sum()))
    return _fit(parts, y, shift.cpu()[present], omega / omega.sum(), start)


class _Parts:
    """Rows and columns of held-out logits in float64, part by part, over and over: one part at a time is in memory."""

    def __init__(self, logits: Tensor, columns: Tensor) -> None:
        self.logits, self.columns = logits.detach(), columns
        self.rows = row_parts(len(logits), max(1, int(columns.sum())), PART // 2)
        self.only: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        for rows in self.rows:
            if self.only is not None:
                yield rows, self.only
                continue
            z = self.logits[rows].cpu().double()[:, self.columns]
            self.only = z if len(self.rows) == 1 else None
            yield rows, z


def _fit(parts: _Parts, y: Tensor, shift: Tensor, omega: Tensor, start: float) -> Calibration:
    """The optimum over strength in [0, MAX_STRENGTH]; where the free one lies outside, that of the nearest bound.

    For a given scale the objective is convex in the strength, so a violated bound is where the optimum lies.
    """
    penalty = 1 / float(1 / omega.square().sum())

    def objective(log_scale: Tensor, strength: Tensor) -> Iterator[Tensor]:
        for rows, z in parts:
            log_p = (log_scale.exp() * z - strength * shift).log_softmax(1)
            likelihood = -(omega[rows] * log_p.gather(1, y[rows, None])[:, 0]).sum()
            if rows.start:
                yield likelihood
                continue
            prior = ((strength - 1) / STRENGTH_STD) ** 2 + ((log_scale - start) / LOG_SCALE_STD) ** 2
            yield likelihood + penalty * prior / 2

    log_scale, strength = _minimise(lambda p: objective(p[0], p[1]), [start, 1.0])
    if not 0 <= strength <= MAX_STRENGTH:
        strength = min(max(strength, 0.0), MAX_STRENGTH)
        bound = torch.tensor(strength, dtype=torch.float64, device="cpu")
        (log_scale,) = _minimise(lambda p: objective(p[0], bound), [start])
    return Calibration(math.exp(log_scale), strength)


def starting_log_scale(z: Tensor) -> float:
    """The log scale at which the median sample's top class, against the mean of the others, has START_PROBABILITY."""
    return _starting_log_scale(_top_gap(z), z.shape[1])


def _top_gap(z: Tensor) -> Tensor:
    """By how much the top class of each sample is above the mean of all, (N,)."""
    return z.max(1).values - z.mean(1)


def _starting_log_scale(top_gap: Tensor, num_classes: int) -> float:
    gap = float(top_gap.median()) * num_classes / (num_classes - 1)
    odds = (num_classes - 1) * START_PROBABILITY / (1 - START_PROBABILITY)
    return math.log(math.log(odds) / gap) if gap > 0 else 0.0


def _minimise(objective: Callable[[Tensor], Iterable[Tensor]], start: list[float]) -> list[float]:
    """L-BFGS with a strong-Wolfe line search from ``start``; the objective gives its summands, each once."""
    with torch.enable_grad():
        point = torch.tensor(start, dtype=torch.float64, device="cpu", requires_grad=True)
        optimizer = torch.optim.LBFGS([point], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            losses: list[float] = []
            for loss in objective(point):  # a part's graph is gone before the next part is made
                loss.backward()
                losses.append(loss.item())  # a tensor that is kept would lie between the parts, and hold their memory
            return torch.tensor(losses, dtype=torch.float64, device="cpu").sum()

        optimizer.step(closure)
    return point.detach().tolist()


def calibrate_scale(logits: Tensor, labels: Tensor, class_counts: Any, *, logit_prior: Any | None = None) -> float:
    """The scale, 1 / temperature, at which logits fit held-out training data best.

    Minimises over log scale, by L-BFGS in float64,

        (1/N) sum_i CE(scale z_i + log pi - log beta, y_i) + (log scale)^2 / (2 0.5^2 N),

    with pi the prior of the held-out data, that of the training, and beta the prior that the logits stand for. The
    shift brings balanced logits to the prior of the data (Bayes' rule), so every sample counts alike; weighting the few
    samples of rare classes up instead would leave the fit to them. The second term is a weak prior that the logits are
    log posteriors already. No prediction changes. Classes absent from the held-out data are left out of the softmax.
    Returns the scale, above 0.

    Args:
        logits: (N, K) floating point.
        labels: (N,) integers in [0, K).
        class_counts: pi as (K,) positive weights: the training samples per class.
        logit_prior: beta as (K,) positive weights; pi by default.

    Raises:
        ValueError: wrong shapes, NaN values, weights that are not above 0, or no samples.

    Example:
        >>> z, y = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 0.0]]), torch.tensor([0, 0, 1, 1])
        >>> 0.2 < calibrate_scale(z, y, [3, 1]) < 1  # right three times of four, and too sure of it
        True

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    """
    z, labels, shift = held_out(logits, labels, class_counts, logit_prior, "a temperature")
    present = torch.bincount(labels, minlength=z.shape[1]) > 0
    parts, shift = _Parts(z, present), shift[present]
    y = (present.cumsum(0) - 1)[labels]

    def objective(log_scale: Tensor) -> Iterator[Tensor]:
        for rows, part in parts:
            own = y[rows]
            likelihood = torch.nn.functional.cross_entropy(log_scale.exp() * part + shift, own) * (len(own) / len(y))
            yield likelihood if rows.start else likelihood + (log_scale / LOG_SCALE_STD) ** 2 / (2 * len(y))

    (log_scale,) = _minimise(lambda point: objective(point[0]), [0.0])
    return math.exp(log_scale)


def held_out(
    logits: Tensor, labels: Tensor, class_counts: Any, logit_prior: Any | None, what: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Checked logits (N, K), labels (N,) and log pi - log beta (K,) float64, on the CPU; beta is pi by default."""
    check_features(logits, name="logits")
    num_classes = logits.shape[1]
    y = check_labels(labels, num_classes, batch=logits.shape[0]).cpu()
    if not len(y):
        raise ValueError(f"{what} needs held-out samples, got none. Hold a part of the training data out.")
    pi = log_prior(class_counts, num_classes, "class_counts").cpu()
    beta = pi if logit_prior is None else log_prior(logit_prior, num_classes, "logit_prior").cpu()
    return logits.detach().cpu(), y, pi - beta


class PriorCorrection(RebuiltModule):
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
        for name, value in self._made_tensors().items():
            self.register_buffer(name, value.to(like, copy=True))
        self._on_meta = like.is_meta

    def _made_tensors(self) -> dict[str, Tensor]:
        uniform = log_prior(None, self.num_classes, "target_prior")
        one = uniform.new_ones(())
        return {"scale": one, "strength": one, "log_train_prior": uniform, "log_target_prior": uniform}

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
