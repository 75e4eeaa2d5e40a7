"""Before anything expensive a judge is asked about a right answer and a plainly wrong one."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
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
from workflow.lib.judge.backends.overlap import Overlap
from workflow.lib.judge.preflight import KNOWN_RESPONSES, check_judge
from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import ServerJudge, Transport


@pytest.fixture(params=["ollama", "openai"])
def served(request):
    """Yield a server and a judge that asks it."""
    transport = Transport(**{**FAST, "retries": 1})
    with running(ollama_server() if request.param == "ollama" else openai_server()) as server:
        yield server, judge_on(server, request.param, transport)


def check(folder: Path, judge: ServerJudge, **changed) -> dict:
    check_judge(judge.model_copy(update=changed), "mine", folder / "check.json")
    return json.loads((folder / "check.json").read_text())


@pytest.mark.parametrize("prompt", ["integer", "integer-ko", "reasons", "rubric"])
def test_a_good_judge_is_asked_twice_in_its_own_words(served, tmp_path: Path, prompt: str) -> None:
    server, judge = served
    known = check(tmp_path, judge, prompt=prompt)["known"]
    assert [known[kind]["score"] for kind in ("right", "wrong")] == [100, 0]
    asked = [body["messages"][0]["content"] for body in server.known_questions]
    beginning = load_judge_prompt(prompt).template.partition("{")[0]
    assert len(asked) == 2
    for question, response in zip(asked, KNOWN_RESPONSES.values(), strict=True):
        assert question.startswith(beginning)
        assert f"`{response}`" in question
    assert not server.questions


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (Reply("100"), Reply("100"), "cannot tell a right answer (100) from a plainly wrong one"),
        (Reply("10"), Reply("90"), "cannot tell a right answer (10) from a plainly wrong one (90)"),
        (Reply("85"), Reply("80"), "cannot tell a right answer (85) from a plainly wrong one (80)"),
        (Reply("Good!"), Reply("0"), "no score can be read from its reply about a right answer"),
        (Reply("100"), Reply("Bad."), "its reply about a wrong answer, 'Bad.'"),
        (
            Reply("10", done_reason="length"),
            Reply("0"),
            "its reply about a right answer was cut off; raise options.",
        ),
        (Reply(""), Reply("0"), "it cannot be asked: an empty reply"),
        (Reply(status=500, error="no memory"), Reply(), "it cannot be asked: HTTP 500"),
        (Reply(status=400, error="no such template"), Reply(), "it cannot be asked: HTTP 400"),
    ],
)
def test_a_judge_of_no_use_is_refused_or_warned_of(
    served, tmp_path: Path, log_lines, right: Reply, wrong: Reply, said: str
) -> None:
    server, judge = served
    server.behave_when_checked = lambda kind, body: right if kind == "right" else wrong
    with pytest.raises(UserError) as refusal:
        check(tmp_path, judge)
    assert str(refusal.value).startswith("judge mine: ")
    assert said in str(refusal.value)
    assert "set `check: warn`" in str(refusal.value)
    assert not (tmp_path / "check.json").exists()
    record = check(tmp_path, judge, check="warn")
    assert said in log_lines.text
    assert record["known"].get("right", {}).get("reply", "") == (
        "" if "cannot be asked" in said else right.text
    )
    assert len(judge_entries(tmp_path, judge)) == 4  # judging itself asks no known question


def test_a_passing_failure_of_the_check_is_asked_again(served, tmp_path: Path) -> None:
    server, judge = served
    good = server.behave_when_checked
    server.behave_when_checked = lambda kind, body: (
        Reply(status=503) if len(server.known_questions) == 1 else good(kind, body)
    )
    assert check(tmp_path, judge)["known"]["right"]["score"] == 100
    assert len(server.known_questions) == 3


@pytest.mark.parametrize("again", [Reply("100"), Reply("Good."), Reply(status=400, error="no")])
def test_a_reply_that_cannot_be_read_is_asked_again_as_in_judging(
    served, tmp_path: Path, again: Reply
) -> None:
    """For the score alone, once, if the settings have it; else the first reply counts."""
    server, judge = served

    def behave(kind, body):
        if kind == "wrong":
            return Reply("0")
        return again if len(body["messages"]) == 3 else Reply("It is right.")

    server.behave_when_checked = behave
    if again.text == "100" and again.status == 200:
        right = check(tmp_path, judge)["known"]["right"]
        assert (right["reply"], right["score"]) == ("100", 100)
        question = server.known_questions[1]["messages"]
        assert [turn["content"] for turn in question[1:]] == [
            "It is right.", load_judge_prompt(judge.prompt).again_text,
        ]  # fmt: skip
    else:
        with pytest.raises(UserError, match="reply about a right answer, 'It is right"):
            check(tmp_path, judge)
    asked = len(server.known_questions)
    with pytest.raises(UserError, match="no score can be read"):
        check(tmp_path, judge, ask_again=0)
    assert len(server.known_questions) == asked + 2


def test_the_check_reruns_no_judging_and_leaves_the_cache_alone(served, tmp_path: Path) -> None:
    server, judge = served
    judge_entries(tmp_path, judge, ENTRIES)
    before = (tmp_path / "answers.jsonl").read_bytes()
    check(tmp_path, judge)
    judge_entries(tmp_path, judge.model_copy(update={"check": "warn"}), ENTRIES)
    assert (tmp_path / "answers.jsonl").read_bytes() == before
    assert len(server.questions) == 4


def test_a_judge_without_a_server_is_not_asked(tmp_path: Path) -> None:
    check_judge(Overlap(backend="overlap"), "overlap", tmp_path / "check.json")
    assert "known" not in json.loads((tmp_path / "check.json").read_text())


def test_a_judge_of_many_variants_is_asked_once_in_a_run(served, tmp_path: Path) -> None:
    server, judge = served
    passed = tmp_path / "passed.jsonl"

    def check_variant(number: int, judge: ServerJudge = judge) -> str:
        record = tmp_path / f"{number}.json"
        check_judge(judge, "mine", record, passed)
        return record.read_text()

    with ThreadPoolExecutor(4) as pool:  # as many as there are judge_slots at the same time
        records = [*pool.map(check_variant, range(8))]
    assert len(server.known_questions) == 2
    assert len(set(records)) == 1
    assert json.loads(records[0])["known"]["right"]["score"] == 100
    for other in ({"prompt": "reasons"}, {"ask_again": 0}, {"options": {"temperature": 1}}):
        asked = len(server.known_questions)
        check_variant(9, judge.model_copy(update=other))
        assert len(server.known_questions) == asked + 2
    passed.unlink()  # the next run
    check_variant(10)
    assert len(server.known_questions) == asked + 4


def test_a_judge_that_failed_the_check_is_asked_again(served, tmp_path: Path) -> None:
    server, judge = served
    passed = tmp_path / "passed.jsonl"
    good = server.behave_when_checked
    server.behave_when_checked = lambda kind, body: Reply("50")
    for level in ("refuse", "warn", "refuse"):
        with pytest.raises(UserError, match="cannot tell") if level == "refuse" else nullcontext():
            check_judge(
                judge.model_copy(update={"check": level}), "mine", tmp_path / "a.json", passed
            )
    assert len(server.known_questions) == 6
    server.behave_when_checked = good
    check_judge(judge, "mine", tmp_path / "a.json", passed)
    assert len(server.known_questions) == 8
