"""Interval of a paired difference of two methods over the runs and over the test samples at once.

Seeds say how training varies, not how the test part does: of five test samples in a class each is worth 20 points, and
every run is judged by the same five.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from equiangular.measures.significance import check_level, scipy_stats

_RARE = 10  # below so many test samples a class's own variance is not trusted to be small


@dataclass(frozen=True)
class CrossedDifference:
    """Outcome of :func:`crossed_difference`; differences, bounds and standard errors in points (0 to 100)."""

    mean_a: float  # balanced accuracy of either method, mean of the runs
    mean_b: float
    mean_difference: float  # their difference, a less b
    low: float  # the wider of the two intervals, on which a verdict rests; NaN, as all bounds, for a single run
    high: float
    run_low: float  # interval over runs alone, the one of ``paired_comparison``
    run_high: float
    crossed_low: float  # interval over runs and test samples
    crossed_high: float
    se_run: float  # standard error that comes from the runs
    df_run: int  # its degrees of freedom, R - 1
    se_samples: float  # standard error that comes from the test samples
    df_samples: float  # its degrees of freedom (Satterthwaite); infinite where it rests on the rule of three alone
    se_both: float  # the part that both hold, of the interaction of runs and test samples: more of either shrinks it
    p_value: float  # two-sided p-value of "no difference" that belongs to the wider interval
    n_runs: int  # R and M
    n_samples: int
    confidence: float  # level of the intervals

    def half_width(self, runs: Any = None, samples: Any = None) -> np.ndarray:
        """Half-width of the wider interval had there been other numbers of runs and test samples, all else as found.

        SE_run^2 falls as R / runs and SE_samples^2 as M / samples; the share SE_both^2 of either falls with the other.
        Returns half-widths in points, of the shape that both broadcast to; NaN if this is a single run.

        Args:
            runs: a number of runs or an array of them, at least 2; None for the present number.
            samples: a number of test samples or an array of them; None for the present number.
        """
        runs = np.asarray(self.n_runs if runs is None else runs, dtype=float)
        more = np.asarray(self.n_samples if samples is None else samples, dtype=float) / self.n_samples
        again, both = runs / self.n_runs, self.se_both**2
        run = (self.se_run**2 - both + both / more) / again
        sample = (self.se_samples**2 - both + both / again) / more
        widths: np.ndarray = np.maximum(*_half_widths(run, runs - 1, sample, self.df_samples * more, self.confidence))
        return widths


def crossed_difference(correct_a: Any, correct_b: Any, labels: Any, *, confidence: float = 0.95) -> CrossedDifference:
    r"""Difference in balanced accuracy of two methods, with an interval over runs and one over runs and test samples.

    With d_ri = a_ri - b_ri for run r and test sample i, and C classes that have test samples,

        D_r = 100 (1/C) sum_c mean_{i in c} d_ri,    D = mean_r D_r.

    *Over runs*, as in ``paired_comparison``: SE_run = std_r(D_r) / sqrt(R), Student's t with R - 1 degrees of freedom.

    *Over runs and test samples*: every run meets every test sample, so rows and columns are crossed random effects.
    With v_c the variance within class c of the differences averaged over runs,

        SE^2 = SE_run^2 + SE_samples^2,    SE_samples^2 = 100^2 sum_c v_c / (C^2 n_c),

    Student's t with Satterthwaite's degrees of freedom, (sum_k s_k)^2 / sum_k (s_k^2 / df_k) over the terms s_k. Why
    the sum: with variances s_R^2 of a run's effect, s_S^2 of a sample's and s_RS^2 of their interaction, D varies by
    s_R^2 / R + s_S^2 / M + s_RS^2 / (R M). SE_run^2 has the mean s_R^2 / R + s_RS^2 / (R M) and SE_samples^2 the mean
    s_S^2 / M + s_RS^2 / (R M), so the sum never falls short in the mean: it counts the interaction twice (resampling
    runs and samples, the pigeonhole bootstrap, counts it three times; no bootstrap is exact for crossed effects). It
    is conservative where the interaction rules, that is where hits flip by chance in each of few runs.

    Guards against test parts that are too small to show their own variance:

    * A class of fewer than 10 test samples is *rare*: v_c = max(own, pooled over all classes, pooled over the rare
      ones); a single sample has no variance of its own. If no class has two samples, the pooled variance mixes classes.
    * Rule of three: v_c is at least 1 - 0.05^(1/m), about 3 / m, the 95 % upper limit of the rate of disagreement,
      which bounds the variance, if m samples show none. m is M for frequent classes, the number of rare samples for
      rare ones, which need not be like the frequent. No interval has width 0 because five samples agree.
    * A single run shows no variance of runs: all intervals and the p-value are NaN, ``se_samples`` remains.

    The guards are conservative where rare classes have few samples between them. Bounds are not cut at +-100. Returns
    the mean difference, both intervals and their parts.

    Args:
        correct_a: (R, M) booleans or 0 and 1; run r of method a is right on test sample i.
        correct_b: (R, M), method b on the same runs (seed, subset) and the same test samples.
        labels: (M,) integer classes of the test samples.
        confidence: level, strictly between 0 and 1.

    Raises:
        ValueError: shapes that do not fit, values but 0 and 1, labels that are no integers, a level out of range.
        ImportError: SciPy is missing.

    Example:
        >>> a, b = [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]], [[1, 0, 1, 0], [1, 0, 1, 1], [1, 1, 1, 0]]
        >>> result = crossed_difference(a, b, [0, 0, 1, 1])
        >>> f"{result.mean_difference:.1f}, {result.se_run:.1f}, {result.se_samples:.1f}"
        '16.7, 8.3, 36.3'

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007; Satterthwaite, An approximate
    distribution of estimates of variance components, Biometrics Bulletin 2, 1946; Hanley and Lippman-Hand, If nothing
    goes wrong, is everything all right?, JAMA 249, 1983 (rule of three).
    """
    a, b, classes = _checked(correct_a, correct_b, labels)
    confidence = check_level(confidence)
    runs, samples = a.shape
    weights = 100 / (classes.max() + 1) / np.bincount(classes)[classes]
    per_run = (a - b) @ weights
    mean = float(per_run.mean())
    se_run = float(per_run.std(ddof=1) / math.sqrt(runs)) if runs > 1 else math.nan
    variance, df_samples = _sample_part((a - b).mean(axis=0), classes)
    run_half = crossed_half = p_value = both = math.nan
    if runs > 1:
        # Neither part can hold more of the interaction than it has.
        both = min(_interaction(a - b, classes), se_run**2, variance)
        parts = (se_run**2, runs - 1, variance, df_samples)
        run_half, crossed_half = map(float, _half_widths(*parts, confidence))
        p_value = _p_value(mean, *parts)
    half = max(run_half, crossed_half)
    means = float((a @ weights).mean()), float((b @ weights).mean()), mean
    wider, over_runs, over_both = ((mean - h, mean + h) for h in (half, run_half, crossed_half))
    errors = se_run, runs - 1, math.sqrt(variance), df_samples, math.sqrt(both)
    values: list[Any] = [*means, *wider, *over_runs, *over_both, *errors, p_value, runs, samples, confidence]
    return CrossedDifference(*values)


def _checked(correct_a: Any, correct_b: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both (R, M) as float64, and the class of each test sample as 0 ... C-1."""
    pair = [np.asarray(correct_a), np.asarray(correct_b)]
    for name, array in zip(("correct_a", "correct_b"), pair, strict=True):
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"{name} must have shape (runs, test samples), none of them 0, got {array.shape}.")
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"{name} must hold 0 and 1 (wrong, right) only; pass `predictions == labels`.")
    classes = np.asarray(labels)
    if pair[0].shape != pair[1].shape:
        shapes = f"{pair[0].shape} and {pair[1].shape}"
        raise ValueError(f"correct_a and correct_b must be paired, the same runs on the same samples, got {shapes}.")
    if classes.shape != pair[0].shape[1:] or not np.issubdtype(classes.dtype, np.integer):
        got = f"{classes.dtype} of shape {classes.shape}"
        raise ValueError(f"labels must be {pair[0].shape[1]} integers, one per test sample, got {got}.")
    return pair[0].astype(float), pair[1].astype(float), np.unique(classes, return_inverse=True)[1]


