"""JSON, JSON lines, CSV and Parquet hold the same entries, and say where they are broken."""

import csv
import datetime
import io
import json
import logging

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.entries import write
from workflow.lib.data.formats import read_records
from workflow.lib.runtime.errors import UserError

ENTRIES = [
    {"instruction": "Say \"hi\",\nthen go.", "input": "", "output": "hi, 지시 ✓", "kind": "talk"},
    {"instruction": "a;b\tc|d", "input": "two\r\nlines", "output": " \u2028x", "kind": ""},
    {"instruction": "plain", "input": "x", "output": "", "kind": "null"},
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_entries(tmp_path, suffix):
    path = write(tmp_path / f"data.{suffix}", ENTRIES)
    assert read_records(path).rows == ENTRIES


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_a_byte_order_mark_does_no_harm(tmp_path, suffix):
    path = write(tmp_path / f"data.{suffix}", ENTRIES)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_records(path).rows == ENTRIES


def test_lines_are_those_an_editor_shows(tmp_path):
    table = write(tmp_path / "data.csv", ENTRIES)
    assert read_records(table).lines == [2, 4, 6]  # two entries go over two lines each
    lines = tmp_path / "data.jsonl"
    lines.write_text('\n{"a": 1}\n\n{"a": 2}\r\n')
    assert read_records(lines).lines == [2, 4]
    assert read_records(write(tmp_path / "data.json", ENTRIES)).lines is None


LINES = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in ENTRIES)
LISTS = [json.dumps(ENTRIES), json.dumps(ENTRIES, indent=1)]
WRAPPED = [
    {"data": ENTRIES}, {"version": "1", "data": ENTRIES}, {"n": 3, "x": {"rows": ENTRIES}, "y": []},
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize("text", [LINES, LINES + "\n\n", LINES.replace("\n", "\r\n"), *LISTS])
def test_lists_and_lines_are_told_apart_by_their_content(tmp_path, suffix, text):
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(text.encode())
    read = read_records(path)
    assert read.rows == ENTRIES
    assert (read.lines is None) == (text in LISTS)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapped", WRAPPED, ids=[1, 2, 3])
def test_a_list_in_an_object_is_found(tmp_path, caplog, wrapped, indent):
    caplog.set_level(logging.INFO)
    path = tmp_path / "data.json"
    path.write_text(json.dumps(wrapped, indent=indent), "utf-8")
    assert read_records(path).rows == ENTRIES
    assert "the entries are those under" in caplog.text


def test_a_single_line_is_an_entry_unless_it_holds_a_list_of_them(tmp_path):
    path = tmp_path / "data.jsonl"
    for entry in ({"instruction": "a", "turns": [{"n": 1}]}, {"a": 1, "b": []}):
        path.write_text(json.dumps(entry), "utf-8")
        assert read_records(path).rows == [entry]
    path.write_text(json.dumps({"data": ENTRIES}), "utf-8")
    assert read_records(path).rows == ENTRIES


@pytest.mark.parametrize("mark", [";", "\t", "|", ","], ids=["semicolon", "tab", "bar", "comma"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n", "\ufeff"])
def test_the_header_says_what_separates_cells(tmp_path, mark, first):
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(ENTRIES[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(ENTRIES)
    path = tmp_path / "data.csv"
    path.write_bytes((first.format(mark) + stream.getvalue()).encode())
    read = read_records(path)
    assert read.rows == ENTRIES
    assert read.lines == [line + first.startswith("sep") for line in (2, 4, 6)]


@pytest.mark.parametrize("text", [
    "a,b,,\nx,y,,\n1,,,\n", "a,b\nx,y,,\n1,\n", "a,b,,\nx,y\n1,,,,,,\n", "\n,,\na,b\nx,y\n1,\n",
    "a,b,\nx,y,\n1,,\n,,\n,,\n",
])  # fmt: skip
def test_empty_cells_at_the_end_of_a_table_are_nothing(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_text(text, "utf-8")
    read = read_records(path)
    assert (read.rows, read.faults) == ([{"a": "x", "b": "y"}, {"a": "1", "b": ""}], {})


def test_text_in_a_column_without_a_name_is_not_lost_in_silence(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b,\nx,y,\n1,2,3\n", "utf-8")
    assert read_records(path).faults == {1: "has 3 cells, the header 2"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2))
def test_any_text_survives_csv(tmp_path_factory, texts):
    entry = {"instruction": texts[0], "output": texts[1]}
    path = write(tmp_path_factory.mktemp("csv") / "data.csv", [entry])
    assert read_records(path).rows == [entry]


def test_parquet_columns_of_other_types_become_what_json_holds(tmp_path):
    entry = {"instruction": "a", "day": datetime.date(2026, 11, 22), "share": float("nan"),
             "tags": ["x", None], "count": 3, "turns": {"n": 1}}  # fmt: skip
    path = write(tmp_path / "data.parquet", [entry])
    [read] = read_records(path).rows
    assert read == {**entry, "day": "2026-11-22", "share": None}
    json.dumps(read, allow_nan=False)


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_numbers_that_json_lacks_are_null(tmp_path, caplog, suffix):
    path = tmp_path / f"data.{suffix}"
    text = '{"a": NaN, "b": -Infinity, "c": 1e999, "d": {"e": [NaN, 1.5]}, "input": NaN}'
    path.write_text(f"[{text}]" if suffix == "json" else text)
    with caplog.at_level(logging.INFO):
        rows = read_records(path).rows
    assert rows == [{"a": None, "b": None, "c": None, "d": {"e": [None, 1.5]}, "input": None}]
    assert "'a' is NaN or Infinity in 1 entries" in caplog.text


def test_csv_rows_of_another_length_are_named(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("instruction,output\na,b\nc\nd,e,f\n")
    assert read_records(path).faults == {
        1: "has 1 cells, the header 2",
        2: "has 3 cells, the header 2",
    }


BYTES = [
    pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary(3), pyarrow.string(),
    pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    pyarrow.dictionary(pyarrow.int32(), pyarrow.binary()),
]  # fmt: skip


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_parquet_text_is_text_however_it_is_stored(tmp_path, kind):
    column = pyarrow.array(["지".encode(), b"yes", None], pyarrow.binary()).cast(
        kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    )
    if pyarrow.types.is_dictionary(kind):
        column = column.dictionary_encode()
    nested = pyarrow.array([{"a": [b"x", b"\xff"]}] * 3)
    pyarrow.parquet.write_table(
        pyarrow.table({"output": column, "more": nested}), tmp_path / "data.parquet"
    )
    rows = read_records(tmp_path / "data.parquet").rows
    assert [row["output"] for row in rows] == ["지", "yes", None]
    assert rows[0]["more"] == {"a": ["x", None]}


def test_parquet_maps_become_lists_and_a_column_stands_once(tmp_path):
    path = tmp_path / "data.parquet"
    pairs = pyarrow.array([[("k", b"v")]], pyarrow.map_(pyarrow.string(), pyarrow.binary()))
    pyarrow.parquet.write_table(pyarrow.table({"pairs": pairs}), path)
    assert read_records(path).rows == [{"pairs": [["k", "v"]]}]
    columns = [pyarrow.array(["a"]), pyarrow.array(["b"])]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, ["output", "output"]), path)
    with pytest.raises(UserError, match="the schema names 'output' more than once"):
        read_records(path)
