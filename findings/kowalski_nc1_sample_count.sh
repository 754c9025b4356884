#!/usr/bin/env bash
# kowalski 0.0.2 (measures of neural collapse): `within_class_variability` falls as 1/N when the same data are given N times.
#
# Guess before the run: NC1 = tr(S_W S_B^+) / K is a ratio of two covariances, so it does not change when every sample is
# there twice, and it grows without bound as the class means come together.
# Seen: the second matrix is the *total* scatter, not that between classes, and it is divided by the number of classes
# where the first is divided by the number of samples. So the value falls as one over the number of samples, is
# d / N where the means agree, and cannot be compared between data sets, or between a training and a test part.
# Output seen on 2026-11-28 (torch 2.13.0, Python 3.11):
#   samples 400: package 0.015821, tr(S_W S_B^+)/K 1.2594
#   samples 800: package 0.007911, tr(S_W S_B^+)/K 1.2594
#   same means, samples 400: package 0.020000, d / samples 0.020000
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy kowalski==0.0.2
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import torch
from kowalski.neural_collapse import within_class_variability

torch.manual_seed(0)
K, n, d = 4, 100, 8
means = torch.randn(K, d, dtype=torch.float64)
noise = torch.randn(K, n, d, dtype=torch.float64)
noise -= noise.mean(1, keepdim=True)


def reference(features):
    """tr(S_W S_B^+) / K of Papyan et al. (2020), classes of equal size."""
    stacked = torch.stack(features)
    centres = stacked.mean(1)
    within = (stacked - centres[:, None]).flatten(0, 1)
    between = centres - centres.mean(0)
    product = (within.T @ within / len(within)) @ torch.linalg.pinv(between.T @ between / K, rtol=1e-9)
    return float(product.trace()) / K


once = [means[k] + noise[k] for k in range(K)]
twice = [torch.cat((x, x)) for x in once]
values = []
for features in (once, twice):
    package, textbook = float(within_class_variability(features)), reference(features)
    values.append((package, textbook))
    print(f"samples {sum(map(len, features))}: package {package:.6f}, tr(S_W S_B^+)/K {textbook:.4f}")
alike = [means[0] + noise[k] for k in range(K)]  # class means that agree: NC1 has no bound
print(f"same means, samples {K * n}: package {float(within_class_variability(alike)):.6f}, d / samples {d / K / n:.6f}")

assert abs(values[0][1] / values[1][1] - 1) < 1e-9, "the reference changed with the number of samples"
assert abs(values[0][0] / values[1][0] - 2) < 1e-6, "the package no longer halves when samples are doubled"
assert float(within_class_variability(alike)) < 0.1, "the package's value is no longer bounded"
PY
echo "as stated"
