from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.studies.ranking import critical_difference, rank_comparison

# Two-tailed Nemenyi quantiles at 0.05, Demsar 2006, table 5(a).
NEMENYI = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize(("methods", "quantile"), NEMENYI.items())
def test_critical_difference_against_the_published_table(methods, quantile):
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=2e-3)


def test_ranks_and_p_value_against_scipy():
    scores = np.random.default_rng(0).normal(size=(12, 5)) + np.arange(5) * 0.7
    result = rank_comparison(scores)
    loop = np.mean([[1 + sum(other > own for other in row) for own in row] for row in scores], axis=0)
    assert result.mean_ranks == pytest.approx(loop)
    assert result.p_value == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert result.num_datasets == 12


def test_ties_share_their_rank_and_equal_methods_do_not_differ():
    result = rank_comparison([[3.0, 3.0, 1.0], [5.0, 4.0, 4.0]])
    assert result.mean_ranks == (1.25, 2.0, 2.75)
    same = rank_comparison(np.ones((4, 3)))
    assert (same.p_value, same.cliques) == (1.0, ((0, 1, 2),))


def test_cliques_hold_every_pair_within_the_distance_and_no_other():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores = rng.normal(size=(8, 6)) + np.arange(6) * rng.uniform(0, 2)
        result = rank_comparison(scores)
        together = {pair for clique in result.cliques for pair in ((a, b) for a in clique for b in clique if a < b)}
        ranks, distance = result.mean_ranks, result.critical_difference
        near = {(a, b) for a in range(6) for b in range(a + 1, 6) if abs(ranks[a] - ranks[b]) <= distance}
        assert together == near


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[1.0, 2.0]] * 3, "paired_comparison"),
        ([[1.0, 2.0, 3.0]], r"data sets >= 2"),
        ([[1.0, 2.0, float("nan")], [1.0, 2.0, 3.0]], r"scores\[0, 2\] is nan"),
    ],
)
def test_bad_input(scores, message):
    with pytest.raises(ValueError, match=message):
        rank_comparison(scores)


def test_bad_level():
    with pytest.raises(ValueError, match="alpha=1"):
        critical_difference(3, 4, alpha=1)
