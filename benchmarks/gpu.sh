#!/usr/bin/env bash
# What a GPU has to say about this library, in at most ten minutes: needs a checkout and an environment with PyTorch
# 2.11 or later, lightning, torchmetrics and pytest. Results go into one JSON file, written after every section, so that
# a cut loses only the section that ran.
#
#   bash benchmarks/gpu.sh [FILE]                  # default benchmarks/results/gpu.json
#   DEVICE=cpu SMALL=1 bash benchmarks/gpu.sh /tmp/gpu.json    # a rehearsal without a GPU, about two minutes
set -u
cd "$(dirname "$0")/.."
output=${1:-benchmarks/results/gpu.json}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

# Section and the seconds it may take. Equality first: figures of something that is wrong are worth nothing.
for section in equality:80 waits:50 steps:130 measures:55 training:85 accuracy:80 tests:110; do
    name=${section%%:*}
    echo "== $name"
    timeout "${section##*:}" "$python" benchmarks/gpu "$name" --device "$device" ${SMALL:+--small} --output "$output" ||
        echo "$name ended with status $?: see $output"
done
