"""Encoders of timm and torchvision with weights on disk: their own transforms, the vectors before their classifiers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torchvision import models

from equiangular.encoders import describe, load_encoder


def pictures(*sizes):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


BATCH = pictures((40, 60), (90, 50))


def save_timm(folder, **changes):
    from safetensors.torch import save_file

    model = timm.create_model("resnet10t", num_classes=3).eval()
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {**model.pretrained_cfg, "num_classes": 3, "input_size": [3, 48, 48], "crop_pct": 0.9, **changes}
    description = {"architecture": "resnet10t", "num_classes": 3, "pretrained_cfg": config}
    (folder / "config.json").write_text(json.dumps(description, default=str))
    return model


def test_timm_in_a_folder(tmp_path):
    model = save_timm(tmp_path, mean=[0.3, 0.4, 0.5])
    encoder = load_encoder(f"timm:{tmp_path}", device="cpu")
    vectors = encoder.encode(BATCH)
    assert vectors.shape == (2, encoder.dim) == (2, 512)
    assert encoder.preprocessing["mean"] == [0.3, 0.4, 0.5]
    assert encoder.preprocessing["input_size"] == [3, 48, 48]
    reference = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    transform = create_transform(**resolve_model_data_config(reference), is_training=False)
    with torch.no_grad():
        inputs = torch.stack([transform(image) for image in BATCH])
        torch.testing.assert_close(model.forward_head(model.forward_features(inputs), pre_logits=True), vectors)
    other = tmp_path / "other"
    other.mkdir()
    save_timm(other, mean=[0.3, 0.4, 0.6])
    assert describe(load_encoder(f"timm:{other}", device="cpu"))["preprocessing"] != encoder.preprocessing


def test_timm_without_weights_is_no_encoder():
    with pytest.raises(ValueError, match="timm cannot load 'resnett18'"):
        load_encoder("timm:resnett18", device="cpu")
    with pytest.raises(ValueError, match=r"timm cannot load 'efficientnet_lite1.untrained'"):
        load_encoder("timm:efficientnet_lite1.untrained", device="cpu")


def test_torchvision_with_the_transforms_of_its_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    save(tmp_path, "squeezenet1_1", models.SqueezeNet1_1_Weights.DEFAULT)
    with pytest.raises(ValueError, match="no linear classifier in torchvision"):
        load_encoder("torchvision:squeezenet1_1", device="cpu")
    weights = models.MobileNet_V3_Small_Weights.DEFAULT
    model = save(tmp_path, "mobilenet_v3_small", weights)
    encoder = load_encoder("torchvision:mobilenet_v3_small", device="cpu")
    given = []
    model.classifier[-1].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        model(torch.stack([weights.transforms()(image) for image in BATCH]))
    torch.testing.assert_close(encoder.encode(BATCH), given[0])
    named = load_encoder("torchvision:mobilenet_v3_small.IMAGENET1K_V1", device="cpu")
    assert describe(named) == {**describe(encoder), "name": "torchvision:mobilenet_v3_small.IMAGENET1K_V1"}


def save(folder, name, weights):
    """Random weights where torch.hub keeps those that it has downloaded."""
    target = folder / "hub" / "checkpoints"
    target.mkdir(parents=True, exist_ok=True)
    model = models.get_model(name, weights=None).eval()
    torch.save(model.state_dict(), target / weights.url.rpartition("/")[2])
    return model


def test_torchvision_unknown_names():
    with pytest.raises(ValueError, match=r"torchvision has no model 'resnett18'; did you mean 'resnet18'\?"):
        load_encoder("torchvision:resnett18", device="cpu")
    with pytest.raises(ValueError, match=r"no weights 'V3' of 'resnet50'.*There are: IMAGENET1K_V1, IMAGENET1K_V2"):
        load_encoder("torchvision:resnet50.V3", device="cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_encoder_and_head_in_one_file(tmp_path, monkeypatch, library):
    """What onnxruntime makes of images as the library's own transform gives them, against the model in PyTorch."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from equiangular.export import export_model
    from equiangular.training import Classifier, ModelInfo, build_task, get_method

    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)  # the quick exporter
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    if library == "timm":
        save_timm(tmp_path)
        encoder = load_encoder(f"timm:{tmp_path}", device="cpu")
        transform = create_transform(**resolve_model_data_config(encoder.network), is_training=False)
    else:
        weights = models.MobileNet_V3_Small_Weights.DEFAULT
        save(tmp_path, "mobilenet_v3_small", weights)
        encoder, transform = load_encoder("torchvision:mobilenet_v3_small", device="cpu"), weights.transforms()
    task = build_task(get_method("etf-la"), "identity", (encoder.dim,), 3, seed=0).eval()
    zeros, ones = (0.0,) * encoder.dim, (1.0,) * encoder.dim
    described = {"kind": "vectors", "encoder": describe(encoder)}
    info = ModelInfo("etf-la", "identity", (encoder.dim,), ("a", "b", "c"), (9, 8, 7), zeros, ones, **described)
    classifier = Classifier(task, info)
    export_model(classifier, tmp_path / "m.onnx", encoder=encoder)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    pixels = torch.stack([transform(image) for image in BATCH])
    (found,) = session.run(["logits"], {"pixel_values": pixels.numpy()})
    with torch.no_grad():
        expected = classifier(encoder.encode(BATCH).clone()).logits
    assert np.abs(found - expected.numpy()).max() <= 1e-4 * expected.abs().max()
