"""``equiangular measure`` on every format, over epochs, and on files that are not what they should be."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from tests import command_line
from tests.report.test_page import data_of, without_scripts

from equiangular import NeuralCollapse, simplex_etf
from equiangular.data import load_dataset
from equiangular.data.split import make_split
from equiangular.measures.collapse import ClassMoments, collapse_measures
from equiangular.training import load_model
from equiangular.training.config.options import TrainConfig
from equiangular.training.run.train import train

# What would make a page depend on another file or host.
SELF_CONTAINED = r"(?:src|href)\s*=\s*[\"'](?!#)|@import|url\((?!#)"


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    return command_line.run(capsys, "measure", *arguments)


def data(std: float = 0.1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    frame, labels = simplex_etf(4, 6).numpy(), np.repeat(np.arange(4), [150, 60, 30, 10])
    features = (frame[labels] + std * rng.standard_normal((250, 6))).astype(np.float32)
    return {"features": features, "labels": labels, "weight": frame, "logits": features @ frame.T}


def write(folder: Path, suffix: str) -> Path:
    path, values = folder / f"f{suffix}", data()
    if suffix == ".npz":
        np.savez(path, **values)
    elif suffix == ".safetensors":
        save_file({k: torch.from_numpy(v) for k, v in values.items()}, path)
    else:
        columns = {f"x{i}": values["features"][:, i] for i in range(6)}
        pq.write_table(pa.table({**columns, "label": values["labels"]}), path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
def test_every_format_gives_the_same_measures(capsys: pytest.CaptureFixture, tmp_path: Path, suffix: str) -> None:
    code, out, _ = run(capsys, write(tmp_path, suffix), "-o", tmp_path / "out", "--groups")
    assert code == 0
    assert "NC1" in out
    (series,) = json.loads((tmp_path / "out" / "measures.json").read_text())["series"]
    measured = series["measures"]
    values = data()
    moments = ClassMoments.empty(4, 6).update(torch.from_numpy(values["features"]), torch.from_numpy(values["labels"]))
    assert measured["nc1"] == pytest.approx(float(collapse_measures(moments)["nc1"]), rel=1e-5)
    assert "cdnv/medium" in measured
    assert ("nc3" in measured) == (suffix != ".parquet")
    if suffix != ".parquet":
        h, mu = torch.from_numpy(values["features"]).double(), moments.mean
        agreed = (torch.cdist(h, mu).argmin(1) == torch.from_numpy(values["logits"]).argmax(1)).double().mean()
        assert measured["nc4"] == pytest.approx(float(agreed))


def test_unusual_number_formats(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """Half precision, big-endian numbers and unsigned labels are numbers too."""
    values = data()
    np.savez(tmp_path / "plain.npz", **values)
    odd = {"features": values["features"].astype(">f8"), "labels": values["labels"].astype("uint16")}
    np.savez(tmp_path / "odd.npz", weight=values["weight"].astype("f2"), **odd)
    measured = []
    for name in ("plain", "odd"):
        assert run(capsys, tmp_path / f"{name}.npz", "-o", tmp_path / name)[0] == 0
        measured.append(json.loads((tmp_path / name / "measures.json").read_text())["series"][0]["measures"])
    assert measured[0]["nc1"] == pytest.approx(measured[1]["nc1"])
    assert measured[0]["nc3"] == pytest.approx(measured[1]["nc3"], rel=1e-2)


def test_a_parquet_column_of_lists(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    values = data()
    pq.write_table(pa.table({"features": list(values["features"]), "labels": values["labels"]}), tmp_path / "f.parquet")
    assert run(capsys, tmp_path / "f.parquet")[0] == 0


def test_a_folder_of_epochs_becomes_curves(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "epochs").mkdir()
    for epoch, std in ((10, 0.01), (2, 0.1), (1, 0.5)):
        np.savez(tmp_path / "epochs" / f"epoch-{epoch}.npz", **data(std))
    code, out, _ = run(capsys, tmp_path / "epochs", "-o", tmp_path / "out")
    assert code == 0
    (series,) = json.loads((tmp_path / "out" / "measures.json").read_text())["series"]
    assert series["epochs"] == [1, 2, 10]
    curve = [row["nc1"] for row in series["curve"]]
    assert curve == sorted(curve, reverse=True)
    assert series["measures"] == series["curve"][-1]
    for epoch, value in zip(series["epochs"], curve, strict=True):  # a line of the table on the terminal
        assert re.search(rf"│ {epoch} +│ +{value:.4g} ", out), (epoch, value)
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.findall(SELF_CONTAINED, without_scripts(page))
    drawn = data_of(page)["figures"]["curve-nc1-0"]["data"]["values"]
    assert [(point["epoch"], point["value"]) for point in drawn] == list(zip([1, 2, 10], curve, strict=True))


def test_folders_are_put_side_by_side(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    for name, std in (("learned", 0.1), ("fixed", 0.01)):
        (tmp_path / name).mkdir()
        for epoch in (1, 2):
            np.savez(tmp_path / name / f"{epoch}.npz", **data(std / epoch))
    code, out, _ = run(capsys, tmp_path / "learned", tmp_path / "fixed", "-o", tmp_path / "out")
    assert code == 0
    assert "side by side" in out
    series = json.loads((tmp_path / "out" / "measures.json").read_text())["series"]
    assert [Path(one["name"]).name for one in series] == ["learned", "fixed"]
    assert series[0]["measures"]["nc1"] > 50 * series[1]["measures"]["nc1"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Side by side" in page
    drawn = data_of(page)["figures"]["curve-nc1-0"]["data"]["values"]
    assert {point["method"]: point["value"] for point in drawn} == {s["name"]: s["measures"]["nc1"] for s in series}


def test_unknown_samples_in_a_file(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    unknown = np.ones((20, 6)) + np.arange(20)[:, None]
    np.savez(tmp_path / "f.npz", **data(), ood_features=unknown)
    assert run(capsys, tmp_path / "f.npz", "-o", tmp_path / "out")[0] == 0
    measured = json.loads((tmp_path / "out" / "measures.json").read_text())["series"][0]["measures"]
    values = data()
    means = np.stack([values["features"][values["labels"] == c].mean(0) for c in range(4)])
    cosines = means @ np.ones(6) / np.linalg.norm(means, axis=1) / np.sqrt(6)
    assert measured["nc5"] == pytest.approx(np.abs(cosines).mean(), rel=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "etf"
    config = TrainConfig(data="digits", method="etf-ce", backbone="mlp", imbalance=10, epochs=3, accelerator="cpu")
    train(replace(config, collapse_epochs=2), folder)
    return folder


def test_a_run_is_measured_on_its_training_samples(
    capsys: pytest.CaptureFixture, tmp_path: Path, trained: Path
) -> None:
    code, out, _ = run(capsys, trained, "--layers", "auto", "--groups", "-o", tmp_path / "out", "--accelerator", "cpu")
    assert code == 0
    assert "layer" in out
    (series,) = json.loads((tmp_path / "out" / "measures.json").read_text())["series"]
    task, info = load_model(trained)
    dataset = load_dataset("digits")
    split = make_split(dataset, imbalance=10)
    with torch.no_grad():
        outputs = task(split.standardise(split.train_x))
    metric = NeuralCollapse(10, task.head.dim, weight=task.head)
    metric.update(outputs["features"], split.train_y)
    for key, value in metric.compute().items():
        assert series["measures"][key] == pytest.approx(float(value), rel=1e-5, abs=1e-8), key
    agreed = torch.cdist(outputs["features"].double(), metric.class_means()).argmin(1) == outputs["logits"].argmax(1)
    assert series["measures"]["nc4"] == pytest.approx(float(agreed.double().mean()))
    assert "cdnv/few" in series["measures"]
    assert len(series["layers"]) > 1
    assert all(row["nc1"] > 0 for row in series["layers"].values())
    assert series["epochs"] == [2, 3]  # every second epoch and the last
    assert series["curve"][0]["nc4"] > 0.3
    rows = (trained / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("nc1")
    assert float(rows[3].split(",")[column]) == pytest.approx(series["measures"]["nc1"], rel=1e-4)
    assert not rows[1].split(",")[column]
    assert f"epoch {info.epoch}" in series["about"]["run"]
    assert "Through the depth" in (tmp_path / "out" / "report.html").read_text()
    code, out, _ = run(capsys, trained, trained / "best", "--accelerator", "cpu")
    assert code == 0
    assert "side by side" in out


def test_bad_runs(capsys: pytest.CaptureFixture, tmp_path: Path, trained: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    (moved / "config.yaml").write_text((moved / "config.yaml").read_text().replace("subset_seed: 0", "subset_seed: 1"))
    alone = tmp_path / "alone"
    shutil.copytree(trained / "model", alone)
    (tmp_path / "begun").mkdir()
    shutil.copy(trained / "config.yaml", tmp_path / "begun")
    np.savez(tmp_path / "f.npz", **data())
    cases = [
        ((moved,), "is not what the run was started with"),
        ((alone,), "no run in"),
        ((tmp_path / "begun",), "no model in"),
        ((trained, "--layers", "stage9"), "the model has no module 'stage9'; it has: backbone"),
        ((tmp_path / "f.npz", "--layers", "auto"), "--layers needs the model of a run"),
        ((trained, "--accelerator", "tpu"), "accelerator must be one of"),
    ]
    for arguments, message in cases:
        code, _, err = run(capsys, *arguments)
        assert code == 2, arguments
        assert message in err.replace("\n", " "), (arguments, err)


def bad(folder: Path, name: str, **changes: np.ndarray | None) -> Path:
    values = {k: v for k, v in {**data(), **changes}.items() if v is not None}
    np.savez(folder / name, **values)
    return folder / name


def test_bad_files(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "f.csv").write_text("a,b")
    values = data()
    nan = values["features"].copy()
    nan[3, 1] = np.nan
    cases = [
        (tmp_path / "none.npz", "does not exist"),
        (tmp_path / "f.csv", "ends in .npz, .parquet, .safetensors"),
        (tmp_path / "broken.npz", "is not a readable .npz file"),
        (tmp_path / "empty", "holds neither a run of 'equiangular train' nor a feature file"),
        (bad(tmp_path, "a.npz", features=None), "has no 'features'; it has: labels, weight, logits"),
        (bad(tmp_path, "b.npz", labels=None), "has no 'labels'"),
        (bad(tmp_path, "c.npz", labels=values["labels"][:5]), "5 entries for 250 samples"),
        (bad(tmp_path, "d.npz", labels=values["labels"] + 4), "lie in [0, 3] for 4 classes"),
        (bad(tmp_path, "e.npz", labels=values["labels"] - 0.5), "must hold integers"),
        (bad(tmp_path, "f.npz", features=nan), "NaN or infinite values, first in row 3"),
        (bad(tmp_path, "g.npz", weight=np.ones((4, 5))), "weight must have width 6, got shape (4, 5)"),
        (bad(tmp_path, "h.npz", logits=np.ones((250, 3))), "logits must have shape (N, K) = (250, 4)"),
        (bad(tmp_path, "i.npz", features=values["features"][:, :, None]), "shape (B, d)"),
    ]
    tables = {
        "gap.parquet": ({"features": [[1.0, 2.0], None], "labels": [0, 1]}, "'features' has 1 empty cells"),
        "uneven.parquet": ({"features": [[1.0, 2.0], [1.0]], "labels": [0, 1]}, "lists of different lengths"),
        "words.parquet": ({"features": [[1.0], [2.0]], "label": ["cat", "dog"]}, "'label' holds string, not numbers"),
        "id.parquet": ({"a": [1.0, 2.0], "id": ["x", "y"], "label": [0, 1]}, "'id' holds string, not numbers. Drop it"),
        "none.parquet": ({"label": [0, 1]}, "has no 'features'; it has: label"),
    }
    for name, (columns, message) in tables.items():
        pq.write_table(pa.table(columns), tmp_path / name)
        cases.append((tmp_path / name, message))
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    cases.append((tmp_path / "broken.safetensors", "is not a readable .safetensors file"))
    cases.append((bad(tmp_path, "j.npz", ood_features=np.ones((3, 2))), "ood_features must have width 6"))
    cases.append((bad(tmp_path, "k.npz", weight=values["weight"] * np.nan), "weight has NaN"))
    cases.append(
        (bad(tmp_path, "k1.npz", weight=None, logits=np.ones(250)), "logits must have shape (B, d), got (250,)")
    )
    cases.append((bad(tmp_path, "l.npz", logits=values["logits"] * np.nan), "logits has NaN"))
    cases.append(
        (bad(tmp_path, "m.npz", features=values["features"] * 1j), "must be floating point, got torch.complex64")
    )
    huge = {"weight": None, "logits": None, "labels": values["labels"] * 10**8}
    cases.append((bad(tmp_path, "n.npz", **huge), "labels go up to 300000000 with 250 samples"))
    for path, message in cases:
        code, _, err = run(capsys, path)
        assert code == 2, path
        assert message in err.replace("\n", " "), (path, err)
    code, _, err = run(capsys, bad(tmp_path, "ok.npz"), "--global-mean", "classes")
    assert code == 2
    assert "did you mean 'class'" in err
