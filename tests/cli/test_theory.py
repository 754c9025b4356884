import json
import os
import re
from pathlib import Path

import pytest

from equiangular.cli import main


def test_theory_writes_json_figures_and_a_self_contained_page(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--quick", "-o", str(tmp_path / "t"), "--class-counts", "100,100,1,1", "--dim", "5"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "class sizes 100, 100, 1, 1" in out
    assert "minority collapse at R = " in out
    names = {"theory.json", "report.html", "minority.svg", "gradients.svg", "convergence.svg"}
    assert names == set(os.listdir(tmp_path / "t"))
    page = (tmp_path / "t" / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"https?:|@import", page)
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', page, flags=re.DOTALL).group(1))
    assert len(data["pairs"]["view"]["choices"]) == 4
    results = json.loads((tmp_path / "t" / "theory.json").read_text())
    own = {(row["loss"], row["classifier"]): row for row in results["own"]["rows"]}
    assert own["ce", "learned"]["weight_cosine"] > 0.9
    assert own["ce", "fixed"]["etf_distance"] < 1e-9
    assert "Class sizes 100, 100, 1, 1" in page
    assert results["minority"][-1]["fixed_etf_distance"] < 1e-6
    drawn = data["figures"]["minority-weight"]["data"]["values"]
    told = [row["learnable_weight_minority_cosine"] for row in results["minority"]]
    assert [point["y"] for point in drawn if point["line"] == "learned, rare classes"] == told
    scene = data["pairs"]["view"]["choices"]["fixed, balanced"]
    assert scene["vectors"] == results["tetrahedron"]["fixed, balanced"]["weight"]
    assert len(scene["epochs"]) == len(scene["features"]) == len(scene["means"])
    with pytest.raises(SystemExit) as stop:  # the page again, from the record
        main(["report", str(tmp_path / "t"), "-o", str(tmp_path / "again.html")])
    assert stop.value.code == 0
    assert (tmp_path / "again.html").read_text() == page
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path / "t"), str(tmp_path / "t" / "theory.json")])
    assert stop.value.code == 2
    assert "page of its own" in capsys.readouterr().err


def test_an_unwritable_folder(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--quick", "-o", str(tmp_path / "taken")])
    assert stop.value.code == 2
    assert "cannot write to the output folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class-counts", "5,many"], "takes numbers with commas"),
        (["--class-counts", "5,0"], "class 1 has 0"),
        (["--class-counts", "5"], "the number of classes must be an integer >= 2"),
        (["--class-counts", "5,5,5,5", "--dim", "2"], "dim"),
        (["--dim", "5"], "there are none"),
        (["--seed", "-1"], "seed must be"),
    ],
)
def test_bad_options(capsys: pytest.CaptureFixture, tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--quick", "-o", str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
