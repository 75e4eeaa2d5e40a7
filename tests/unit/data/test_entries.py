"""Entries are read strictly, and what is wrong with them is said plainly."""

import json

import pytest

from workflow.lib.data.entries import group_by_question, read_entries
from workflow.lib.runtime.errors import UserError


def entry(number, **changes):
    return {"instruction": f"Task {number}", "input": "", "output": f"Answer {number}"} | changes


def test_the_same_questions_are_grouped_by_their_answers():
    entries = [
        entry(0), entry(1), entry(1), entry(3, output="other"), entry(3), entry(5),
        entry(0, output="new"), entry(7),
        entry(5, instruction=" Task 5\n"), entry(3, input="differs"),
    ]  # fmt: skip
    assert group_by_question(dict(enumerate(entries))) == [
        [[0], [6]], [[1, 2]], [[3], [4]], [[5, 8]]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", r"data\.json: not JSON \(line 1, column 1"),
        (b'{"a": 1}', r"should be a JSON list of entries, not an object"),
        (b"[]", "holds no entries"),
        (b"[1]", "entry 0 should be an object, not a number"),
        (b'[{"instruction": "a", "input": ""}]', "entry 0 has no 'output'"),
        (
            b'[{"instruction": "a", "input": "", "output": "b"},'
            b' {"instruction": "a", "input": null, "output": "b"}]',
            "entry 1 has null as 'input', should be text",
        ),
        (b'[{"instruction": "a", "input": "", "output": 3}]', "entry 0 has a number as 'output'"),
        (b'[{"instruction": " ", "input": "", "output": ""}]', "entry 0 has an empty 'instr"),
        (
            '[{"instruction": "ä"}]'.encode("latin-1"),
            r"not UTF-8 \(line 1, byte 18\); delete it and run",
        ),
        (rb'[{"instruction": "half \ud83d", "input": "", "output": "b"}]', "half a surrogate pair"),
        (b"<!doctype html><html></html>", "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "data.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as raised:
        read_entries(path)
    assert "\n" not in str(raised.value)


def test_many_bad_entries_are_counted(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{}] * 7))
    with pytest.raises(UserError, match=r"entry 0 .*; entry 2 has no 'instruction' and 4 more"):
        read_entries(path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([entry(0)]), encoding="utf-8-sig")
    assert read_entries(path) == [entry(0)]
