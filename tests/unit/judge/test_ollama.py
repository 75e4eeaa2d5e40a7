"""Judging by an Ollama server, through its own client and real sockets."""

import json
import os
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.support.judge_servers import (
    ENTRIES,
    FAST,
    LLAMA3_DIGEST,
    NAMES,
    JudgeServer,
    Reply,
    in_turn,
    judge_entries,
    ollama_server,
    openai_server,
    running,
)
from tests.support.paths import ROOT
from workflow.lib.judge import backend as backend_module
from workflow.lib.judge import runner
from workflow.lib.judge.backends.ollama import Ollama
from workflow.lib.judge.preflight import check_judge
from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import Transport


@pytest.fixture
def server():
    with running(ollama_server()) as server:
        yield server


def ollama(server: JudgeServer, transport: dict[str, Any] | None = None, **settings: Any) -> Ollama:
    return Ollama(
        backend="ollama",
        **{"model": "llama3", "url": server.address, **settings},
        transport=Transport(**{**FAST, **(transport or {})}),
    )


def scores(rows: list[dict]) -> list[str]:
    return [row["score"] for row in rows]


# What is asked, and what comes of it


def test_the_chapters_question_is_what_the_server_gets(server, tmp_path: Path) -> None:
    judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    assert server.questions == [
        {
            "model": "llama3",
            "messages": [
                {"role": "user", "content": load_judge_prompt("integer").question(ENTRIES[0])}
            ],
            "options": {"seed": 123, "temperature": 0, "num_ctx": 2048, "num_predict": 1024},
            "stream": True,
            "truncate": False,
        }
    ]


def test_a_row_an_entry_with_all_its_columns(server, tmp_path: Path, log_lines) -> None:
    server.behave = lambda number, body: Reply(("20", "90", "hm, 5?")[number])
    entries = [
        {"instruction": "A?", "input": "", "output": "b, c.", "model_response": " b, c."},
        {"instruction": "A?", "input": "", "output": "b", "model_response": "d"},
        {"instruction": "A?", "input": "", "output": "b", "model_response": " \n"},
        {"instruction": "A?", "input": "", "output": "b", "model_response": "e"},
    ]
    rows = judge_entries(tmp_path, ollama(server, max_unparsed=0.5, ask_again=0), entries)
    assert list(rows[0]) == [
        "model",
        "recipe",
        "judge",
        "entry",
        "repeat",
        "score",
        "status",
        "exact_match",
        "response_tokens",
        "reply",
        "prompt_sha256",
        "response_sha256",
        "asked_again",
    ]
    chosen = ["entry", "score", "status", "exact_match", "response_tokens", "reply"]
    assert [[row[column] for column in chosen] for row in rows] == [
        ["0", "20", "scored", "1", "4", "20"],
        ["1", "90", "scored", "0", "1", "90"],
        ["2", "0", "empty", "0", "0", ""],
        ["3", "", "unparsed", "0", "1", "hm, 5?"],
    ]
    assert len(server.questions) == 3  # the empty response was not asked about
    assert {(row["model"], row["recipe"], row["judge"]) for row in rows} == {tuple(NAMES.values())}
    assert len({row["prompt_sha256"] for row in rows}) == 4
    assert "Number of scores: 3 of 4" in log_lines.messages
    assert "Average score: 36.67" in log_lines.messages
    assert "1 empty responses, scored 0" in log_lines.messages
    assert "1 replies without a readable score, left out" in log_lines.messages


