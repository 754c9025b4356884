"""A run whose images are decoded at every use, by workers or not, ends with the weights of one in memory."""

from __future__ import annotations

import numpy as np
import pytest
import tests.training.partners  # noqa: F401 - adds the mixing 'from-all'
from PIL import Image
from safetensors.torch import load_file

from equiangular.training.config.options import TrainConfig
from equiangular.training.run.train import train


def test_streaming_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    random = np.random.default_rng(0)
    for name, base in (("cat", 60), ("dog", 120), ("emu", 190)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(24):
            shape = (*random.integers(6, 14, 2), 3)
            pixels = (base + random.integers(-50, 50, shape)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    weights = {}
    for memory, workers in (("memory", 0), ("stream", 0), ("stream", 2)):
        config = TrainConfig(
            data=str(tmp_path / "data"),
            size=8,
            memory=memory,
            workers=workers,
            backbone="digits",
            imbalance=3.0,
            epochs=2,
            batch_size=16,
            sampler="class-balanced",
            augment="crop:1,flip,randaugment,cutout:2",
            mix="mixup:0.2,cutmix,from-all",
        )
        run = tmp_path / f"{memory}{workers}"
        results = train(config, run)
        weights[memory, workers] = load_file(run / "model" / "model.safetensors"), results["test"]["accuracy"]
    first, *others = weights.values()
    for other in others:
        assert other[1] == pytest.approx(first[1])
        assert all((first[0][key] == value).all() for key, value in other[0].items())
