"""Tables of every kind of column, as Arrow has them and as text writes them."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather, parquet

from trial.mutate import TOKENS, content, picture

_NAMES = ("label", "x", "y", "text", "image", "features", "vectors", "id", "target", "a", "a", "", " ", "é", "test_y")
_KINDS = (
    pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(),
    pa.large_string(), pa.string_view(), pa.binary(), pa.null(), pa.date32(), pa.date64(), pa.timestamp("ns"),
    pa.timestamp("s", "Europe/Zurich"), pa.time64("us"), pa.duration("ms"), pa.decimal128(10, 2), pa.list_(pa.string()),
    pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    pa.map_(pa.string(), pa.int32()), pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.list_(pa.float64())),
)  # fmt: skip


def cell(chance: random.Random, kind: Any) -> Any:
    """A value of a type, or none."""
    if chance.random() < 0.1:
        return None
    t = pa.types
    if t.is_dictionary(kind):
        return chance.choice(("a", "b"))
    if t.is_boolean(kind):
        return chance.random() < 0.5
    if t.is_integer(kind):
        return chance.choice((0, 1, 2, 100))
    if t.is_floating(kind):
        odd = (float("nan"), float("inf"), 6e4)
        return chance.choice((0.0, 1.5, *(odd if chance.random() < 0.2 else ())))
    if t.is_string(kind) or t.is_large_string(kind) or kind == pa.string_view():
        return chance.choice(("a", "b", "lost card", *(TOKENS if chance.random() < 0.3 else ())))
    if t.is_binary(kind):
        return picture(chance) if chance.random() < 0.5 else chance.randbytes(5)
    if t.is_date(kind):
        return date(chance.choice((1, 1970, 2020, 9999)), 1, 2)
    if t.is_timestamp(kind):
        return datetime(chance.choice((1970, 2020, 2200)), 1, 2, tzinfo=None if kind.tz is None else timezone.utc)
    if t.is_time(kind):
        return time(3, 4)
    if t.is_duration(kind):
        return timedelta(seconds=chance.choice((0, 5, -7)))
    if t.is_decimal(kind):
        return Decimal("1.50")
    if t.is_map(kind):
        return [("a", 1)]
    if t.is_struct(kind):
        return {field.name: cell(chance, field.type) for field in kind}
    if t.is_fixed_size_list(kind):
        return [cell(chance, kind.value_type) for _ in range(kind.list_size)]
    if t.is_list(kind):
        return [cell(chance, kind.value_type) for _ in range(chance.choice((0, 2, 3)))]
    return None


def table(chance: random.Random) -> pa.Table:
    """A table of some columns, one of which is often fit to be a label."""
    rows = chance.choice((0, 1, 2, 12, 40))
    columns, names = [], []
    for _ in range(chance.randint(1, 5)):
        kind = chance.choice(_KINDS)
        columns.append(pa.array([cell(chance, kind) for _ in range(rows)], kind))
        names.append(chance.choice(_NAMES))
    if chance.random() < 0.7:
        columns.append(pa.array([i % 3 for i in range(rows)]))
        names.append("label")
    made = pa.Table.from_arrays(columns, names)
    if chance.random() < 0.1:
        described = ('{"info": {"features": {"label": {"names": ["a"], "_type": "ClassLabel"}}}}', "{", "[1]", "")
        made = made.replace_schema_metadata({chance.choice(("huggingface", "pandas")): chance.choice(described)})
    return made


def arrow_file(chance: random.Random, path: Path, given: bytes) -> None:
    """A .parquet or .feather file of any table, or with changed bytes."""
    if chance.random() < 0.25:
        path.write_bytes(content(chance, given, given))
        return
    made = table(chance)
    try:
        (parquet.write_table if path.suffix == ".parquet" else feather.write_feather)(made, path)
    except (pa.ArrowException, ValueError, NotImplementedError):  # a type that the format lacks
        path.write_bytes(content(chance, given, given))


def text_file(chance: random.Random, path: Path, given: bytes) -> None:
    """A .csv or .tsv file of any cells, quoted well or badly, in any encoding; or with changed bytes."""
    if chance.random() < 0.4:
        path.write_bytes(content(chance, given, given))
        return
    delimiter = chance.choice((",", ",", ";", "\t", "|"))
    width, rows = chance.randint(1, 5), chance.choice((0, 1, 5, 30))

    def text(column: int) -> str:
        usual = (str(column), "1.5", "a", "b", "2020-01-02", "12:30", "3 days", "lost card", "12 %", "€ 5")
        one = chance.choice(usual if chance.random() < 0.9 else TOKENS)
        return f'"{one}"' if chance.random() < 0.1 else one

    lines = [delimiter.join(chance.choice(_NAMES) for _ in range(width - 1)) + f"{delimiter}label"]
    lines += [delimiter.join([*(text(i) for i in range(width - 1)), "ab"[i % 2]]) for i in range(rows)]
    if chance.random() < 0.2:
        lines[chance.randrange(len(lines))] += delimiter + "1"
    ending = chance.choice(("\n", "\n", "\r\n", "\r"))
    encoding = chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    path.write_bytes(ending.join(lines).encode(encoding, errors="replace"))