def test_what_the_judging_took_is_counted(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply("85", prompt_tokens=40)
    judge_entries(tmp_path, ollama(server))
    usage = json.loads((tmp_path / "usage.json").read_text())
    assert usage.pop("seconds") > 0
    assert usage == {
        "backend": "ollama",
        "digests": [LLAMA3_DIGEST],
        "servers": ["0.6.5"],
        "answers": 4,
        "question_tokens": 160,
        "answer_tokens": 8,
        "cost": None,
    }


def test_a_second_run_asks_nothing_and_makes_the_same_bytes(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(str(10 * number))
    judge_entries(tmp_path, ollama(server))
    before = [(tmp_path / name).read_bytes() for name in ("scores.csv", "usage.json")]
    server.behave = lambda number, body: Reply("99")
    judge_entries(tmp_path, ollama(server, {"concurrency": 3, "timeout": 77.0, "retries": 1}))
    assert [(tmp_path / name).read_bytes() for name in ("scores.csv", "usage.json")] == before
    assert len(server.questions) == 4


def test_only_new_responses_are_asked_about(server, tmp_path: Path) -> None:
    judge_entries(tmp_path, ollama(server), ENTRIES[:3])
    changed = [*ENTRIES[:1], {**ENTRIES[1], "model_response": "two"}, *ENTRIES[2:]]
    judge_entries(tmp_path, ollama(server), changed)
    assert len(server.questions) == 3 + 2


def test_the_same_question_twice_is_asked_once(server, tmp_path: Path) -> None:
    assert scores(judge_entries(tmp_path, ollama(server), [ENTRIES[0], ENTRIES[0]])) == ["85", "85"]
    assert len(server.questions) == 1


def test_repeats_ask_with_the_next_seeds(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(str(body["options"]["seed"] - 100))
    rows = judge_entries(tmp_path, ollama(server, repeats=3), ENTRIES[:2])
    assert [(row["entry"], row["repeat"], row["score"]) for row in rows] == [
        (entry, repeat, str(23 + int(repeat))) for entry in "01" for repeat in "012"
    ]
    judge_entries(tmp_path, ollama(server, repeats=4), ENTRIES[:2])
    assert len(server.questions) == 6 + 2


def test_replies_of_another_model_under_the_same_name_are_not_taken(server, tmp_path) -> None:
    judge_entries(tmp_path, ollama(server))
    line, *rest = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert LLAMA3_DIGEST in line
    assert len(rest) == 3
    server.digest = "0" * 64
    judge_entries(tmp_path, ollama(server))
    assert len(server.questions) == 8


# Streams


def test_digits_split_across_pieces_are_joined(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(pieces=("", "1", "0", "0", ""))
    assert scores(judge_entries(tmp_path, ollama(server))) == ["100"] * 4


def test_letters_split_across_packets_are_joined(server, tmp_path: Path) -> None:
    reply = "점수: 85점 — “좋아요”"
    server.behave = lambda number, body: Reply(reply)
    rows = judge_entries(tmp_path, ollama(server))
    assert {(row["score"], row["reply"]) for row in rows} == {("85", reply)}


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Reply("8", late_error="model runner has unexpectedly stopped"), "unexpectedly stopped"),
        (Reply("85", drop_after=100), "dropped"),
        (Reply("85", drop_after=0), "dropped"),
        (Reply("8", no_end=True), "in the middle of a reply"),
        (Reply(status=503, error="server busy, please try again"), "HTTP 503: server busy"),
        (Reply(status=429, error="slow down"), "HTTP 429: slow down"),
        (Reply(status=500, error="out of memory"), "HTTP 500"),
        (Reply(status=408), "HTTP 408: no reason given"),
    ],
)
def test_failures_that_pass_are_asked_again_and_never_count_as_replies(
    server, tmp_path: Path, flaw: Reply, reason: str
) -> None:
    server.behave = in_turn(flaw, flaw)
    assert scores(judge_entries(tmp_path, ollama(server, {"retries": 2}), ENTRIES[:1])) == ["85"]
    assert len(server.questions) == 3
    server.behave = lambda number, body: flaw
    with pytest.raises(UserError, match=reason):
        judge_entries(tmp_path, ollama(server, {"retries": 1}), ENTRIES[1:2])
    assert len(server.questions) == 3 + 2
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Reply(prompt_tokens=2048), "does not fit into 2048 tokens; raise options.num_ctx"),
        (Reply("", thinking="Hm, 85?"), "thought but gave no answer"),
        (Reply(status=400, error="bad option"), "HTTP 400: bad option"),
    ],
)
def test_failures_that_stay_are_not_asked_again(
    server, tmp_path: Path, flaw: Reply, reason: str
) -> None:
    server.behave = in_turn(flaw)
    with pytest.raises(UserError, match=reason):
        judge_entries(tmp_path, ollama(server))
    assert len(server.questions) == 4  # the other entries were judged and are kept
    judge_entries(tmp_path, ollama(server))
    assert len(server.questions) == 5


LONG = {**ENTRIES[0], "model_response": "a wordy answer " * 700}  # about 2,100 tokens


