"""SmolLM2-135M-Instruct as a judge: a real language model, and one that cannot judge.

It says what it likes, so these tests hold what is done with its replies, not the scores.
"""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT, SMALL_WORLD
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.judge import Names
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.parse import read_score
from workflow.lib.judge.preflight import check_judge
from workflow.lib.judge.wins import read_wins
from workflow.lib.runtime.errors import UserError

NAMES: Names = {"model": "nano", "recipe": "book", "judge": "smollm2"}
RESPONSES = 30
# Of the prompts tried, one to which it writes a score now and then. Mostly it answers the task.
PROMPT = """
entry: alpaca
template: |
  You are a grader. Task: `{prompt}` Correct: `{output}` Response: `{model_response}`

  Write the line 'Score: N', where N is a number from 0 to 100.
again: "Reply with this line and a number from 0 to 100 in it: Score: 70"
"""
JOB = """
import json, sys
from pathlib import Path
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.judge import judge_responses

folder, settings, names = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
files = [folder / name for name in ("responses.json", "scores.csv", "answers.jsonl", "usage.json")]
judge_responses(files[0], OpenAI(**settings), names, *files[1:])
"""


def settings_of(smollm2, **others: Any) -> dict[str, Any]:
    server, folder = smollm2
    return {
        "backend": "openai",
        "model": str(folder),
        "base_url": server.url,
        "api_key_env": None,
        "options": {"temperature": 0, "seed": 123, "max_tokens": 16},
        "transport": {"concurrency": 1, "timeout": 300.0},
        **others,
    }


def responses() -> list[dict[str, str]]:
    """Entries of the small world, every second one with an answer that is plainly wrong."""
    entries = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))
    return [
        {**entry, "model_response": entry["output"] if n % 2 else f"{n} bananas"}
        for n, entry in enumerate(entries[: RESPONSES * 15 : 15])
    ]


def test_the_check_refuses_it_unless_told_to_go_on(smollm2, tmp_path: Path) -> None:
    settings = OpenAI(**settings_of(smollm2))
    record = tmp_path / "check.json"
    with pytest.raises(UserError) as refused:
        check_judge(settings, "smollm2", record)
    message = str(refused.value)
    assert message.startswith("judge smollm2: ")
    assert "no score can be read" in message or "cannot tell a right answer" in message
    assert message.endswith("or set `check: warn` to judge all the same")
    assert "\n" not in message
    assert not record.exists()
    check_judge(settings.model_copy(update={"check": "warn"}), "smollm2", record)
    assert set(json.loads(record.read_text("utf-8"))["known"]) == {"right", "wrong"}


@pytest.fixture(scope="module")
def judged(smollm2, tmp_path_factory) -> tuple[Path, int, int]:
    """Judge 30 responses, with a kill in the middle.

    Returns: the folder, the replies that were kept at the kill, and the questions the server saw.
    """
    server, _ = smollm2
    folder = tmp_path_factory.mktemp("judged")
    (folder / "prompt.yaml").write_text(PROMPT, "utf-8")
    (folder / "responses.json").write_text(json.dumps(responses()), "utf-8")
    settings = settings_of(smollm2, prompt=str(folder / "prompt.yaml"), max_unparsed=1)
    command = [sys.executable, "-c", JOB, str(folder), json.dumps(settings), json.dumps(NAMES)]
    before, answers = server.questions(), folder / "answers.jsonl"
    deadline = time.monotonic() + 600
    with subprocess.Popen(command, cwd=ROOT) as job:
        while not answers.exists() or answers.read_bytes().count(b"\n") < 8:
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert not (folder / "scores.csv").exists()
    kept = answers.read_bytes()
    assert kept.count(b"\n") < RESPONSES
    subprocess.run(command, cwd=ROOT, check=True, timeout=1500)
    assert answers.read_bytes().startswith(kept), "a reply was lost"
    return folder, kept.count(b"\n"), server.questions() - before


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_after_a_kill_no_reply_is_lost_and_none_is_asked_for_twice(judged) -> None:
    folder, kept, questions = judged
    lines = (folder / "answers.jsonl").read_text("utf-8").splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys)
    assert 8 <= kept < len(keys)
    # The question under way at the kill was answered to nobody, so it alone is asked again.
    assert len(keys) <= questions <= len(keys) + 1


def test_each_response_has_a_score_that_stands_in_the_reply_or_none(judged) -> None:
    folder = judged[0]
    answers = map(json.loads, (folder / "answers.jsonl").read_text("utf-8").splitlines())
    cut = {answer["reply"] for answer in answers if answer.get("cut")}
    rows = rows_of(folder)
    assert [int(row["entry"]) for row in rows] == list(range(RESPONSES))
    for row in rows:
        read = None if row["reply"] in cut else read_score(row["reply"], 0, 100)
        assert row["status"] == ("unparsed" if read is None else "scored"), row
        assert row["score"] == ("" if read is None else f"{read:g}"), row


def test_what_could_not_be_read_was_asked_for_once_more(judged) -> None:
    folder = judged[0]
    again = [row for row in rows_of(folder) if row["asked_again"] == "1"]
    answers = (folder / "answers.jsonl").read_text("utf-8").splitlines()
    assert len(answers) == RESPONSES + len(again)
    assert again  # replies that were not cut off and hold no score
    used = json.loads((folder / "usage.json").read_text("utf-8"))
    assert used["answers"] == len(answers)
    assert used["question_tokens"] > 30 * len(answers)


def test_pairs_are_asked_about_in_both_orders_once_each(smollm2, tmp_path: Path) -> None:
    server, _ = smollm2
    entries = responses()[:5]
    others = [{**entry, "model_response": "I do not know."} for entry in entries]
    others[0]["model_response"] = entries[0]["model_response"]
    for name, of in (("responses.json", entries), ("others.json", others)):
        (tmp_path / name).write_text(json.dumps(of), "utf-8")
    judge = OpenAI(
        **settings_of(smollm2, kind="pairwise", baseline="other", max_unparsed=1, ask_again=1)
    )

    def compare() -> bytes:
        wins = tmp_path / "wins.csv"
        judge_pairs(
            tmp_path / "responses.json",
            tmp_path / "others.json",
            judge,
            NAMES,
            "nano/other",
            wins,
            tmp_path / "answers.jsonl",
            tmp_path / "usage.json",
        )
        return wins.read_bytes()

    before = server.questions()
    table = compare()
    wins = read_wins(tmp_path / "wins.csv")
    assert wins[0].status == "same"  # the same text twice needs no question
    assert all(win.status in ("judged", "unparsed") for win in wins[1:])
    assert all(win.reply_first and win.reply_second for win in wins[1:])
    asked = 2 * 4 + sum(win.asked_again for win in wins)
    assert server.questions() - before == asked
    keys = [
        json.loads(line)["key"]
        for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(set(keys)) == len(keys) == asked
    assert compare() == table
    assert server.questions() - before == asked
