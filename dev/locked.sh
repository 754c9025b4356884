#!/usr/bin/env bash
# `make LOCKED=1 demo` and `make LOCKED=1 test`: what requirements/ has, checked by hash. A CPU build of PyTorch where pip
# finds one (find-links, PIP_EXTRA_INDEX_URL), PyPI's otherwise. Then the package itself, and nothing it did not lock.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 lock=requirements/$2.txt
pip="$python -m pip --disable-pip-version-check -q"
torch=requirements/torch-cpu.txt
if ! $pip download --no-deps --require-hashes -r "$torch" -d "$(mktemp -d)" 2>/dev/null; then torch=requirements/torch.txt; fi
echo "PyTorch from $torch"
$pip install --require-hashes -r "$torch" -r "$lock"
$pip install --no-deps --no-build-isolation -e .
$pip check
