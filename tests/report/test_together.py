"""Pages of runs: of one, and of any side by side; values as their files have them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import command_line
from tests.report.browser import chromium, needs_browser, opened
from tests.report.test_page import Cells, data_of, made_up

from equiangular._files import write_json
from equiangular.records import to_json, unpack_confusion
from equiangular.report.page import render
from equiangular.report.together import names_of, page_of_results, read_results
from equiangular.training.config.options import TrainConfig
from equiangular.training.run.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of train, a comparison and measures."""
    root = tmp_path_factory.mktemp("runs")
    for method in ("etf-la", "linear-la"):
        train(TrainConfig(data="digits", method=method, imbalance=20, epochs=2, collapse_epochs=1), root / method)
    (root / "c").mkdir()
    write_json(root / "c" / "results.json", to_json(made_up(10)))
    measured = {"nc1": 0.5, "nc1/few": 0.7, "nc4": 1.0}
    layers = {"first": {"nc1": 2.0}, "last": {"nc1": 0.5}}
    series = [
        {"name": name, "measures": measured, "epochs": [1, 2], "curve": [{"nc1": 0.9}, measured], "layers": layers,
         "about": {"data": "made up"}}
        for name in ("one", "two")
    ]  # fmt: skip
    provenance = {"command": "x", "versions": {"torch": "2"}, "commit": None, "time_utc": "now"}
    (root / "m").mkdir()
    write_json(root / "m" / "measures.json", {"series": series, "provenance": provenance})
    return root


def test_the_page_of_a_training_has_its_scores(folder: Path) -> None:
    ((kind, results),) = read_results(folder / "etf-la")
    text = render(page_of_results([("x", kind, results)]))
    tables = Cells(text).tables
    scores = ("balanced_accuracy", "accuracy", "many", "medium", "few", "ece")
    for line, key in zip(tables["scores-table"][1:], ("test", "best"), strict=True):
        assert [value for _, value in line[1:]] == [str(results[key][s]) for s in scores]
    rows = {line[0][0]: line for line in tables["class-table"][1:]}
    for of in results["details"]["classes"]:
        assert [v for _, v in rows[of["name"]][1:3]] == [str(of["train"]), str(of["accuracy"])]
    data = data_of(text)
    (cells,) = data["pairs"]["confusion"]["choices"].values()
    assert [[a, b, n] for a, b, _, n in cells] == unpack_confusion(results["details"]["confusion"])
    drawn = [point["value"] for point in data["figures"]["curve-loss"]["data"]["values"]]
    assert drawn == [row["loss"] for row in results["epochs"]]
    assert f"{results['test']['balanced_accuracy']:.1f} %</h1>" in text


def test_runs_side_by_side(folder: Path) -> None:
    paths = [folder / "etf-la", folder / "linear-la", folder / "c", folder / "m"]
    found = [(path.name, kind, content) for path in paths for kind, content in read_results(path)]
    data = data_of(text := render(page_of_results(found)))
    labels = {series["label"] for series in data["series"]}
    assert {"etf-la", "linear-la", "c: ETF + logit adjustment", "one", "two"} <= labels
    assert len(set(ids := [name.split('"')[0] for name in text.split(' id="')[1:]])) == len(ids)
    drawn = {point["method"] for point in data["figures"]["per-class"]["data"]["values"]}
    assert drawn == {"etf-la", "linear-la"}  # the comparison has other classes, and a figure of its own
    assert len(data["figures"]["per-class-1"]["data"]["values"]) == 20
    scores = {line[0][0]: float(line[2][1]) for line in Cells(text).tables["scores-table"][1:] if "as" in line[1][0]}
    assert scores["etf-la"] == read_results(folder / "etf-la")[0][1]["test"]["balanced_accuracy"]


def test_measures_with_layers_and_groups(folder: Path) -> None:
    (found,) = read_results(folder / "m")
    text = render(page_of_results([("m", *found)]))
    assert {"depth-0", "depth-1", "curve-nc1-0"} <= data_of(text)["figures"].keys()
    rows = {line[0][0]: line for line in Cells(text).tables["all-measures-0"][1:]}
    assert [value for _, value in rows["NC1"][1:3]] == ["0.5", "0.5"]


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = command_line.run(capsys, "report", folder / "c")
    assert code == 0
    assert str(folder / "c" / "report.html") in out
    page = tmp_path / "all.html"
    code, *_ = command_line.run(capsys, "report", folder / "etf-la", folder / "linear-la", "-o", page)
    assert code == 0
    assert "2 runs side by side" in page.read_text()
    code, _, error = command_line.run(capsys, "report", tmp_path)
    assert code == 2
    assert "none of results.json, evaluation.json, measures.json, theory.json is there" in error
    (tmp_path / "other.json").write_text(json.dumps([1]))
    code, _, error = command_line.run(capsys, "report", tmp_path / "other.json")
    assert code == 2
    assert "has no results of equiangular in it" in error
    code, _, error = command_line.run(capsys, "report", folder / "c", "-o", tmp_path / "x.pdf")
    assert code == 2
    assert ".html" in error


def test_names_tell_runs_apart() -> None:
    assert names_of([Path("a/x"), Path("b/x"), Path("b/y")]) == ["a/x", "b/x", "b/y"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("names", [("etf-la",), ("m",), ("etf-la", "linear-la", "c", "m")])
def test_in_a_browser(browser: Any, folder: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    found = [(name, kind, content) for name in names for kind, content in read_results(folder / name)]
    path = tmp_path / "p.html"
    path.write_text(render(page_of_results(found)), encoding="utf-8")
    for width in (390, 1440):
        with opened(browser, path, width=width, theme="dark") as (page, wrong):
            assert not wrong
            assert page.evaluate("document.documentElement.scrollWidth") <= width
