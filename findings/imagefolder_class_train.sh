#!/usr/bin/env bash
# datasets 5.2.0: an image folder with a class called "train" loses all other classes, and every label, without a word.
#
# Guess before the run: car/, plane/, train/ give one part of three classes, as for any reader of class folders; a folder
# of vehicles has a class of this name (CIFAR-100 and PASCAL VOC have one).
# Seen: train/ is taken for the training part. The other two classes are gone, and as one folder is left, there is no
# label column. With the class renamed to "trains" the same files give 9 images of three classes. So a class of a part's
# name has to be told from the part by what lies in it: images, or folders.
# Output seen on 2026-11-28 (Python 3.11):
#   car, plane, trains {'train': 9} ['car', 'plane', 'trains']
#   car, plane, train {'train': 3} no label column
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0 pillow==13.0.0
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - <<'PY'
from pathlib import Path

import datasets
from PIL import Image

seen = {}
for third in ("trains", "train"):
    root = Path(third + "-root")
    for name in ("car", "plane", third):
        (root / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (8, 8), (i, i, i)).save(root / name / f"{i}.png")
    data = datasets.load_dataset("imagefolder", data_dir=str(root))
    label = data["train"].features.get("label")
    seen[third] = ({part: rows.num_rows for part, rows in data.items()}, label.names if label else "no label column")
    print("car, plane,", third, *seen[third])
assert seen["trains"] == ({"train": 9}, ["car", "plane", "trains"])
assert seen["train"] == ({"train": 3}, "no label column")
PY
echo "as stated"
