"""scikit-learn's own checks of estimators, in a process of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

# The check of array API input needs SCIPY_ARRAY_API before SciPy is imported. Estimators may draw seeds from NumPy.
PROGRAM = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("error")
if sys.argv[2]:
    warnings.filterwarnings("ignore", sys.argv[2])
import equiangular
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator
told = {}
for name, text in json.loads(sys.argv[1]).items():
    np.random.seed(0)
    results = check_estimator(eval(text), on_skip=None, on_fail=None)
    told[name] = [[r["check_name"], r["status"], str(r["exception"])[:500]] for r in results]
print(json.dumps(told))
"""


def checks_of(models: Mapping[str, str], expected_warning: str = "") -> dict[str, list[list[str]]]:
    """Name, status and error of every check of each model, which is given as an expression; one process for all."""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(models), expected_warning]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def all_passed(results: list[list[str]]) -> None:
    """None failed, skipped or expected to fail."""
    assert len(results) > 50
    assert [r for r in results if r[1] != "passed"] == []
