"""The data set is split as in listing 7.3, by seed or as it comes; doubtful entries are settled."""

import json
import logging

import pytest

from tests.support.entries import DOUBTFUL, entries_of, entry, write
from workflow.lib.runtime.errors import UserError


def test_the_chapters_1100_entries_are_split_935_110_55_in_order(split):
    entries = entries_of(*range(1100))
    parts = split(entries)
    assert parts["train"] == entries[:935]
    assert parts["test"] == entries[935:1045]
    assert parts["val"] == entries[1045:]
    assert parts["origins"]["test"] == [*range(935, 1045)]


def test_entries_keep_all_their_keys_and_their_text(split, tmp_path):
    entries = [entry(n, kind="x", output="지시사항 ✓") for n in range(20)]
    assert split(entries)["train"] == entries[:17]
    assert "지시사항 ✓" in (tmp_path / "made/train.json").read_text("utf-8")


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_other_names_of_fields_and_no_input(split, suffix):
    rows = [{"question": f"q{n}", "kind": "k", "answer": f"a{n}", "output": "9"} for n in range(20)]
    fields = {"instruction": "question", "input": None, "output": "answer"}
    parts = split(rows, suffix, fields=fields)
    assert parts["val"] == [
        {"instruction": "q19", "input": "", "output": "a19", "kind": "k"}
    ]  # fmt: skip


def test_an_input_that_is_absent_or_null_is_empty(split):
    rows = [{"instruction": f"q{n}", "output": "a"} for n in range(20)]
    rows[0]["input"] = None
    rows[1]["input"] = "given"
    assert [e["input"] for e in split(rows)["train"][:3]] == ["", "given", ""]
    assert (
        split([{"instruction": f"q{n}", "output": "a"} for n in range(20)])["val"][0]["input"] == ""
    )


def test_a_seed_shuffles_before_splitting_and_the_order_is_written_down(split):
    entries = entries_of(*range(100))
    parts = split(entries, split={"shuffle": 1})
    order = [n for name in ("train", "test", "val") for n in parts["origins"][name]]
    assert sorted(order) == [*range(100)]
    assert order != sorted(order)
    assert [entries[n] for n in parts["origins"]["test"]] == parts["test"]
    assert split(entries, split={"shuffle": 1}) == parts
    assert split(entries, split={"shuffle": 2})["train"] != parts["train"]


def test_a_limit_takes_the_first_of_the_order(split):
    entries = entries_of(*range(100))
    assert split(entries, limit=20)["origins"]["val"] == [19]
    shuffled = split(entries, split={"shuffle": 1})["origins"]
    limited = split(entries, limit=20, split={"shuffle": 1})["origins"]
    assert limited["train"] == shuffled["train"][:17]
    assert len(split(entries, limit=1000)["train"]) == 85


def test_three_files_are_the_three_splits(split, tmp_path):
    sources = {
        "train": write(tmp_path / "a.jsonl", entries_of(0, 1, 2)),
        "val": write(tmp_path / "b.csv", entries_of(3)),
        "test": write(tmp_path / "c.parquet", entries_of(4, 5)),
    }
    parts = split.files(sources, limit=2)
    assert parts["train"] == entries_of(0, 1)
    assert parts["val"] == entries_of(3)
    assert parts["test"] == entries_of(4, 5)
    assert parts["origins"]["test"] == [4, 5]
    assert [file["lines"] for file in parts["origins"]["files"]] == [[1, 2, 3], [2], None]


@pytest.mark.parametrize(
    ("check", "named", "left_out"),
    [
        ("duplicates", "entry 1 (line 2) = entry 2 (line 3)", [2]),
        ("conflicting_answers", "entry 0 (line 1) = entry 17 (line 18); entry 3", [4, 17]),
        ("empty_output", "entry 5 (line 6)", [5]),
        ("end_of_text", "entry 6 (line 7)", [6]),
        ("leaks", "entry 0 (line 1) = entry 17 (line 18)", [0]),
    ],
)
def test_doubtful_entries_are_reported_dropped_or_refused(split, caplog, check, named, left_out):
    caplog.set_level(logging.INFO)
    words = check.replace("_", " ")
    reported = split(DOUBTFUL, "jsonl")
    assert f"{words}: " in caplog.text
    assert named in caplog.text
    assert reported["origins"]["left_out"] == {}
    dropped = split(DOUBTFUL, "jsonl", checks={check: "drop"})["origins"]
    assert dropped["left_out"] == {check: left_out}
    assert not set(left_out) & {n for name in ("train", "val", "test") for n in dropped[name]}
    with pytest.raises(UserError) as raised:
        split(DOUBTFUL, "jsonl", checks={check: "raise"})
    assert f"data.jsonl: {words}: {named}" in str(raised.value)
    assert f"set datasets.mine.checks.{check} to drop or report" in str(raised.value)


def test_a_leak_is_dropped_from_what_is_learned_not_from_what_is_measured(split):
    entries = entries_of(*range(40))  # 34 to train on, 4 to test, 2 to validate
    entries[35], entries[38] = entry(3), entry(3, output="other")
    parts = split(entries, checks={"leaks": "drop"})
    assert parts["test"] == [entry(34), entry(3), entry(36), entry(37)]
    assert entry(3) not in parts["train"]
    assert parts["origins"]["left_out"]["leaks"] == [3, 38]


def test_broken_entries_can_be_dropped(split):
    rows = [*entries_of(*range(20)), {"instruction": "x"}, 7, entry(1, output=None)]
    parts = split(rows, checks={"broken": "drop"})
    assert parts["origins"]["left_out"] == {"broken": [20, 21, 22]}
    assert sum(len(parts[name]) for name in ("train", "val", "test")) == 20


def test_a_limit_counts_what_is_left_after_dropping(split):
    entries = [*entries_of(0, 0, 0), *entries_of(*range(1, 40))]
    parts = split(entries, limit=20, checks={"duplicates": "drop"})
    assert sum(len(parts[name]) for name in ("train", "val", "test")) == 20


def test_bytes_that_are_no_text_break_a_text_and_leave_other_fields_empty(split):
    rows = [entry(n, picture=b"\x89PNG\xff") for n in range(20)]
    assert split(rows, "parquet")["val"] == [entry(19, picture=None)]
    rows = [{k: v.encode() if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    assert split(rows, "parquet")["val"] == [entry(19, picture=None)]
    rows[3]["input"] = b"caf\xe9"
    with pytest.raises(UserError, match="entry 3 has bytes that are not UTF-8 as 'input'"):
        split(rows, "parquet")
    parts = split(rows, "parquet", checks={"broken": "drop"})
    assert parts["origins"]["left_out"] == {"broken": [3]}


def test_what_is_written_is_json_for_any_reader(split, tmp_path):
    rows = [entry(n, rating=float("nan"), half="\ud83d", more=[float("inf")]) for n in range(20)]
    split(rows)
    for name in ("train", "val", "test"):
        text = (tmp_path / f"made/{name}.json").read_text("utf-8")
        found = json.loads(text, parse_constant=pytest.fail)
        assert found[0] | {"rating": None, "half": "?", "more": [None]} == found[0]
