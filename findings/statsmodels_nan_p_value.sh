#!/usr/bin/env bash
# statsmodels 0.15.0: Holm's correction rejects a hypothesis whose p value is NaN; others reject beside a p that is NaN.
#
# A comparison of classifiers has such a p value where two of them agree on every sample: the paired t test divides by a
# spread of zero.
# Guess before the run: an error; or the NaN stays NaN, is not rejected, and the others are corrected as if there were
# two of them.
# Seen: no word. NaN counts as a comparison in all methods. Holm and Holm-Sidak stop at the first p that is above its
# threshold; a NaN is above none, so it is rejected whenever all others are. Benjamini-Hochberg rejects two of three and
# gives corrected values that are NaN, all of them; Hommel rejects nothing at p = .001.
# Output seen on 2026-11-29 (scipy 1.17.1, pandas 3.1.1, numpy 2.4.6, Python 3.11), p = [.001, .01, NaN]:
#   holm         rejected [True, True, True]    corrected [0.003, 0.02, nan]
#   bonferroni   rejected [True, True, False]   corrected [0.003, 0.03, nan]
#   fdr_bh       rejected [True, True, False]   corrected [nan, nan, nan]
#   hommel       rejected [False, False, False] corrected [nan, nan, nan]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
"$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

alike = [1.0, 0.0, 1.0, 1.0]
undefined = float(ttest_rel(alike, alike).pvalue)
assert np.isnan(undefined)
expected = {
    "holm": ([True, True, True], [0.003, 0.02, np.nan]),
    "bonferroni": ([True, True, False], [0.003, 0.03, np.nan]),
    "fdr_bh": ([True, True, False], [np.nan] * 3),
    "hommel": ([False, False, False], [np.nan] * 3),
}
for method, (rejected, corrected) in expected.items():
    found, values, *_ = multipletests([0.001, 0.01, undefined], method=method)
    print(f"{method:12} rejected {str(found.tolist()):22} corrected {[round(float(v), 3) for v in values]}")
    assert found.tolist() == rejected
    np.testing.assert_allclose(values, corrected)
PY
echo "as stated"
