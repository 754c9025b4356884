"""Quotes that nobody closed, in files of every kind, against what Python's own writer and reader say."""

from __future__ import annotations

import csv
import io
import random

import pytest

from equiangular.data import quotes
from equiangular.data.quotes import stray_quote
from equiangular.data.table_files import read_table, table_batches

PIECES = ["a", "\\", "b c", '"', '""', ",", "\n", "\r\n", "5", "é", ";", " "]


def random_rows(draw: random.Random) -> list[list[str]]:
    cell = lambda: "x" + "".join(draw.choice(PIECES) for _ in range(draw.randrange(6)))  # noqa: E731
    return [["one", "two", "three"], *([cell() for _ in range(3)] for _ in range(draw.randrange(1, 8)))]


@pytest.mark.parametrize("chunk", [1, 7, 2**24])
def test_what_a_writer_quotes_is_read_back(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(quotes, "_CHUNK", chunk)
    draw = random.Random(chunk)
    for _ in range(40 if chunk > 1 else 5):
        rows = random_rows(draw)
        text = io.StringIO()
        csv.writer(text, lineterminator=draw.choice(["\n", "\r\n"])).writerows(rows)
        file = tmp_path / "t.csv"
        file.write_bytes(draw.choice([b"", b"\xef\xbb\xbf"]) + text.getvalue().encode())
        assert stray_quote(file, ",") is None
        table = read_table(file)
        assert list(map(list, zip(*table.to_pydict().values(), strict=True))) == rows[1:]


STRAY = {
    "to the end": ('a,b,label\n1,2,"x\n2,3,y\n', "line 2: .* goes on to the end of the file"),
    "to another row": ('a,b,label\n1,2,x\n1,"abc,x\n2,def,y\n3,"ghi",z\n', "line 3: .* to the quote in line 5"),
    "in the header": ('a,"b,label\n1,2,x\n', "line 1: .* to the end of the file"),
    "beside literal quotes": ('a,b,label\n5" pipe,2,x\n1,"2,y\n', "line 3: .* to the end of the file"),
    "after a closed one": ('a,b,label\n"1","2","x"\n"1","2","y\n', "line 3: .* to the end of the file"),
    "after a backslash": (
        'a,label\n1,x\n"say \\"hi\\" now",y\n',
        "line 3: a backslash stands before a quote within a cell",
    ),
    "after a backslash first": ('a,label\n"\\"hi\\"",y\n', "line 2: a backslash stands before a quote within a cell"),
    "old line ends": ('a,b,label\r1,2,x\r1,2,"y\r', "line 3: .* to the end of the file"),
}


@pytest.mark.parametrize("case", STRAY)
def test_a_stray_quote_is_named_by_its_line(tmp_path, case):
    text, message = STRAY[case]
    (tmp_path / "t.csv").write_text(text, newline="")
    for read in (read_table, lambda file: list(table_batches(file, 2))):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "t.csv")


def test_quotes_within_cells_are_characters(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text('size,name,label\n5",6" pipe,x\n"7" ,"a"b,y\n"line\none",c"d"e,x\n')
    assert read_table(file).to_pydict() == {
        "size": ['5"', "7 ", "line\none"], "name": ['6" pipe', "ab", 'c"d"e'], "label": ["x", "y", "x"]
    }  # fmt: skip


def test_rows_of_another_length_are_counted_from_one(tmp_path):
    file = tmp_path / "t.csv"
    for text, message in (
        ("a,label\n1,x\n\n2,y,3\n", r"row 2 \(line 4\) has 3 cells, the header 2: '2,y,3'\. Put quotes around"),
        ('a,label\n"1\n1",x\n2\n', r"row 2 \(line 4\) has 1 cell, the header 2: '2'\. Fill it up"),
        ('a, label\n1, "x, y"\n', "A quote counts right after the ',' only"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_table(file)
        with pytest.raises(ValueError, match=message):
            list(table_batches(file, 1))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blanks.csv", "size, label\n1, x\n2 ,y\n"),
        ("commas.tsv", "size,label\n1,x\n2,y\n"),
        ("bars.tsv", "size|label\n1|x\n2|y\n"),
        ("tabs.csv", "size\t label\n1\tx\n2\ty\n"),
    ],
)
def test_delimiters_and_blanks_around_names(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name).column_names == ["size", "label"]
    assert next(table_batches(tmp_path / name, 1)).schema.names == ["size", "label"]


def test_a_single_column_keeps_its_commas_in_a_tsv_file(tmp_path):
    (tmp_path / "t.tsv").write_text("text\nhello, world\n")
    assert read_table(tmp_path / "t.tsv").to_pydict() == {"text": ["hello, world"]}
