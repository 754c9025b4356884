"""Several methods on several data sets: mean ranks, Friedman's test and the critical difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from equiangular._extras import require


@dataclass(frozen=True)
class RankComparison:
    """Outcome of :func:`rank_comparison`.

    Attributes:
        mean_ranks: k mean ranks in the order of the columns; rank 1 is the best.
        p_value: Friedman's test of "all methods rank alike".
        critical_difference: mean ranks that differ by less cannot be told apart (Nemenyi's test).
        cliques: largest groups of columns, best first, whose mean ranks lie within the critical difference.
        num_datasets: n.
    """

    mean_ranks: tuple[float, ...]
    p_value: float
    critical_difference: float
    cliques: tuple[tuple[int, ...], ...]
    num_datasets: int


def critical_difference(num_methods: int, num_datasets: int, *, alpha: float = 0.05) -> float:
    """CD = q_alpha sqrt(k (k + 1) / (6 n)), q_alpha the quantile of the studentised range over sqrt(2).

    Args:
        num_methods: k >= 2.
        num_datasets: n >= 1.
        alpha: level, strictly between 0 and 1.

    Returns:
        Difference of mean ranks that is significant at ``alpha``, all pairs of methods being compared.

    Raises:
        ValueError: an argument out of its range.
        ImportError: SciPy is missing.

    Example:
        >>> round(critical_difference(4, 14), 2)
        1.25

    Source: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, section 3.2.2.
    """
    if num_methods < 2 or num_datasets < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"a critical difference needs two methods, a data set and 0 < alpha < 1, got {num_methods} methods, "
            f"{num_datasets} data sets and alpha={alpha!r}."
        )
    quantile = _scipy_stats().studentized_range.ppf(1 - alpha, num_methods, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(num_methods * (num_methods + 1) / (6 * num_datasets)))


def rank_comparison(scores: Any, *, alpha: float = 0.05) -> RankComparison:
    """Rank k methods on every data set and say which mean ranks differ.

    Args:
        scores: (n, k) numbers, one row for each data set, one column for each method; larger is better. Ties share
            their mean rank.
        alpha: level of the critical difference.

    Returns:
        Mean ranks, Friedman's p-value, critical difference and the groups that it cannot tell apart.

    Raises:
        ValueError: not an (n, k) array with n >= 2 and k >= 3, or NaN: a method without a result on a data set cannot
            be ranked there.
        ImportError: SciPy is missing.

    Example:
        >>> result = rank_comparison([[90, 80, 70], [60, 50, 40], [85, 86, 60], [70, 65, 66]])
        >>> result.mean_ranks, result.cliques
        ((1.25, 2.0, 2.75), ((0, 1, 2),))

    Source: Demsar, JMLR 7, 2006, sections 3.2.2 and 3.2.3; Friedman 1937; Nemenyi 1963.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise ValueError(
            f"scores must have shape (data sets >= 2, methods >= 3), got {table.shape}. "
            "Two methods are compared by paired_comparison."
        )
    if not np.isfinite(table).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(table))[0])
        raise ValueError(f"scores[{row}, {column}] is {table[row, column]}; leave out what has no result.")
    stats = _scipy_stats()
    mean_ranks = stats.rankdata(-table, axis=1).mean(0)
    same = bool((table == table[:, :1]).all())  # Friedman's statistic is 0/0 there
    p_value = 1.0 if same else float(stats.friedmanchisquare(*table.T).pvalue)
    distance = critical_difference(table.shape[1], table.shape[0], alpha=alpha)
    ranks = tuple(float(rank) for rank in mean_ranks)
    return RankComparison(ranks, p_value, distance, _cliques(mean_ranks, distance), len(table))


def _cliques(mean_ranks: np.ndarray, distance: float) -> tuple[tuple[int, ...], ...]:
    """Runs of two and more neighbours in rank that lie within ``distance`` and are not part of a longer one."""
    order = np.argsort(mean_ranks, kind="stable")
    sorted_ranks = mean_ranks[order]
    found: list[tuple[int, ...]] = []
    last_end = 0
    for start in range(len(order)):
        end = int(np.searchsorted(sorted_ranks, sorted_ranks[start] + distance, side="right"))
        if end > last_end and end - start > 1:
            found.append(tuple(int(i) for i in order[start:end]))
        last_end = max(last_end, end)
    return tuple(found)


def _scipy_stats() -> Any:
    return require("scipy.stats", extra="train", purpose="Ranking methods over data sets")
