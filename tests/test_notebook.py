"""Results in a notebook are the page that their command writes, in a frame; the notebook of the examples runs."""

import ast
import json
import pickle
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import equiangular as eq
from equiangular import _notebook
from equiangular.report import page_of_runs
from equiangular.report.comparison import comparison_page
from tests.report.browser import chromium, needs_browser
from tests.report.test_page import made_up

NOTEBOOK = Path(__file__).parents[1] / "examples" / "in_a_notebook.ipynb"


def inside(element: str) -> str:
    """The page in a frame, as a browser reads it."""
    found: list[str] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert tag == "iframe"
            found.append(dict(attrs)["srcdoc"])

    Frames().feed(element)
    (page,) = found
    return page


def measured() -> dict[str, torch.Tensor]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x, y = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    return eq.measure_collapse(model, [(x, y)], layers="auto")


def test_a_comparison_is_its_page() -> None:
    results = made_up(10)
    assert inside(results._repr_html_() or "") == comparison_page(results)


def test_measures_of_collapse_are_a_small_page() -> None:
    found = measured()
    page = inside(found._repr_html_())
    assert f"{float(found['nc1']):.4g}" in page
    assert len(pickle.loads(pickle.dumps(found))) == len(found)
    assert pickle.loads(pickle.dumps(found))._repr_html_() == found._repr_html_()
    plain = _notebook.collapse({"nc1": torch.tensor(0.5)})
    assert len(inside(plain._repr_html_() or "")) < 100_000  # no figure, so no library that draws


def test_a_report_of_a_frame_keeps_its_lines() -> None:
    assert eq.frame_report(eq.simplex_etf(4, 3))._repr_html_().startswith("<pre>")


def test_text_is_shown_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert made_up(10)._repr_html_() is None
    assert measured()._repr_html_() is None


@needs_browser
@pytest.mark.browser
def test_the_frame_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><title>n</title><body>{made_up(10)._repr_html_()}</body>", encoding="utf-8")
    with chromium() as browser:
        shown, wrong = browser.new_page(), []
        shown.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.goto(page.as_uri())
        frame = shown.frames[1]
        frame.wait_for_function("window.ready")
        frame.evaluate("drawAll()")
        assert frame.locator("#runs svg.marks").count() == 1
        frame.locator("#measures [data-copy=csv]").click()
        assert frame.evaluate("copied").startswith("method,")
        with shown.expect_download() as told:
            frame.locator("#runs [data-save=svg]").click()
        assert Path(told.value.path()).read_bytes().startswith(b"<svg")
        assert not wrong


@pytest.mark.slow
def test_the_notebook_of_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    namespace: dict[str, Any] = {}
    shown = []
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"]
        *body, last = ast.parse("".join(cell["source"])).body
        name = f"cell {number}"
        exec(compile(ast.Module(body, []), name, "exec"), namespace)  # the documents' own code is what is tested
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), name, "eval"), namespace))
        else:
            exec(compile(ast.Module([last], []), name, "exec"), namespace)
    assert len(shown) == 4
    assert all("<!doctype html>" in inside(one._repr_html_()) for one in shown)
    assert inside(page_of_runs("runs/notebook")._repr_html_()) == inside(shown[0]._repr_html_())
