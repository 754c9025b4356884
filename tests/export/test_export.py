"""Exported files against the network: any batch size, everything inside, and refused where they differ."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import equiangular as eq
from equiangular.export import export_model
from equiangular.training import Classifier, ModelInfo, build_task, get_method


def run_onnx(path: Path, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities"], {"x": x.numpy()})


def compare(classifier: Classifier, path: Path, x: torch.Tensor) -> None:
    with torch.no_grad():
        expected = classifier(x)
    if path.suffix == ".onnx":
        got = [torch.from_numpy(value) for value in run_onnx(path, x)]
    else:
        got = torch.export.load(str(path)).module()(x)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch.export.load's


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_bytes_in_probabilities_out(digits_run: Path, tmp_path: Path, suffix: str) -> None:
    classifier = Classifier.load(digits_run)
    report = export_model(classifier, tmp_path / f"m{suffix}")
    assert report["inputs"] == {"x": "torch.uint8 (batch, 1, 8, 8)"}
    assert report["max_probability_difference"] < 1e-5
    assert report["bytes"] == (tmp_path / f"m{suffix}").stat().st_size
    assert [p.name for p in tmp_path.iterdir()] == [f"m{suffix}"]
    generator = torch.Generator().manual_seed(5)
    for batch in (1, 2, 33):
        x = torch.randint(0, 256, (batch, 1, 8, 8), dtype=torch.uint8, generator=generator)
        compare(classifier, tmp_path / f"m{suffix}", x)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_floats_and_tables(
    digits_run: Path, table_run: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)  # the quick exporter
    digits, table = Classifier.load(digits_run, prior="train"), Classifier.load(table_run)
    export_model(digits, tmp_path / f"d{suffix}", inputs="float")
    compare(digits, tmp_path / f"d{suffix}", torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    export_model(table, tmp_path / f"t{suffix}")
    compare(table, tmp_path / f"t{suffix}", torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "shape", "head"),
    [
        ("resnet8", (3, 16, 16), {"head": "etf", "norm": "batch", "projection": "mlp", "scale": "learned"}),
        ("mlp", (1, 4, 4), {"head": "rotated-etf", "norm": "batch"}),
        ("digits", (1, 8, 8), {"head": "cosine"}),
        ("digits", (1, 8, 8), {"head": "linear"}),
        ("digits", (1, 8, 8), {"head": "random"}),
    ],
)
def test_every_head(
    tmp_path: Path, backbone: str, shape: tuple[int, ...], head: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)  # the quick exporter
    task = build_task(get_method("etf-la"), backbone, shape, 3, seed=0)
    options = {key: value for key, value in head.items() if key != "head"}
    task.head = eq.make_head(head["head"], task.backbone.num_features, 3, **options)
    mean = (0.4,) * shape[0]
    classifier = Classifier(task, ModelInfo("etf-la", backbone, shape, ("a", "b", "c"), (9, 3, 1), mean, mean))
    x = torch.randint(0, 256, (5, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for suffix in (".onnx", ".pt2"):
        export_model(classifier, tmp_path / f"m{suffix}")
        compare(classifier, tmp_path / f"m{suffix}", x)
    if hasattr(task.head, "bake"):
        assert task.head.skew is not None  # the network itself was left as it was


def test_the_exporter_over_torchscript(digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiangular.export.formats.find_spec", lambda _: None)  # as without onnxscript
    classifier = Classifier.load(digits_run)
    export_model(classifier, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["class_names"] == list(classifier.info.class_names)
    assert metadata["equiangular"]["correction"] == classifier.info.correction
    compare(classifier, tmp_path / "m.onnx", torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


def test_a_file_that_computes_something_else_is_refused(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import equiangular.export.write as write

    for value in (0.0, float("nan")):

        def wrong(path: Path, value: float = value):
            return lambda x: (torch.full((len(x["x"]), 10), value), torch.zeros(len(x["x"]), 10))

        monkeypatch.setitem(write.FORMATS, ".pt2", (lambda *_: None, wrong))
        with pytest.raises(ValueError, match=r"m.pt2 was not written: its logits differ from PyTorch's by up to"):
            export_model(Classifier.load(digits_run), tmp_path / "m.pt2")
        assert not list(tmp_path.iterdir())

    def broken(*_: object) -> None:
        raise RuntimeError("\n  \x1b[31mno converter\x1b[0m for this\nmore")

    monkeypatch.setitem(write.FORMATS, ".pt2", (broken, wrong))
    with pytest.raises(ValueError, match=r"could not convert this model to \.pt2:   no converter for this\. Try"):
        export_model(Classifier.load(digits_run), tmp_path / "m.pt2")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named_with_its_extra(
    digits_run: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"needs '{library}'.*equiangular\[onnx\]"):
        export_model(Classifier.load(digits_run), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_bad_options(digits_run: Path, table_run: Path, tmp_path: Path) -> None:
    digits, table = Classifier.load(digits_run), Classifier.load(table_run)
    with pytest.raises(ValueError, match=r"ends in \.onnx or \.pt2, got .*m\.pb"):
        export_model(digits, tmp_path / "m.pb")
    with pytest.raises(ValueError, match=r"none' does not exist"):
        export_model(digits, tmp_path / "none" / "m.onnx")
    with pytest.raises(ValueError, match="did you mean 'uint8'"):
        export_model(digits, tmp_path / "m.onnx", inputs="uint")
    with pytest.raises(ValueError, match="kind 'table' takes float32"):
        export_model(table, tmp_path / "m.onnx", inputs="uint8")
    with pytest.raises(ValueError, match="tolerance"):
        export_model(digits, tmp_path / "m.onnx", tolerance=0)
