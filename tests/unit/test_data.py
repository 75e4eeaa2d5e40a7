"""The data set is split as in listing 7.3, and what is wrong with it is said plainly."""

import json

import pytest

from workflow.lib.data import find_doubtful, read_entries, split_dataset
from workflow.lib.errors import UserError
from workflow.lib.settings.sources import Split


def entry(number, **changes):
    return {"instruction": f"Task {number}", "input": "", "output": f"Answer {number}"} | changes


def split(tmp_path, entries, portions):
    source = tmp_path / "data.json"
    source.write_text(json.dumps(entries), "utf-8")
    files = {name: tmp_path / f"{name}.json" for name in ("train", "val", "test", "quality")}
    split_dataset(source, portions, **files)
    return {name: json.loads(path.read_text("utf-8")) for name, path in files.items()}


def test_the_chapters_1100_entries_are_split_935_110_55_in_order(tmp_path):
    entries = [entry(n) for n in range(1100)]
    parts = split(tmp_path, entries, Split())
    assert parts["train"] == entries[:935]
    assert parts["test"] == entries[935:1045]
    assert parts["val"] == entries[1045:]
    assert parts["quality"]["entries"] == {"train": 935, "test": 110, "val": 55}


def test_entries_keep_all_their_keys_and_their_text(tmp_path):
    entries = [entry(n, kind="x", output="지시사항 ✓") for n in range(20)]
    assert split(tmp_path, entries, Split())["train"] == entries[:17]
    assert "지시사항 ✓" in (tmp_path / "train.json").read_text("utf-8")


def test_portions_that_leave_a_split_empty_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"9 entries split 0\.85 / 0\.1 leave nothing to test"):
        split(tmp_path, [entry(n) for n in range(9)], Split())
    assert not (tmp_path / "train.json").exists()


def test_doubtful_entries_are_found_by_number():
    entries = [
        entry(0), entry(1), entry(1), entry(3, output="other"), entry(3), entry(5),
        entry(0, output="new"), entry(7),
        entry(5),
    ]  # fmt: skip
    assert find_doubtful(entries, first_test=6, first_val=8) == {
        "duplicates": [[1, 2], [5, 8]],
        "conflicting_answers": [[0, 6], [3, 4]],
        "test_also_in_train": [[0, 6]],
    }


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
        ('[{"instruction": "ä"}]'.encode("latin-1"), r"not UTF-8 \(byte 18\); save the file as"),
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
