"""Small models on disk, as their libraries save them: random weights, their own preprocessing."""

import os
from pathlib import Path

import pytest

from equiangular._random import isolated_rng

os.environ.setdefault("HF_HUB_OFFLINE", "1")
WORDS = ["lost", "card", "again", "pay", "the", "bill", "please", "my", "is", "where"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 16 dimensions with a tokenizer of words; it states no pooling."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=5 + len(WORDS), max_position_embeddings=12, **sizes)
    with isolated_rng(0):
        network = transformers.BertModel(config)
    network.save_pretrained(folder)
    argument = "vocab" if int(transformers.__version__.partition(".")[0]) >= 5 else "vocab_file"
    transformers.BertTokenizerFast(**{argument: str(vocabulary)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT of 8 dimensions that classifies images of 16 x 16, with its image processor."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with isolated_rng(0):
        network = transformers.ViTForImageClassification(
            transformers.ViTConfig(image_size=16, patch_size=8, num_labels=3, **sizes)
        )
    network.save_pretrained(folder)
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=[0.1, 0.2, 0.3])
    processor.save_pretrained(folder)
    return folder
