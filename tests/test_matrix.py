"""The quick cells of tests/matrix.py, a few of the slow ones, and the page that says how all came out."""

import re

import pytest

from . import matrix

TABLE = matrix.PAGE.read_text("utf-8")
# Of what takes long: every head (these were tests of the heads before), two losses.
SLOW = {
    *((kind, column) for kind in matrix.HEAD_ROWS for column in ("compile", "export")),
    *((row, column) for row in ("DotRegressionLoss", "LDAMLoss") for column in matrix.SLOW),
    ("etf", "ONNX"),
    ("FocalLoss", "ONNX"),
}
CELLS = [(row, col) for row in matrix.ROWS for col in matrix.COLUMNS if col not in matrix.SLOW or (row, col) in SLOW]


def on_the_page(row: str, column: str) -> str:
    """What the page says of a cell: "yes", or its reason."""
    header, line = (re.search(rf"^\| {name} ?\|(.+)\|$", TABLE, re.MULTILINE)[1] for name in ("", re.escape(row)))
    place = [name.strip() for name in header.split("|")].index(column)
    mark = line.split("|")[place].strip()
    return mark if mark == "yes" else re.search(rf"^{mark}\. (.+)$", TABLE, re.MULTILINE)[1]


@pytest.mark.parametrize(("row", "column"), CELLS)
def test_a_cell_is_what_the_page_says(row: str, column: str) -> None:
    for needed in {"safetensors": ["safetensors"], "ONNX": ["onnx", "onnxruntime"]}.get(column, []):
        pytest.importorskip(needed)
    assert matrix.outcome(row, column) == on_the_page(row, column)


def test_the_page_is_written_from_the_table() -> None:
    cells = {(row, column): matrix.LIMITS.get((row, column), "yes") for row in matrix.ROWS for column in matrix.COLUMNS}
    version = re.compile(r"PyTorch [\d.]+")
    assert version.sub("", matrix.page(cells)) == version.sub("", TABLE), "make matrix"


def test_every_head_loss_and_metric_has_its_row() -> None:
    public = {name for name in dir(matrix.losses) if name.endswith("Loss")}
    assert set(matrix.LOSS_ROWS) == public
    assert set(matrix.HEAD_ROWS) == set(matrix.HEADS)
    from torchmetrics import Metric

    metrics = {n for n in dir(matrix.measures) if isinstance(getattr(matrix.measures, n), type)}
    assert {n for n in metrics if issubclass(getattr(matrix.measures, n), Metric)} == set(matrix.METRIC_ROWS)