@pytest.mark.parametrize(
    "read",
    [2048, 2047, 1037, 900],
    ids=["up to 0.29", "0.30.10", "from 0.30.11", "of another model"],
)
def test_a_question_that_the_server_cut_is_not_scored(server, tmp_path: Path, read: int) -> None:
    server.behave = in_turn(Reply(), Reply(prompt_tokens=read))
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, ollama(server), [ENTRIES[1], LONG])
    assert (
        "entry 1: 1 x the question does not fit into 2048 tokens; raise options.num_ctx, up to "
        f"the model's context length (the server read {read} tokens of it)"
    ) in str(refusal.value)
    server.behave = lambda number, body: Reply(prompt_tokens=read)
    judge_entries(tmp_path, ollama(server, options={"num_ctx": 8192}), [LONG])


@pytest.mark.parametrize(
    "error",
    [
        "the input exceeds the context length",
        '{"error": {"code": 400, "message": "request (2138 tokens) exceeds the available context '
        'size (2048 tokens), try increasing it", "type": "exceed_context_size_error"}}',
    ],
)
def test_a_server_that_refuses_a_long_question_names_the_setting(server, tmp_path, error) -> None:
    server.behave = in_turn(Reply(), Reply(status=400, error=error))
    with pytest.raises(UserError, match=r"entry 1: 1 x .* does not fit .*raise options\.num_ctx"):
        judge_entries(tmp_path, ollama(server), [ENTRIES[1], LONG])
    assert len(server.questions) == 2


def test_too_few_tokens_for_a_question_are_warned_of(server, tmp_path, log_lines) -> None:
    """As where a wrong chat template drops the message."""
    server.behave = in_turn(Reply(prompt_tokens=300), Reply(prompt_tokens=11))
    swallowed = {**ENTRIES[0], "model_response": "a wordy answer " * 200}
    judge_entries(tmp_path, ollama(server), [ENTRIES[1], swallowed])
    warning = (
        "mine: the server read far too few tokens of 1 questions for their length, the first "
        "about entry 1 (11 tokens)"
    )
    assert [line.startswith(warning) for line in log_lines.messages].count(True) == 1


def test_a_context_beyond_the_models_own_is_not_believed(server, tmp_path: Path) -> None:
    server.behave = in_turn(Reply(prompt_tokens=8192))
    with pytest.raises(UserError, match="does not fit into 8192 tokens"):
        judge_entries(tmp_path, ollama(server, options={"num_ctx": 100_000}))