def _sample_part(average: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Squared standard error, in squared points, that comes from the test samples, and its degrees of freedom."""
    sizes = np.bincount(classes)
    no_pairs = sizes.max() == 1
    centre = average.mean() if no_pairs else (np.bincount(classes, average) / sizes)[classes]
    squares = np.bincount(classes, (average - centre) ** 2)
    estimate = np.where(sizes > 1, squares / np.maximum(sizes - 1, 1), 0.0)
    rare = sizes < _RARE
    # Classes that borrow share one estimate: their terms add up before Satterthwaite's formula squares them.
    source, df = np.arange(len(sizes)), list(sizes - 1)
    for group in (np.ones(len(sizes), dtype=bool), rare):
        shared = len(sizes) - 1 if no_pairs else (sizes[group] - 1).sum()
        pooled = squares[group].sum() / max(shared, 1)
        borrowed = rare & (estimate < pooled)
        estimate[borrowed], source[borrowed] = pooled, len(df)
        df.append(shared)
    floor = np.where(rare, _unseen(sizes[rare].sum()), _unseen(len(average)))
    terms = 100**2 / (len(sizes) ** 2 * sizes) * np.maximum(estimate, floor)
    # A bound is no estimate: it adds variance, and no uncertainty of the variance.
    by_source = np.bincount(source, np.where(estimate > floor, terms, 0.0), minlength=len(df))
    spread = float((by_source**2 / np.maximum(df, 1)).sum())
    return float(terms.sum()), float(terms.sum() ** 2 / spread) if spread > 0 else math.inf


def _interaction(difference: np.ndarray, classes: np.ndarray) -> float:
    """Squared standard error, in squared points, from what is particular to a run on a test sample; unbiased."""
    sizes, runs = np.bincount(classes), len(difference)
    of_run = np.stack([np.bincount(classes, row) / sizes for row in difference])[:, classes]
    rest = difference - difference.mean(axis=0) - of_run + of_run.mean(axis=0)
    variance = np.bincount(classes, (rest**2).sum(axis=0)) / (np.maximum(sizes - 1, 1) * (runs - 1))
    return float((100**2 * variance / (len(sizes) ** 2 * sizes * runs)).sum())


def _unseen(samples: int) -> float:
    """The 95 % upper limit of a rate of which ``samples`` samples show no case; 1 for no samples."""
    return float(1 - 0.05 ** (1 / samples)) if samples else 1.0


def _both(run: Any, df_run: Any, samples: Any, df_samples: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Squared standard error and degrees of freedom, over runs and over runs and samples (Satterthwaite)."""
    total = run + samples
    with np.errstate(divide="ignore"):  # no variance from runs beside a bound on that of samples: infinitely many
        df = np.divide(1, (run / total) ** 2 / df_run + (samples / total) ** 2 / df_samples)
    return (run, df_run), (total, df)


def _half_widths(run: Any, df_run: Any, samples: Any, df_samples: Any, confidence: float) -> list[Any]:
    both = _both(run, df_run, samples, df_samples)
    return [scipy_stats().t.ppf((1 + confidence) / 2, df) * np.sqrt(square) for square, df in both]


def _p_value(mean: float, run: float, df_run: int, samples: float, df_samples: float) -> float:
    """The larger of the two p-values: below 1 - confidence if and only if the wider interval excludes 0."""
    both = _both(run, df_run, samples, df_samples)
    return float(max(2 * scipy_stats().t.sf(abs(mean) / math.sqrt(square), df) for square, df in both if square))
