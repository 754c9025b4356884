"""``equiangular measure`` on every format, over epochs, and on files that are not what they should be."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from equiangular import simplex_etf
from equiangular.cli import main
from equiangular.measures.collapse import ClassMoments, collapse_measures


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["measure", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


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
    measured = json.loads((tmp_path / "out" / "measures.json").read_text())["measures"][0]
    values = data()
    moments = ClassMoments.empty(4, 6).update(torch.from_numpy(values["features"]), torch.from_numpy(values["labels"]))
    assert measured["nc1"] == pytest.approx(float(collapse_measures(moments)["nc1"]), rel=1e-5)
    assert "cdnv/medium" in measured
    assert ("nc3" in measured) == (suffix != ".parquet")
    if suffix != ".parquet":
        h, mu = torch.from_numpy(values["features"]).double(), moments.mean
        agreed = (torch.cdist(h, mu).argmin(1) == torch.from_numpy(values["logits"]).argmax(1)).double().mean()
        assert measured["nc4"] == pytest.approx(float(agreed))


def test_a_parquet_column_of_lists(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    values = data()
    pq.write_table(pa.table({"features": list(values["features"]), "labels": values["labels"]}), tmp_path / "f.parquet")
    assert run(capsys, tmp_path / "f.parquet")[0] == 0


def test_a_folder_of_epochs_becomes_curves(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "epochs").mkdir()
    for epoch, std in ((10, 0.01), (2, 0.1), (1, 0.5)):
        np.savez(tmp_path / "epochs" / f"epoch-{epoch}.npz", **data(std))
    code, _, _ = run(capsys, tmp_path / "epochs", "-o", tmp_path / "out")
    assert code == 0
    results = json.loads((tmp_path / "out" / "measures.json").read_text())
    assert results["epochs"] == [1, 2, 10]
    curve = [row["nc1"] for row in results["measures"]]
    assert curve == sorted(curve, reverse=True)
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)|@import|url\((?!#)", page)


def bad(folder: Path, name: str, **changes: np.ndarray | None) -> Path:
    values = {k: v for k, v in {**data(), **changes}.items() if v is not None}
    np.savez(folder / name, **values)
    return folder / name


def test_bad_files(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    values = data()
    nan = values["features"].copy()
    nan[3, 1] = np.nan
    cases = [
        (tmp_path / "none.npz", "does not exist"),
        (tmp_path / "f.csv", "ends in .npz, .parquet, .safetensors"),
        (tmp_path / "broken.npz", "is not a readable .npz file"),
        (tmp_path / "empty", "no feature file in"),
        (bad(tmp_path, "a.npz", features=None), "has no 'features'; it has: labels, weight, logits"),
        (bad(tmp_path, "b.npz", labels=None), "has no 'labels'"),
        (bad(tmp_path, "c.npz", labels=values["labels"][:5]), "5 entries for 250 samples"),
        (bad(tmp_path, "d.npz", labels=values["labels"] + 4), "lie in [0, 3] for 4 classes"),
        (bad(tmp_path, "e.npz", labels=values["labels"] - 0.5), "must hold integers"),
        (bad(tmp_path, "f.npz", features=nan), "NaN or infinite values, first in row 3"),
        (bad(tmp_path, "g.npz", weight=np.ones((4, 5))), "weight must have shape (K, d) with d = 6"),
        (bad(tmp_path, "h.npz", logits=np.ones((250, 3))), "logits must have shape (N, K) = (250, 4)"),
        (bad(tmp_path, "i.npz", features=values["features"][:, :, None]), "shape (B, d)"),
    ]
    for path, message in cases:
        code, _, err = run(capsys, path)
        assert code == 2, path
        assert message in err.replace("\n", " "), (path, err)
    code, _, err = run(capsys, bad(tmp_path, "ok.npz"), "--global-mean", "classes")
    assert code == 2
    assert "did you mean 'class'" in err
