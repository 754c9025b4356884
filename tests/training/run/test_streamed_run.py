"""A run whose images are decoded at every use, by workers or not, ends with the weights of one in memory."""

from __future__ import annotations

import numpy as np
import pytest
import tests.training.partners  # noqa: F401 - adds the mixing 'from-all'
from PIL import Image
from safetensors.torch import load_file

from equiangular.data import content_digest
from equiangular.training import get_method
from equiangular.training.config.options import TrainConfig
from equiangular.training.run.store import TrialStore
from equiangular.training.run.train import train
from equiangular.training.run.trial import load_data


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


def test_files_that_change_while_they_are_trained_on_end_the_run(tmp_path, monkeypatch):
    """Of a comparison too: nothing that was trained on a mixture is kept."""
    monkeypatch.setenv("EQUIANGULAR_CACHE", "off")
    for name, base in (("cat", 60), ("dog", 190)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (8, 8), (base, i, base)).save(tmp_path / "data" / name / f"{i}.png")
    config = TrainConfig(data=str(tmp_path / "data"), memory="stream", backbone="digits", epochs=2, accelerator="cpu")

    def change(training, row):
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "data" / "cat" / "0.png")

    with pytest.raises(ValueError, match=r"the data changed while the network was being trained on them: the t\w+ inp"):
        train(config, tmp_path / "run", progress=change)
    assert not list((tmp_path / "run" / "checkpoint").glob("*.safetensors"))
    assert not (tmp_path / "run" / "model").exists()

    dataset = load_data(config)
    content = content_digest(dataset)
    Image.new("RGB", (8, 8), (8, 8, 8)).save(tmp_path / "data" / "cat" / "0.png")
    store = TrialStore(tmp_path / "trials")
    with pytest.raises(ValueError, match="the data changed while the network was being trained"):
        store.records(config, dataset, content, [get_method("linear-ce")])
    assert not list((tmp_path / "trials").iterdir())
