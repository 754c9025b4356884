"""A classifier of tables behind its columns: what the reader does to a row is in the file, as operators."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiangular._extras import require
from equiangular.data.columns import CYCLES, DAY, Column, Columns
from equiangular.export.subject import Exported, Samples, Subject
from equiangular.training.model.classifier import Classifier


def has_graph(columns: Columns) -> bool:
    """Whether there is something to fold in, and operators for all of it: not for columns of texts."""
    plain = all(c.kind in ("number", "boolean", "time") and not (c.centre or c.missing) for c in columns.columns)
    return not plain and all(column.kind != "text" for column in columns.columns)


class ExportedColumns(Exported):
    """The classifier behind the columns of a table."""

    def __init__(self, classifier: Classifier, columns: Columns) -> None:
        super().__init__(classifier)
        self.columns = columns

    def forward(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities, (B, K) each, of a number for each column, (B, C) float64; NaN where it is missing.

        A number is as it stands, a truth value 0 or 1, a time its seconds, a date those since 1970 in UTC, a category
        the position of its level among ``levels``, or -1 for another.
        """
        parts = [self._encoded(column, columns[:, i : i + 1]) for i, column in enumerate(self.columns.columns)]
        return super().forward(torch.cat(parts, 1))

    def _encoded(self, column: Column, x: Tensor) -> Tensor:
        """The numbers (B, n) float32 of one column (B, 1), as :meth:`Column.encode` has them."""
        missing = torch.isnan(x)
        own = []
        # As tensors: an exporter rounds plain numbers to float32, and a date or a Unix second is lost in that.
        centre, fill = (torch.tensor(v, dtype=x.dtype) for v in (column.centre, column.fill))
        if column.kind == "category":
            own = [x == torch.arange(len(column.levels), dtype=x.dtype)]
        elif column.kind == "date":
            x = torch.where(missing, centre, x)
            own = [(x - centre) / DAY]
            for cycle in column.cycles:
                turns = x / CYCLES[cycle]
                phase = (2 * math.pi * (turns - torch.floor(turns))).float()
                own += [phase.sin(), phase.cos()]
        else:
            own = [torch.where(missing, fill, x - centre)]
        return torch.cat([part.float() for part in (*own, *([missing] if column.missing else []))], 1)


def columns_subject(classifier: Classifier, columns: Columns) -> Subject:
    """A classifier with its columns; what it is compared with goes the way of ``predict``, by an Arrow table."""
    module = ExportedColumns(classifier, columns)
    on_cpu = module.classifier

    def draw(batch: int, seed: int) -> Samples:
        values, table = _rows(columns, on_cpu, batch, seed)
        logits, probabilities = on_cpu(torch.from_numpy(columns.encode(table).values))
        return {"columns": torch.from_numpy(values)}, (logits, probabilities)

    axes: dict[str, tuple[str | int, ...]] = {"columns": ("batch", len(columns.columns))}
    metadata = {"columns": json.dumps(columns.as_dict()["columns"], ensure_ascii=False)}
    return Subject(module, axes, torch.float64, draw, None, metadata)


def _rows(columns: Columns, classifier: Classifier, batch: int, seed: int) -> tuple[np.ndarray, Any]:
    """Random rows as the file takes them, (B, C) float64, and the same as an Arrow table."""
    pa = require("pyarrow", extra="data", purpose="Checking a model of tables")
    draw = np.random.default_rng(seed)
    mean, std = (
        value.flatten().double().numpy() for value in (classifier.standardize.mean, classifier.standardize.std)
    )
    values, arrays, start = [], [], 0
    for column in columns.columns:
        if column.kind == "category":
            x = draw.integers(-1, len(column.levels), batch).astype(float)
        elif column.kind == "boolean":
            x = draw.integers(0, 2, batch).astype(float)
        else:
            unit = DAY if column.kind == "date" else 1.0
            x = column.centre + unit * (mean[start] + std[start] * draw.normal(size=batch))
            x = np.round(x) if column.kind in ("date", "time") else x
        if column.missing:
            x[draw.random(batch) < 0.3] = np.nan
        known = [None if math.isnan(v) else v for v in x.tolist()]
        if column.kind == "category":
            levels = [None if v is None else "\0" if v < 0 else column.levels[int(v)] for v in known]
            arrays.append(pa.array(levels, pa.string()))
        elif column.kind == "date":
            micro = pa.array([None if v is None else int(v) * 1_000_000 for v in known], pa.int64())
            arrays.append(micro.cast(pa.timestamp("us")))
        elif column.kind == "time":
            arrays.append(pa.array([None if v is None else int(v) for v in known], pa.int64()).cast(pa.duration("s")))
        else:
            arrays.append(pa.array(known, pa.float64()))
        values.append(x)
        start += len(column.names)
    return np.stack(values, 1), pa.table(arrays, names=[column.name for column in columns.columns])
