"""Fields are found under names that look the same, and never lost in silence."""

import json
import logging
import unicodedata

import pytest

from tests.support.entries import entry, write
from workflow.lib.runtime.errors import UserError

SAME = ["Input", " input", "INPUT ", "in put", "input\u200b", "\ufeffinput", "ｉｎｐｕｔ"]


@pytest.mark.parametrize("name", SAME, ids=ascii)
@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_a_name_that_looks_the_same_is_taken(split, caplog, suffix, name):
    rows = [{"instruction": f"q{n}", name: f"i{n}", "output": "a"} for n in range(20)]
    if suffix == "csv" and name.startswith("\ufeff"):
        rows = [{"output": "a", **row} for row in rows]  # else it would be the file's own mark
    with caplog.at_level(logging.INFO):
        parts = split(rows, suffix)
    assert parts["val"] == [{"instruction": "q19", "input": "i19", "output": "a"}]
    assert f"field {name!a} is taken for 'input'" in caplog.text


def test_unicode_forms_of_a_given_name_are_the_same(split):
    given = "지시 Été"
    rows = [
        {unicodedata.normalize(form, given): f"q{n}", "output": "a"}
        for n, form in zip(range(20), ["NFC", "NFD"] * 10, strict=True)
    ]
    parts = split(rows, fields={"instruction": given})
    assert [e["instruction"] for e in parts["train"]] == [f"q{n}" for n in range(17)]


def test_entries_may_differ_in_their_names(split):
    rows = [{"instruction": "q", "input": "a", "output": "x"}, {"instruction": "q", "Input": "b",
            "output": "x"}] * 10  # fmt: skip
    assert [e["input"] for e in split(rows)["train"][:4]] == ["a", "b", "a", "b"]


def test_the_exact_name_counts_beside_another(split):
    rows = [entry(n, input="yes", Input="other") for n in range(20)]
    assert split(rows)["val"] == [entry(19, input="yes", Input="other")]
    rows = [{"Output": "1", "OUTPUT": "2", **entry(n)} for n in range(20)]
    assert split(rows, fields={"output": "OUTPUT"})["val"][0] == {
        "Output": "1", "output": "2", "instruction": "Task 19", "input": ""
    }  # fmt: skip


def test_a_name_that_differs_in_letters_is_no_match(split):
    with pytest.raises(UserError, match="no entry has 'output'; there are: 'instruction', 'out"):
        split([{"instruction": "q", "out_put": "a"}] * 20)


def test_names_are_quoted_and_counted(split):
    rows = [{f"column {n}": "x" for n in range(15)}] * 20
    with pytest.raises(UserError, match=r"'column 0', .* and 3 more; set datasets"):
        split(rows)


def test_a_files_own_mark_is_no_part_of_a_name(split, tmp_path):
    path = write(tmp_path / "marked.csv", [entry(n) for n in range(20)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert split.files({"": path})["val"] == [json.loads(json.dumps(entry(19)))]


def test_the_kind_may_be_in_a_field_of_another_name(split):
    rows = [entry(n, topic=f"t{n}", kind="other") for n in range(20)]
    assert split(rows)["val"] == [entry(19, topic="t19", kind="other")]
    assert split(rows, fields={"kind": "topic"})["val"] == [entry(19, kind="t19")]
    assert split(rows, fields={"kind": None})["val"] == [entry(19, topic="t19")]
    assert split([entry(n, Kind="k") for n in range(20)])["val"] == [entry(19, kind="k")]


def test_a_kind_that_is_named_must_be_there(split):
    with pytest.raises(UserError, match=r"no entry has 'topic'; .*datasets\.mine\.fields\.kind"):
        split([entry(n) for n in range(20)], fields={"kind": "topic"})


def test_a_text_may_be_in_a_field_of_the_name_kind(split):
    rows = [{"instruction": f"q{n}", "kind": f"a{n}"} for n in range(20)]
    expected = [{"instruction": "q19", "output": "a19", "input": ""}]
    assert split(rows, fields={"output": "kind"})["val"] == expected
