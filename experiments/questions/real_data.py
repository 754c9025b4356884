"""Train on every kind of real data, end to end, and note time and accuracy: a check of the system, not a ranking.

    EQUIANGULAR_DATA=FOLDER python -m experiments questions real-data

One run for each data set and method, one thread, last epoch, test part. Finished runs are kept in runs/real_data; the
command goes on where it was. Data sets that are not there are left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from equiangular._files import read_json, write_json
from equiangular._provenance import provenance
from equiangular.data import dataset_names, load_dataset
from equiangular.training.config.options import TrainConfig
from equiangular.training.run.train import train
from experiments.common import QUESTIONS, command_parser

IMAGES = {"backbone": "resnet8", "batch_size": 128, "epochs": 15, "augment": "crop,flip", "channels_last": True}
TABLES = {"batch_size": 128, "epochs": 20}
# Data set -> the method with fixed class vectors (frame-la where K > d + 1 and there is no ETF), and the settings.
RUNS = {
    "cifar10_lt50": ("etf-la", {"imbalance": 100.0, "size": 16, **IMAGES}),
    "cifar100_lt50": ("frame-la", {"imbalance": 100.0, "size": 16, **IMAGES}),
    "plankton": ("frame-la", {"size": 24, **IMAGES}),
    "fashion_mnist": ("etf-la", {"size": 14, **IMAGES, "epochs": 3}),
    "letter": ("etf-la", TABLES),
    "wine_quality_white": ("etf-la", TABLES),
    "clinc150_imbalanced": ("frame-la", TABLES),
    "banking77": ("frame-la", TABLES),
    "image folder": ("etf-la", {"epochs": 10, "backbone": "digits"}),
}
OUTPUT = QUESTIONS / "real_data.json"


def write_image_folder(folder: Path) -> Path:
    """scikit-learn's digits as a folder of PNG files, train/CLASS/N.png: what a user's own images look like."""
    from PIL import Image

    digits = load_dataset("digits")
    for part, images, labels in (("train", digits.train_x, digits.train_y), ("test", digits.test_x, digits.test_y)):
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            path = folder / part / f"digit {label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command_parser("questions real-data", __doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/real_data"))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    there = dataset_names()
    rows, left_out = [], []
    for name, (fixed, fields) in RUNS.items():
        data = name
        if name == "image folder":
            folder = options.runs / "images"
            data = str(folder if folder.exists() else write_image_folder(folder))
        elif name not in there:
            left_out.append(name)
            continue
        for method in ("linear-ce", fixed):
            folder = options.runs / f"{name.replace(' ', '_')}-{method}"
            start = time.perf_counter()
            results = train(TrainConfig(data=data, method=method, accelerator="cpu", **fields), folder)
            wall = folder / "wall.json"
            if not wall.exists():
                write_json(wall, {"seconds": time.perf_counter() - start})
            rows.append(
                {
                    "data": name,
                    "method": method,
                    "settings": fields,
                    "classes": len(results["data"]["classes"]),
                    "training_samples": sum(results["class_counts"]),
                    "accuracy": results["test"]["accuracy"],
                    "balanced_accuracy": results["test"]["balanced_accuracy"],
                    "training_seconds": results["epochs"][-1]["seconds"],
                    "wall_seconds": read_json(wall)["seconds"],
                }
            )
            print({k: v for k, v in rows[-1].items() if k != "settings"}, flush=True)
    write_json(options.output, {"rows": rows, "left_out": left_out, "provenance": provenance()})
