"""A run that starts from published weights: a small model of transformers saved in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equiangular.training import TrainConfig, load_model, train

transformers = pytest.importorskip("transformers")


@pytest.mark.slow
def test_training_starts_from_the_weights_of_the_folder(tmp_path: Path):
    options = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
    config = transformers.AutoConfig.for_model("resnet", num_channels=3, **options)
    model = transformers.AutoModelForImageClassification.from_config(config)
    model.save_pretrained(tmp_path / "published")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 4
    np.savez(tmp_path / "data.npz", train_x=images, train_y=labels, test_x=images, test_y=labels)
    distances = {}
    for pretrained in (True, False):
        run = tmp_path / f"run-{pretrained}"
        still = {"epochs": 1, "warmup_epochs": 0, "learning_rate": 1e-12, "batch_size": 20, "accelerator": "cpu"}
        backbone = f"hf:{tmp_path / 'published'}"
        train(TrainConfig(data=str(tmp_path / "data.npz"), backbone=backbone, pretrained=pretrained, **still), run)
        trained = dict(load_model(run)[0].backbone.model.named_parameters())
        published = dict(model.named_parameters())
        pairs = [(trained[n], p) for n, p in published.items() if n in trained and p.ndim == 4]
        assert len(pairs) > 3
        distances[pretrained] = max(float((a - b).detach().abs().max()) for a, b in pairs)
    assert distances[True] < 1e-9
    assert distances[False] > 1e-2


def test_backbones_of_the_library_have_no_published_weights(tmp_path: Path):
    with pytest.raises(ValueError, match="has no pretrained weights"):
        train(TrainConfig(data="digits", pretrained=True, epochs=1, accelerator="cpu"), tmp_path / "run")
