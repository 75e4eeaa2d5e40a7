"""What cannot be read is asked once more in the same conversation, for the number alone."""

import json
from pathlib import Path

import pytest

from tests.support.judge_servers import (
    ENTRIES,
    FAST,
    Reply,
    judge_entries,
    judge_on,
    ollama_server,
    openai_server,
    running,
)
from workflow.lib.settings.judges import Transport

TRANSPORT = Transport(**FAST)
ONCE_MORE = "Respond with the score alone, an integer number from 0 to 100."


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_the_number_alone_is_asked_for_once_and_kept(kind: str, tmp_path: Path, log_lines) -> None:
    with running(ollama_server() if kind == "ollama" else openai_server()) as server:
        server.behave = lambda number, body: Reply(
            "70" if len(body["messages"]) == 3 else "It is good." if number == 0 else "85"
        )
        judge = judge_on(server, kind, TRANSPORT)
        rows = judge_entries(tmp_path, judge)
        table = (tmp_path / "scores.csv").read_bytes()
        assert [(r["score"], r["reply"], r["asked_again"]) for r in rows] == [
            ("70", "70", "1"),
            *[("85", "85", "0")] * 3,
        ]
        [first] = [q for q in server.questions if len(q["messages"]) == 3]
        assert first["messages"][1:] == [
            {"role": "assistant", "content": "It is good."},
            {"role": "user", "content": ONCE_MORE},
        ]
        assert "1 replies without a readable score asked again" in log_lines.text
        kept = (tmp_path / "answers.jsonl").read_text().splitlines()
        assert len({json.loads(line)["key"] for line in kept}) == len(kept) == 5
        assert json.loads((tmp_path / "usage.json").read_text())["answers"] == 5
        judge_entries(tmp_path, judge)
        assert len(server.questions) == 5
        assert (tmp_path / "scores.csv").read_bytes() == table


def test_what_stays_unread_is_not_asked_a_third_time(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        server.behave = lambda number, body: Reply("It is good.")
        for _ in range(2):
            rows = judge_entries(tmp_path, judge_on(server, "ollama", TRANSPORT, max_unparsed=1))
            assert {(r["status"], r["reply"], r["asked_again"]) for r in rows} == {
                ("unparsed", "It is good.", "1")
            }
        assert len(server.questions) == 2 * len(ENTRIES)


def test_it_can_be_turned_off_and_a_reply_cut_off_is_not_asked_again(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        server.behave = lambda number, body: Reply("It is good.")
        judge = judge_on(server, "ollama", TRANSPORT, max_unparsed=1, ask_again=0)
        assert {r["asked_again"] for r in judge_entries(tmp_path, judge)} == {"0"}
        assert len(server.questions) == len(ENTRIES)
    (tmp_path / "answers.jsonl").unlink()
    with running(ollama_server()) as server:
        server.behave = lambda number, body: Reply("It is", done_reason="length")
        judge_entries(tmp_path, judge_on(server, "ollama", TRANSPORT, max_unparsed=1))
        assert len(server.questions) == len(ENTRIES)
