#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors and metadata, saved twice in one process, are two different files. Tensors are written
# in a fixed order, metadata in an order that is drawn anew for each call.
#
# Guess before the run: the header is in the order given, or sorted, so equal content has equal bytes; a format made for
# safe storage is often addressed by the hash of its file.
# Seen: tensors are sorted, whatever the order given, and a file with one metadata key or none is always the same. With four
# keys 200 calls give all 24 orders. So a cache, a build or a lock file that hashes such a file sees a change where there is
# none, and "resumed equals uninterrupted, byte by byte" fails without a fault. The content read back is the same. Compare
# contents, put all metadata into one key as JSON, or write the header again in order: 8 bytes of length, JSON, padding to a
# multiple of 8.
# Output seen on 2026-11-28 (numpy 2.4.6, Python 3.11):
#   no metadata                200 calls,  1 file
#   one key                    200 calls,  1 file
#   four keys                  200 calls, 24 files
#   tensors in another order   200 calls,  1 file
#   four keys, header in order 200 calls,  1 file
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import json

import numpy as np
from safetensors.numpy import load, save

tensors = {"a": np.arange(4.0), "b": np.zeros(2)}
keys = {"name": "w", "source": "x", "licence": "y", "revision": "z"}


def in_order(content):
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[begin:]


def files(make):
    return {make() for _ in range(200)}


cases = {
    "no metadata": lambda: save(tensors),
    "one key": lambda: save(tensors, metadata={"all": json.dumps(keys)}),
    "four keys": lambda: save(tensors, metadata=keys),
    "tensors in another order": lambda: save(dict(reversed(tensors.items()))),
    "four keys, header in order": lambda: in_order(save(tensors, metadata=keys)),
}
seen = {name: files(make) for name, make in cases.items()}
for name, found in seen.items():
    print(f"{name:26} 200 calls, {len(found):2} file{'s' * (len(found) > 1)}")
assert all(len(found) == 1 for name, found in seen.items() if name != "four keys")
assert seen["no metadata"] == seen["tensors in another order"]
assert len(seen["four keys"]) > 12
for content in (*seen["four keys"], *seen["four keys, header in order"]):
    back = load(content)
    assert all(np.array_equal(back[name], value) for name, value in tensors.items())
PY
echo "as stated"
