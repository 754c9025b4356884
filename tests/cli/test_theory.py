import json
import os
import re
from pathlib import Path

import pytest

from equiangular.cli import main


def test_theory_writes_json_figures_and_a_self_contained_page(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--quick", "-o", str(tmp_path / "t")])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "minority collapse at R = " in out
    names = {"theory.json", "theory.html", "minority.svg", "gradients.svg", "convergence.svg"}
    assert names == set(os.listdir(tmp_path / "t"))
    page = (tmp_path / "t" / "theory.html").read_text()
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)|@import|url\((?!#)", page)
    scenes = json.loads(re.search(r'id="scenes">(.*?)</script>', page, flags=re.DOTALL).group(1))
    assert len(scenes) == 4
    assert page.count("<svg") == 3
    results = json.loads((tmp_path / "t" / "theory.json").read_text())
    assert results["minority"][-1]["fixed_etf_distance"] < 1e-6


def test_an_unwritable_folder(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--quick", "-o", str(tmp_path / "taken")])
    assert stop.value.code == 2
    assert "cannot write to the output folder" in capsys.readouterr().err
