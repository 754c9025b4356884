#!/usr/bin/env bash
# The core's tests on the oldest PyTorch that pyproject.toml allows, in an environment of its own, from a CPU build.
# On Linux for x86-64 PyPI has only the CUDA build of it, 2.7 GB with its libraries: then this says so and tests nothing,
# unless OLDEST_CUDA=1. `+cpu` builds are found where pip is told of them, such as by
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu.
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.4.1
python=${PYTHON:-python3}
venv=.venv-oldest

skip() {
  echo "================================================================================"
  echo "oldest PyTorch not tested: $1"
  echo "================================================================================"
  exit 0
}

grep -q '"torch>=2.4"' pyproject.toml || { echo "pyproject.toml no longer allows torch 2.4: raise version= here"; exit 1; }
"$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"
others=("numpy<2.3" typing-extensions scipy scikit-learn torchmetrics safetensors pyyaml pytest pytest-xdist hypothesis)
if $pip download -q --no-deps --no-cache-dir -d "$venv/wheel" "torch==$version+cpu" 2>"$venv/log"; then
  torch="torch==$version+cpu"
elif [ "$(uname -sm)" = "Linux x86_64" ] && [ -z "${OLDEST_CUDA:-}" ]; then
  skip "the registry has no CPU build of torch $version, and the CUDA build takes 2.7 GB (OLDEST_CUDA=1 takes it)"
else
  torch="torch==$version"
fi
timeout 300 $pip install -q --no-cache-dir --find-links "$venv/wheel" "$torch" "${others[@]}" ||
  skip "torch $version did not install within 300 seconds"
$venv/bin/python -c "import torch, numpy; print('oldest PyTorch:', torch.__version__, 'numpy', numpy.__version__)"
core="tests/frames tests/heads tests/losses tests/posthoc tests/longtail tests/measures/collapse tests/test_matrix.py"
OMP_NUM_THREADS=1 PYTHONPATH=src timeout 600 $venv/bin/python -m pytest -q -n "${JOBS:-2}" -m "not slow" $core
