#!/usr/bin/env bash
# autorank 1.3.0: a classifier that is worse on all of 20 data sets is told apart alone, and no longer beside a third.
#
# Guess before the run: c is a point below a on every data set; autorank works on paired samples, so it says so whether
# two classifiers are compared or three.
# Seen: with two, a paired t test, p = 4e-14. With b, a twin of a, repeated-measures ANOVA rejects at 4e-22, and the
# groups "without significant difference" hold all three: for normal data the second step is Tukey's HSD on unpaired
# samples, whose interval is the spread between data sets. Friedman with Nemenyi (force_mode="nonparametric") keeps the
# pairs and tells c apart. Data sets always differ more than classifiers do, so paired tests with Holm's correction.
# Output seen on 2026-11-28 (scipy 1.17.1, pandas 3.1.1, Python 3.11):
#   two         ttest     4e-14  no difference within: nothing
#   three       anova     4e-22  no difference within: ['c', 'a', 'b']
#   by ranks    friedman  3e-07  no difference within: ['a', 'b']
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q autorank==1.3.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
MPLBACKEND=Agg "$work/venv/bin/python" -W ignore - <<'PY'
import autorank
import numpy as np
import pandas as pd
from scipy.stats import ttest_rel

rng = np.random.default_rng(0)
a = rng.normal(0.7, 0.05, 20)
noise = rng.normal(0, 0.002, (2, 20))
scores = pd.DataFrame({"a": a, "b": a + noise[0], "c": a - 0.01 + noise[1]})
assert (scores.c < scores.a).all() and (scores.c < scores.b).all() and ttest_rel(a, scores.c).pvalue < 1e-10


def groups(result: object) -> list[str]:
    """Names in one group: intervals that overlap after Tukey, mean ranks within the critical distance after Nemenyi."""
    rank = result.rankdf
    if result.posthoc == "nemenyi":
        mean_rank = rank["meanrank"].sort_values(ascending=False)
        return [n for n in mean_rank.index if ((mean_rank - mean_rank[n]).abs() < result.cd).sum() > 1]
    return [n for n in rank.index if ((rank.ci_lower <= rank.ci_upper[n]) & (rank.ci_upper >= rank.ci_lower[n])).sum() > 1]


seen = {}
for what, table, mode in (
    ("two", scores[["a", "c"]], None),
    ("three", scores, None),
    ("by ranks", scores, "nonparametric"),
):
    result = autorank.autorank(table, force_mode=mode, verbose=False)
    seen[what] = (result.omnibus, [] if what == "two" else groups(result))
    print(f"{what:10}  {result.omnibus:8}  {result.pvalue:.0e}  no difference within: {seen[what][1] or 'nothing'}")
    assert result.pvalue < 1e-4
assert seen["two"][0] == "ttest"
assert seen["three"][0] == "anova" and sorted(seen["three"][1]) == ["a", "b", "c"]
assert sorted(seen["by ranks"][1]) == ["a", "b"]
PY
echo "as stated"
