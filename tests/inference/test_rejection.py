"""`predict --reject`: the threshold of a run's own held-out part, what is marked, and where it cannot be had."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular.cli import main
from equiangular.data import load_dataset
from equiangular.inference import probabilities_and_doubt, run_rejection_threshold
from equiangular.training import Classifier
from tests.command_line import run


@pytest.fixture(scope="module", params=["etf-ce", "linear-ce"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the digits; one head has unit features, the other has not."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.raises(SystemExit) as stop:
        main(["train", "digits", "-o", str(folder), "--method", request.param, "--epochs", "4", "-q"])
    assert not stop.value.code
    return folder


def test_known_and_unknown_inputs(capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path) -> None:
    data = load_dataset("digits")
    noise = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    for name, x in (("known", data.test_x.numpy()), ("noise", noise)):
        np.savez(tmp_path / f"{name}.npz", x=x)
    share = {}
    for name, number in (("known", len(data.test_x)), ("noise", 200)):
        code, _, err = run(
            capsys, "predict", trained, tmp_path / f"{name}.npz", "-o", tmp_path / "p.csv", "--reject", 0.1
        )
        assert code == 0
        with (tmp_path / "p.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["input", "class", "probability", "rejected", "error"]
        rejected = [row["rejected"] for row in rows].count("yes")
        assert {row["rejected"] for row in rows} <= {"yes", "no"}
        assert f"{rejected} of {number} inputs taken for none of the classes" in err
        assert "at most 10 % of the known ones" in err
        share[name] = rejected / number
    assert share["known"] < 0.1 + 4 * (2 * 0.09 / 280) ** 0.5
    assert share["noise"] > 2 * share["known"]

    code, out, err = run(capsys, "predict", trained / "best", tmp_path / "noise.npz", "-q", "--reject", 0.1)
    assert (code, err) == (0, "")
    assert "rejected" in out.splitlines()[0]
    run(capsys, "predict", trained, tmp_path / "noise.npz", "-o", tmp_path / "p.json", "--reject", 0.1)
    assert all(isinstance(row["rejected"], bool) for row in json.loads((tmp_path / "p.json").read_text()))
    run(capsys, "predict", trained, tmp_path / "noise.npz", "-o", tmp_path / "p.json")
    assert not any("rejected" in row for row in json.loads((tmp_path / "p.json").read_text()))


def test_probabilities_stay_and_the_threshold_does_not_depend_on_batches(trained: Path) -> None:
    classifier, x = Classifier.load(trained), load_dataset("digits").test_x[:50]
    probabilities, doubt = probabilities_and_doubt(classifier, x)
    with torch.no_grad():
        torch.testing.assert_close(probabilities, classifier(x).probabilities)
    assert doubt.shape == (50,)
    one, other = (run_rejection_threshold(classifier, trained, 0.05, batch_size=size) for size in (256, 7))
    assert one == pytest.approx(other, abs=1e-5)


def test_where_there_is_no_threshold(
    capsys: pytest.CaptureFixture, trained: Path, digits_run: Path, digit_images: Path, tmp_path: Path
) -> None:
    image = digit_images / "digit 3" / "0.png"
    for given, message in ((1.5, "--reject must lie strictly between 0 and 1, got 1.5"), (0, "got 0")):
        code, _, err = run(capsys, "predict", trained, image, "--reject", given)
        assert code == 2
        assert message in " ".join(err.split())
    code, _, err = run(capsys, "predict", trained, image, "--reject", 0.0001)
    assert code == 2
    assert "that takes at least 9999" in " ".join(err.split())
    code, _, err = run(capsys, "predict", digits_run, image, "--reject", 0.05)
    assert code == 2
    assert "a model without its run" in " ".join(err.split())
    changed = tmp_path / "run"
    shutil.copytree(trained, changed)
    stored = json.loads((changed / "provenance.json").read_text())
    del stored["checksum"]  # as an older version wrote it
    stored["content"]["training labels"] = "0"
    (changed / "provenance.json").write_text(json.dumps(stored))
    code, _, err = run(capsys, "predict", changed, image, "--reject", 0.05)
    assert code == 2
    assert "data have changed" in " ".join(err.split())
