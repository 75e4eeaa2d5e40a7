"""The Parquet tables hold what the CSV tables hold, typed."""

import csv

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.report_case import KOREAN, write_run, write_scores
from workflow.lib.report.parquet import FLOATING, WHOLE, write_parquet


@pytest.fixture
def tables(tmp_path):
    """A scores.csv with odd cells, and a summary.csv."""
    write_run(tmp_path / "run")
    rows = [
        {"entry": 0, "score": 85.5, "reply": f'{KOREAN}\n"quoted", =1+1', "exact_match": "TRUE"},
        {"entry": 1, "score": "", "status": "failed", "model": "2024"},
    ]
    scores = write_scores(tmp_path / "scores.csv", rows)
    return {"scores": scores, "summary": tmp_path / "run" / "summary.csv"}


@pytest.mark.parametrize("name", ["scores", "summary"])
def test_every_cell_comes_back_with_its_type(tables, tmp_path, name):
    write_parquet(tables[name], tmp_path / "table.parquet")
    found = parquet.read_table(tmp_path / "table.parquet")
    with tables[name].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert found.column_names == list(rows[0])
    assert found.num_rows == len(rows)
    for column in found.schema:
        cells, values = [row[column.name] for row in rows], found[column.name].to_pylist()
        if column.name in WHOLE | FLOATING:
            assert column.type == (pa.int64() if column.name in WHOLE else pa.float64())
            truth = {"TRUE": 1}
            assert values == [truth.get(c) or float(c) if c else None for c in cells]
        else:
            assert (column.type, values) == (pa.string(), cells)


def test_the_same_table_gives_the_same_bytes(tables, tmp_path):
    for name in ("a", "b"):
        write_parquet(tables["scores"], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_each_number_of_a_summary_has_a_number_as_its_type(tables):
    """A column that another name would hide among the strings."""
    with tables["summary"].open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    measured = columns[columns.index("entries") : columns.index("device")]
    assert {*measured} <= WHOLE | FLOATING
    assert not (WHOLE | FLOATING) & {*columns} - {*measured}