def test_thoughts_beside_a_reply_are_not_read(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply("85", thinking="Score: 10")
    assert scores(judge_entries(tmp_path, ollama(server))) == ["85"] * 4


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_reply_is_a_failure_and_never_kept(server, tmp_path: Path, text: str) -> None:
    server.behave = in_turn(Reply(text), Reply(text))
    rows = judge_entries(tmp_path, ollama(server, {"retries": 2}), ENTRIES[:1])
    assert scores(rows) == ["85"]
    assert len(server.questions) == 3
    answers = tmp_path / "answers.jsonl"
    assert len(answers.read_text().splitlines()) == 1
    # Earlier versions kept them.
    answers.write_text(answers.read_text().replace('"reply": "85"', '"reply": ""'))
    assert scores(judge_entries(tmp_path, ollama(server), ENTRIES[:1])) == ["85"]
    assert len(server.questions) == 4
    server.behave = lambda number, body: Reply(text)
    with pytest.raises(UserError, match="entry 0: 1 x an empty reply"):
        judge_entries(tmp_path, ollama(server, {"retries": 1}), ENTRIES[1:2])


def test_replies_that_were_cut_off_stay_unread_and_are_not_asked_again(server, tmp_path) -> None:
    """Six in a row, one of them cut within its number, do not stop the others."""
    entries = [{**ENTRIES[0], "model_response": str(n)} for n in range(12)]
    cut = Reply("8", done_reason="length")
    server.behave = in_turn(*[cut] * 5, Reply("", thinking="Hm", done_reason="length"))
    for _ in range(2):
        with pytest.raises(UserError, match=r"6 were cut off; raise options\.num_predict"):
            judge_entries(tmp_path, ollama(server), entries)
        assert len(server.questions) == 12
    rows = judge_entries(tmp_path, ollama(server, max_unparsed=0.5), entries)
    assert [row["status"] for row in rows] == ["unparsed"] * 6 + ["scored"] * 6
    assert len(server.questions) == 12
    judge_entries(tmp_path, ollama(server, options={"num_predict": 2000}), entries)
    assert len(server.questions) == 24


def test_a_question_that_timed_out_is_repeated_only_if_its_reply_may_differ(server, tmp_path):
    server.behave = lambda number, body: Reply(delay=0.8)
    transport = {"first_timeout": 0.3, "retries": 1}
    with pytest.raises(UserError, match=r"no reply within 0\.3 s"):
        judge_entries(tmp_path, ollama(server, transport), ENTRIES[:1])
    assert len(server.questions) == 1
    with pytest.raises(UserError, match=r"no reply within 0\.3 s"):
        judge_entries(tmp_path, ollama(server, transport, options={"temperature": 1}), ENTRIES[:1])
    assert len(server.questions) == 3


def test_null_leaves_an_option_out(server, tmp_path: Path) -> None:
    error = "Unsupported value: 'temperature' does not support 0."
    server.behave = lambda number, body: (
        Reply(status=400, error=error) if "temperature" in body["options"] else Reply()
    )
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    said = str(refusal.value)
    assert "temperature is a default of this backend; to leave it out, set options: " in said
    written = json.loads(said.partition("set options: ")[2].partition("}")[0] + "}")
    assert written == {"seed": 123, "temperature": None, "num_ctx": 2048}
    judge_entries(tmp_path, ollama(server, options={"temperature": None}), ENTRIES[:1])
    sent = server.questions[-1]["options"]
    assert sent == {"seed": 123, "num_ctx": 2048, "num_predict": 1024}


def test_questions_that_time_out_come_last_and_stop_nobody(server, tmp_path, monkeypatch) -> None:
    entries = [{**ENTRIES[0], "model_response": f"No. {n}."} for n in range(12)]
    slow = {f"`No. {n}.`" for n in range(7)}

    def behave(number: int, body: dict[str, Any]) -> Reply:
        content = body["messages"][0]["content"]
        return Reply(delay=0.8) if any(text in content for text in slow) else Reply()

    server.behave = behave
    judge = ollama(server, {"first_timeout": 0.2, "timeout": 0.2, "retries": 3})
    with pytest.raises(UserError, match=r"7 of 12 entries .* 7 x no reply within 0\.2 s"):
        judge_entries(tmp_path, judge, entries)
    assert len(server.questions) == 12
    server.questions.clear()
    slow -= {"`No. 3.`"}
    added = [{**ENTRIES[0], "model_response": "New."}]
    monkeypatch.setattr(runner, "MOST_TIMEOUTS", 2)
    for run, asked in enumerate([["New.", 0, 1], [2, 3, 4, 5], [6, 0]]):
        with pytest.raises(UserError, match="no reply within"):
            judge_entries(tmp_path, judge, entries + added)
        texts = [body["messages"][0]["content"] for body in server.questions]
        assert len(texts) == len(asked), run
        for text, wanted in zip(texts, asked, strict=True):
            assert f"`{wanted if isinstance(wanted, str) else f'No. {wanted}.'}`" in text
        server.questions.clear()
    slow.clear()
    rows = judge_entries(tmp_path, judge, entries + added)
    assert scores(rows) == ["85"] * 13


def test_a_gateway_that_times_out_late_is_not_asked_the_same_again(
    server, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(backend_module, "_LONG", 0.3)
    server.behave = lambda number, body: Reply(status=504, delay=0.4)
    with pytest.raises(UserError, match="HTTP 504"):
        judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    assert len(server.questions) == 1
    server.behave = in_turn(Reply(), Reply(status=504))
    judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    assert len(server.questions) == 3


def test_a_question_about_two_entries_is_named_after_the_first(server, tmp_path, log_lines) -> None:
    server.behave = lambda number, body: Reply(status=400, error="no")
    with pytest.raises(UserError, match="entry 0 and others: 2 x HTTP 400"):
        judge_entries(tmp_path, ollama(server), [ENTRIES[0], ENTRIES[1], ENTRIES[0]])
    assert "mine: entry 0 has no reply: HTTP 400: no" in log_lines.messages
    assert "mine: entry 2" not in log_lines.text


# Patience


def test_retry_after_is_honored_in_seconds(server, tmp_path: Path) -> None:
    server.behave = in_turn(Reply(status=429, headers={"Retry-After": "0.4"}))
    started = time.monotonic()
    judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    assert time.monotonic() - started > 0.4


def test_retry_after_is_honored_as_a_date(server, tmp_path: Path) -> None:
    date = formatdate(time.time() + 2, usegmt=True)
    server.behave = in_turn(Reply(status=503, headers={"Retry-After": date}))
    started = time.monotonic()
    judge_entries(tmp_path, ollama(server), ENTRIES[:1])
    assert time.monotonic() - started > 0.9


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(UserError, match="asks to retry in 3600 s"):
        judge_entries(tmp_path, ollama(server))
    assert len(server.questions) == 1


def test_the_first_reply_may_take_longer(server, tmp_path: Path) -> None:
    server.behave = in_turn(Reply(delay=1.2))
    judge_entries(tmp_path, ollama(server, {"timeout": 0.8, "retries": 0}), ENTRIES[:2])
    server.behave = lambda number, body: Reply(delay=1.2)
    slow = ollama(server, {"timeout": 0.8, "retries": 0}, options={"seed": 1})
    with pytest.raises(UserError, match=r"1 got no reply .* no reply within 0\.8 s"):
        judge_entries(tmp_path, slow, ENTRIES[:2])


def test_a_trickle_of_words_does_not_go_on_for_ever(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply("word " * 20, pause=0.1)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"no complete reply within 0\.3 s"):
        judge_entries(tmp_path, ollama(server, {"first_timeout": 0.3, "retries": 0}), ENTRIES[:1])
    assert time.monotonic() - started < 5  # the whole of it takes 10


def test_as_many_questions_at_a_time_as_set(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(str(body["options"]["seed"] - 100), delay=0.05)
    rows = judge_entries(tmp_path, ollama(server, {"concurrency": 4}, repeats=5))
    assert server.most_at_once == 4
    assert scores(rows) == [str(23 + n) for n in range(5)] * 4  # in order, whoever came first


def test_a_server_that_fails_five_times_running_is_left_alone(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(status=503) if number >= 2 else Reply()
    entries = [{**ENTRIES[0], "model_response": str(n)} for n in range(20)]
    with pytest.raises(
        UserError,
        match=r"18 of 20 entries .* 5 x HTTP 503: no reason given, 13 x not sent",
    ):
        judge_entries(tmp_path, ollama(server, {"retries": 0}), entries)
    assert len(server.questions) == 7


def test_failures_between_replies_leave_no_other_question_unasked(server, tmp_path) -> None:
    server.behave = lambda number, body: Reply() if number % 4 == 3 else Reply(status=503)
    entries = [{**ENTRIES[0], "model_response": str(n)} for n in range(16)]
    with pytest.raises(UserError, match=r"12 x HTTP 503: no reason given; run again"):
        judge_entries(tmp_path, ollama(server, {"retries": 0}), entries)
    assert len(server.questions) == 16


def test_a_model_removed_meanwhile_is_not_asked_for_again_and_again(server, tmp_path) -> None:
    server.behave = lambda number, body: server.models.clear() or Reply()
    with pytest.raises(UserError, match=r"1 x HTTP 404: model 'llama3' not found, 2 x not sent"):
        judge_entries(tmp_path, ollama(server))
    assert [path for path, _ in server.requests].count("/api/chat") == 2


def test_failures_that_are_allowed_are_rows_without_a_score(server, tmp_path, log_lines) -> None:
    server.behave = in_turn(Reply(), Reply(status=503))
    rows = judge_entries(tmp_path, ollama(server, {"retries": 0}, max_failed=1))
    assert [row["status"] for row in rows] == ["scored", "failed", "scored", "scored"]
    assert scores(rows) == ["85", "", "85", "85"]
    assert "Number of scores: 3 of 4" in log_lines.messages
    assert "1 requests without a reply, left out" in log_lines.messages


def test_too_many_unreadable_replies_fail_but_are_kept(server, tmp_path: Path) -> None:
    server.behave = in_turn(Reply("I will not say."))
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, ollama(server, ask_again=0))
    assert str(refusal.value) == (
        "judge mine: 1 of 4 entries have no score: 1 replies hold no readable score "
        "(max_unparsed 0.1), the first, about entry 0: 'I will not say.'; change the prompt, or "
        f"allow more; all replies are kept in {tmp_path}/answers.jsonl"
    )
    judge_entries(tmp_path, ollama(server, ask_again=0, max_unparsed=0.25))
    assert len(server.questions) == 4


# Structured replies


def test_the_rubric_is_asked_for_and_read_as_json(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply('{"reason": "Close. Score: 1", "score": 4}')
    assert scores(judge_entries(tmp_path, ollama(server, prompt="rubric"))) == ["75"] * 4
    assert server.questions[0]["format"] == load_judge_prompt("rubric").format


def test_a_server_without_json_schemas_is_asked_without(server, tmp_path: Path) -> None:
    error = "json: cannot unmarshal object into Go struct field ChatRequest.format of type string"
    server.behave = lambda number, body: (
        Reply(status=400, error=error) if "format" in body else Reply("Score: 4")
    )
    assert scores(judge_entries(tmp_path, ollama(server, prompt="rubric"))) == ["75"] * 4
    assert ["format" in body for body in server.questions] == [True] + [False] * 4


# Preflight


def test_a_server_without_tls_at_an_https_address_is_named(server, tmp_path: Path) -> None:
    address = server.address.replace("http:", "https:")
    with pytest.raises(UserError, match=rf"{address} does not speak TLS; .* begin with http://"):
        check(tmp_path, ollama(server, url=address))


def check(tmp_path: Path, settings: Ollama) -> dict[str, Any]:
    check_judge(settings, "llama3", tmp_path / "check.json")
    return json.loads((tmp_path / "check.json").read_text())


@pytest.mark.parametrize("model", ["llama3", "llama3:latest"])
def test_a_ready_judge_is_recorded(server, tmp_path: Path, model: str) -> None:
    assert check(tmp_path, ollama(server, model=model)) == {
        "judge": "llama3",
        "backend": "ollama",
        "url": server.address,
        "server_version": "0.6.5",
        "model": "llama3:latest",
        "digest": LLAMA3_DIGEST,
        "parameters": "8.0B",
        "quantization": "Q4_0",
        "known": {
            "right": {"reply": '{"score": 100}', "score": 100, "cut": False},
            "wrong": {"reply": '{"score": 0}', "score": 0, "cut": False},
        },
    }
    assert not server.questions
    assert len(server.known_questions) == 2


def test_without_a_server_the_command_to_start_it_is_said(tmp_path: Path) -> None:
    with running(ollama_server()) as gone:
        pass
    with pytest.raises(UserError) as refusal:
        check(tmp_path, ollama(gone))
    assert str(refusal.value) == (
        f"judge llama3: no Ollama server answers at {gone.address} ({gone.address} cannot be "
        "reached); start it with `ollama serve`"
    )
    assert not (tmp_path / "check.json").exists()


def test_without_the_model_the_command_to_get_it_is_said(server, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        check(tmp_path, ollama(server, model="llama3:70b"))
    assert str(refusal.value) == (
        f"judge llama3: the server at {server.address} has no model 'llama3:70b'; get it with "
        "`ollama pull llama3:70b`, or set `pull: true`; it has: llama3:latest"
    )
    with pytest.raises(UserError, match="has no model 'phi3'"):
        judge_entries(tmp_path, ollama(server, model="phi3"))


def test_a_model_in_another_case_is_named_as_the_server_does(tmp_path: Path) -> None:
    with (
        running(ollama_server("Llama3:8B")) as server,
        pytest.raises(UserError, match="has no 'llama3:8b', but 'Llama3:8B'"),
    ):
        check(tmp_path, ollama(server, model="llama3:8b"))


def test_another_program_at_the_address_is_not_taken_for_a_server(tmp_path: Path) -> None:
    with (
        running(openai_server()) as other,
        pytest.raises(UserError, match=r"judge llama3: HTTP 404") as refusal,
    ):
        check(tmp_path, ollama(other))
    suggestion = f"set `backend: openai` and `base_url: {other.address}/v1`"
    assert f"asked {other.address}/api/tags" in str(refusal.value)
    assert suggestion in str(refusal.value)
    for said in (b'{"error": "Unexpected endpoint"}', b"<html>\nlog in</html>", b"[]", b'"no"'):
        length = f"HTTP/1.1 200 OK\r\nContent-Length: {len(said)}\r\n\r\n".encode()
        with running(ollama_server()) as other:
            other.listing = Reply(raw=[length + said])
            suggestion = f"set `backend: openai` and `base_url: {other.address}/v1`"
            with pytest.raises(UserError) as refusal:
                check(tmp_path, ollama(other))
        assert suggestion in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_the_exact_name_of_a_model_comes_before_latest(tmp_path: Path) -> None:
    with running(ollama_server("tuned", "tuned:latest", "hf.co/Org/Model-GGUF:Q4_K_M")) as server:
        assert check(tmp_path, ollama(server, model="tuned"))["model"] == "tuned"
        assert check(tmp_path, ollama(server, model="tuned:latest"))["model"] == "tuned:latest"
        name = "hf.co/Org/Model-GGUF:Q4_K_M"
        assert check(tmp_path, ollama(server, model=name))["model"] == name


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OLLAMA_HOST", "http://localhost:99999"),
        ("OLLAMA_HOST", "0.0.0.0:port"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("HTTPS_PROXY", "what is this"),
        ("SSL_CERT_FILE", "/nowhere/cert.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/cert.pem"),
        ("CURL_CA_BUNDLE", "/nowhere/cert.pem"),
        ("OLLAMA_API_KEY", "sk-1\n"),
    ],
)
@pytest.mark.parametrize("backend", ["ollama", "openai"])
def test_the_environment_cannot_stop_a_judge_on_this_machine(
    server, tmp_path: Path, variable: str, value: str, backend: str
) -> None:
    """In a process of its own: the client reads the environment when it is imported."""
    code = (
        "import sys, logging\n"
        "from pathlib import Path\n"
        "from pydantic import TypeAdapter\n"
        "from workflow.lib.judge.preflight import check_judge\n"
        "from workflow.lib.settings.judges import Judge\n"
        "judge = TypeAdapter(Judge).validate_python(eval(sys.argv[1]))\n"
        "check_judge(judge, 'mine', Path(sys.argv[2]))\n"
    )
    settings = {"backend": backend, "model": "llama3", "transport": {"retries": 0}}
    with running(openai_server("llama3")) as other:
        if backend == "ollama":
            settings["url"] = server.address
        else:
            settings |= {"base_url": f"{other.address}/v1", "api_key_env": None}
        done = subprocess.run(
            [sys.executable, "-c", code, repr(settings), str(tmp_path / "check.json")],
            cwd=ROOT,
            env={**os.environ, variable: value},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    if backend == "ollama" and variable == "OLLAMA_HOST":
        assert f"the environment variable OLLAMA_HOST is {value!r}" in done.stderr
    assert json.loads((tmp_path / "check.json").read_text())["known"]["right"]["score"] == 100


def test_a_key_for_ollama_that_no_request_can_carry_is_not_shown(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "“sk-1234”")
    with pytest.raises(UserError, match="OLLAMA_API_KEY holds no key: character 1 of 9 is a left"):
        check(tmp_path, ollama(server))
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-1234\n")
    check(tmp_path, ollama(server))
    assert {headers["authorization"] for _, headers in server.requests} == {"Bearer sk-1234"}


def test_pull_gets_the_model(server, tmp_path: Path, log_lines) -> None:
    record = check(tmp_path, ollama(server, model="phi3", pull=True))
    assert record["model"] == "phi3:latest"
    assert "  pulling 6a0746a1ec1a" in log_lines.messages
    assert "  success" in log_lines.messages


def test_a_model_that_cannot_be_pulled_is_said(server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"judge llama3: lama3 could not be downloaded: .*exist"):
        check(tmp_path, ollama(server, model="lama3", pull=True))


def test_only_thinking_models_can_be_told_to_think(tmp_path: Path) -> None:
    with running(ollama_server("llama3:latest", "qwen3:latest")) as server:
        with pytest.raises(UserError, match="llama3 is not a thinking model"):
            check(tmp_path, ollama(server, think=True))
        check(tmp_path, ollama(server, model="qwen3", think=True))
        judge_entries(tmp_path, ollama(server, model="qwen3", think=False), ENTRIES[:1])
        assert server.questions[0]["think"] is False


def test_with_all_replies_at_hand_no_server_is_needed(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        judge_entries(tmp_path, ollama(server), ENTRIES[:2])
        before = (tmp_path / "scores.csv").read_bytes()
    judge_entries(tmp_path, ollama(server), ENTRIES[:2])
    assert (tmp_path / "scores.csv").read_bytes() == before
    with pytest.raises(UserError, match="start it with `ollama serve`"):
        judge_entries(tmp_path, ollama(server), ENTRIES[:3])
