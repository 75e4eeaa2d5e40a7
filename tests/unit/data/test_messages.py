"""Conversations become entries by their roles; all but single turns are refused by number."""

import json
import re

import pytest

from tests.support.entries import entries_of, write
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.sources import Dataset


def chat(number, system=None, **more):
    said = [
        {"role": "user", "content": f"q{number}"},
        {"role": "assistant", "content": f"a{number}"},
    ]
    if system is not None:
        said.insert(0, {"role": "system", "content": system})
    return {"messages": said, **more}


def sharegpt(number):
    said = [{"from": "human", "value": f"q{number}"}, {"from": "gpt", "value": f"a{number}"}]
    return {"id": f"x{number}", "conversations": said}


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("form", [chat, sharegpt])
def test_a_single_turn_is_an_entry(split, form, suffix):
    parts = split([form(n) for n in range(20)], suffix, format="messages")
    [last] = parts["val"]
    assert {name: last[name] for name in ("instruction", "input", "output")} == {
        "instruction": "q19", "input": "", "output": "a19",
    }  # fmt: skip
    assert last.keys() - {"instruction", "input", "output"} == (
        {"id"} if form is sharegpt else set()
    )


def test_after_a_system_message_the_question_is_the_input(split):
    rows = [chat(n, "Translate.", kind="word") for n in range(19)] + [chat(19, " ")]
    parts = split(rows, format="messages")
    entry = {"instruction": "Translate.", "input": "q0", "output": "a0", "kind": "word"}
    assert parts["train"][0] == entry
    assert parts["val"] == [{"instruction": "q19", "input": "", "output": "a19"}]


def test_parts_of_text_are_one_text_and_a_bare_list_is_a_conversation(split):
    rows = [chat(n)["messages"] for n in range(20)]
    rows[0][0]["content"] = [{"type": "text", "text": "one, "}, {"type": "text", "text": "two"}]
    assert split(rows, format="messages")["train"][0]["instruction"] == "one, two"


def say(*roles):
    return {"messages": [{"role": role, "content": role} for role in roles]}


BROKEN = [
    (say("user", "assistant", "user", "assistant"), "has 2 turns; only conversations of a single"),
    (say("system", *["user", "assistant"] * 3), "has 3 turns"),
    (say("user"), "has messages of user; should be of user, then of assistant"),
    (say("assistant", "user"), "has messages of assistant, user;"),
    (say("user", "assistant", "assistant"), "has messages of user, assistant, assistant"),
    (say("user", "tool", "assistant"), "has a message of the role 'tool'"),
    ({"messages": []}, "should have one list of messages"),
    ({"text": "no conversation"}, "should have one list of messages"),
    ({**chat(1), **sharegpt(1)}, "should have one list of messages"),
    ({"messages": [{"role": "user", "content": None}]}, "has null as 'content' of a message"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        "has a list as 'content' of a message, should be text",
    ),
    ("text", "should have one list of messages"),
]


@pytest.mark.parametrize(("row", "said"), BROKEN)
def test_what_is_no_single_turn_is_refused_with_its_number(split, row, said):
    rows = [chat(n) for n in range(20)]
    rows[7] = row
    with pytest.raises(UserError, match="broken: entry 7 ") as raised:
        split(rows, format="messages")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    dropped = split(rows, format="messages", checks={"broken": "drop"})
    assert dropped["origins"]["left_out"] == {"broken": [7]}


@pytest.mark.parametrize("form", [chat, sharegpt])
def test_conversations_without_the_format_name_the_key_to_set(split, form):
    with pytest.raises(
        UserError, match=r"holds conversations; set datasets.mine.format to messages"
    ):
        split([form(n) for n in range(20)])


def test_entries_read_as_messages_are_refused(split):
    with pytest.raises(UserError, match="entry 0 should have one list of messages"):
        split(entries_of(*range(20)), format="messages")


def test_the_line_of_a_broken_conversation_is_named(split, tmp_path):
    source = write(tmp_path / "mine.jsonl", [chat(0), say("user")])
    with pytest.raises(UserError, match=r"entry 1 \(line 2\) has messages of user"):
        split.files({"": source}, format="messages")


def test_messages_are_in_files_that_can_hold_them():
    for url, suffix in (("a.parquet", "parquet"), ("https://h.org/a?b", "json")):
        [kept] = Dataset(url=url, format="messages").raw("x").values()
        assert re.fullmatch(rf"resources/datasets/x-[0-9a-f]{{8}}\.{suffix}", kept)
    with pytest.raises(ValueError, match="is CSV, which holds no lists of messages"):
        Dataset(url="a.csv", format="messages")
    with pytest.raises(ValueError, match="only `kind` can be set with `format: messages`"):
        Dataset.model_validate({"url": "a.json", "format": "messages", "fields": {"input": None}})
    fields = {"kind": "topic"}
    assert Dataset.model_validate({"url": "a.json", "format": "messages", "fields": fields})


def test_a_list_of_messages_in_lines_named_json_is_read(split, tmp_path):
    path = tmp_path / "lines.json"
    path.write_text("\n".join(json.dumps(sharegpt(n)) for n in range(20)), "utf-8")
    assert len(split.files({"": path}, format="messages")["train"]) == 17
