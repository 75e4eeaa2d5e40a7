"""Two responses are compared in both orders; no reply is lost, and none is asked for twice."""

import csv
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.judge_servers import (
    ENTRIES,
    FAST,
    Reply,
    compare_entries,
    judge_on,
    ollama_server,
    openai_server,
    running,
)
from tests.support.paths import ROOT
from workflow.lib.judge.backends.overlap import Overlap
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.preflight import check_judge
from workflow.lib.judge.wins import COLUMNS, read_wins
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import ServerJudge, Transport

OTHERS = [f"other {number}" for number in range(1, 5)]
PAIRWISE = {"kind": "pairwise", "baseline": "nano/other"}
FREE = {"kind": "pairwise", "baseline": "reference", "prompt": "pairs-free"}


@pytest.fixture(params=["ollama", "openai"])
def served(request):
    """Yield a server and a pairwise judge that asks it."""
    transport = Transport(**{**FAST, "retries": 1})
    with running(ollama_server() if request.param == "ollama" else openai_server()) as server:
        yield server, judge_on(server, request.param, transport, **PAIRWISE)


def shown(body: dict) -> tuple[str, str]:
    """Return the two responses in a question, in their order."""
    content = body["messages"][0]["content"]
    first, second = (content.partition(f"Response {x}: `")[2].partition("`")[0] for x in "AB")
    return first, second


def prefers(*texts: str):
    """Behave as a judge who prefers responses that hold one of these texts."""

    def behave(number: int, body: dict) -> Reply:
        first, second = (any(text in said for text in texts) for said in shown(body))
        return Reply("tie" if first == second else "A" if first else "B")

    return behave


def test_each_pair_is_asked_about_in_both_orders(served, tmp_path: Path) -> None:
    server, judge = served
    server.behave = prefers("No.")
    rows = compare_entries(tmp_path, judge, others=OTHERS)
    assert [*rows[0]] == [*COLUMNS]
    orders = [shown(body) for body in server.questions]
    assert orders[:2] == [("No. 1", "other 1"), ("other 1", "No. 1")]
    assert len(orders) == 2 * len(ENTRIES)
    for row in rows:
        assert (row["verdict_first"], row["verdict_second"]) == ("win", "win")
        assert (row["outcome"], row["status"], row["asked_again"]) == ("1", "judged", "0")
        assert (row["reply_first"], row["reply_second"]) == ("A", "B")
        assert (row["response_tokens"], row["baseline_tokens"]) == ("3", "2")
        assert row["baseline"] == "nano/other"
    usage = json.loads((tmp_path / "usage.json").read_text())
    assert usage["answers"] == 2 * len(ENTRIES)
    assert len(read_wins(tmp_path / "wins.csv")) == len(ENTRIES)


@pytest.mark.parametrize(
    ("first", "second", "verdicts", "outcome"),
    [
        ("A", "B", ("win", "win"), "1"),
        ("B", "A", ("loss", "loss"), "0"),
        ("A", "A", ("win", "loss"), "0.5"),
        ("B", "B", ("loss", "win"), "0.5"),
        ("tie", "B", ("tie", "win"), "0.5"),
        ("tie", "tie", ("tie", "tie"), "0.5"),
    ],
)
def test_orders_that_disagree_are_half_a_win(
    served, tmp_path: Path, first: str, second: str, verdicts: tuple[str, str], outcome: str
) -> None:
    server, judge = served
    server.behave = lambda number, body: Reply(first if "No." in shown(body)[0] else second)
    for row in compare_entries(tmp_path, judge, others=OTHERS):
        assert (row["verdict_first"], row["verdict_second"]) == verdicts
        assert row["outcome"] == outcome
    wins = read_wins(tmp_path / "wins.csv")
    assert {win.disagrees for win in wins} == {verdicts[0] != verdicts[1]}


def test_the_same_text_twice_is_a_tie_without_a_question(served, tmp_path: Path) -> None:
    server, judge = served
    server.behave = prefers("No.")
    others = [entry["model_response"] + "\n" for entry in ENTRIES[:2]] + OTHERS[2:]
    rows = compare_entries(tmp_path, judge, others=others)
    assert [row["status"] for row in rows] == ["same", "same", "judged", "judged"]
    assert [row["outcome"] for row in rows] == ["0.5", "0.5", "1", "1"]
    assert len(server.questions) == 4


def test_the_baseline_itself_asks_nothing_and_needs_no_server(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        judge = judge_on(server, "ollama", Transport(**{**FAST, "retries": 0}), **PAIRWISE)
    rows = compare_entries(tmp_path, judge, others=[e["model_response"] for e in ENTRIES])
    assert {(row["status"], row["outcome"]) for row in rows} == {("same", "0.5")}
    assert not (tmp_path / "answers.jsonl").exists()


def test_the_reference_as_baseline_is_not_shown_as_the_correct_output(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        judge = judge_on(server, "ollama", Transport(**FAST), **FREE)
        server.behave = prefers("No.")
        rows = compare_entries(tmp_path, judge)
        assert {row["baseline"] for row in rows} == {"reference"}
        assert {row["outcome"] for row in rows} == {"1"}
        content = server.questions[0]["messages"][0]["content"]
        assert content.count("`1`") == 1
        with pytest.raises(UserError, match=r"shows the reference.*pairs-free"):
            compare_entries(tmp_path, judge.model_copy(update={"prompt": "pairs"}))


def test_what_cannot_be_read_is_asked_once_more_and_counted(served, tmp_path: Path) -> None:
    server, judge = served

    def behave(number: int, body: dict) -> Reply:
        if len(body["messages"]) > 1:
            assert body["messages"][-1]["content"] == "Respond with the verdict alone: A, B or tie."
            return Reply("A" if "No." in shown(body)[0] else "B")
        return Reply("Hard to say.") if "No. 1" in shown(body)[0] else prefers("No.")(number, body)

    server.behave = behave
    rows = compare_entries(tmp_path, judge, others=OTHERS)
    assert [row["asked_again"] for row in rows] == ["1", "0", "0", "0"]
    assert [row["outcome"] for row in rows] == ["1", "1", "1", "1"]
    assert rows[0]["reply_first"] == "A"
    assert len(server.questions) == 9


def test_too_many_unread_replies_end_the_job_and_few_are_left_out(served, tmp_path: Path) -> None:
    server, judge = served
    server.behave = lambda number, body: (
        Reply("Hard to say.") if "No. 1" in shown(body)[0] else prefers("No.")(number, body)
    )
    with pytest.raises(UserError, match=r"1 of 4 entries have no verdict: 1 replies hold no reada"):
        compare_entries(tmp_path, judge, others=OTHERS)
    assert not (tmp_path / "wins.csv").exists()
    asked = len(server.questions)
    patient = judge.model_copy(update={"max_unparsed": 0.2})
    rows = compare_entries(tmp_path, patient, others=OTHERS)
    assert len(server.questions) == asked
    assert [row["status"] for row in rows] == ["unparsed", "judged", "judged", "judged"]
    assert (rows[0]["outcome"], rows[0]["verdict_first"], rows[0]["verdict_second"]) == (
        "",
        "",
        "win",
    )


def test_repeats_ask_both_orders_with_the_next_seed(tmp_path: Path) -> None:
    with running(ollama_server()) as server:
        server.behave = prefers("No.")
        judge = judge_on(server, "ollama", Transport(**FAST), **PAIRWISE, repeats=2)
        rows = compare_entries(tmp_path, judge, others=OTHERS)
        assert [(row["entry"], row["repeat"]) for row in rows[:3]] == [
            ("0", "0"),
            ("0", "1"),
            ("1", "0"),
        ]
        seeds = [body["options"]["seed"] for body in server.questions]
        assert (seeds.count(123), seeds.count(124)) == (8, 8)


JOB = """
import sys
from pathlib import Path
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.backends.ollama import Ollama

folder, url = Path(sys.argv[1]), sys.argv[2]
judge = Ollama(backend="ollama", model="llama3", url=url, kind="pairwise", baseline="nano/other")
names = {"model": "nano", "recipe": "book", "judge": "mine"}
judge_pairs(folder / "responses.json", folder / "baseline.json", judge, names, "nano/other",
            folder / "wins.csv", folder / "answers.jsonl", folder / "usage.json")
"""


def test_a_killed_job_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The table is the same as without the kill, and no answered question is asked again."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    with running(ollama_server()) as server:
        judge = judge_on(server, "ollama", Transport(**FAST), **PAIRWISE)
        server.behave = prefers("No.")
        compare_entries(whole, judge, others=OTHERS)
        expected = (whole / "wins.csv").read_bytes()
        for name in ("responses.json", "baseline.json"):
            (killed / name).write_bytes((whole / name).read_bytes())
        server.questions.clear()
        server.behave = lambda number, body: Reply(prefers("No.")(0, body).text, delay=0.1)
        command = [sys.executable, "-c", textwrap.dedent(JOB), str(killed), server.address]
        with subprocess.Popen(command, cwd=ROOT) as process:
            answers, deadline = killed / "answers.jsonl", time.monotonic() + 60
            while not (answers.exists() and answers.read_bytes().count(b"\n") >= 3):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not (killed / "wins.csv").exists()
        kept = answers.read_bytes().count(b"\n")
        assert 3 <= kept < 8
        time.sleep(0.3)  # a question that was under way is still answered, to nobody
        server.questions.clear()
        compare_entries(killed, judge, others=OTHERS)
        assert (killed / "wins.csv").read_bytes() == expected
        assert len(server.questions) == 8 - kept


def test_the_overlap_judge_prefers_what_is_nearer_to_the_reference(tmp_path: Path) -> None:
    judge = Overlap(backend="overlap", kind="pairwise", baseline="other")
    entries = [{**ENTRIES[0], "model_response": said} for said in ("1", "5", "x", "1 or 2")]
    rows = compare_entries(tmp_path, judge, entries, ["2", "1", "y", "1"])
    assert [row["outcome"] for row in rows] == ["1", "0", "0.5", "0"]
    assert [row["verdict_first"] for row in rows] == ["win", "loss", "tie", "loss"]
    assert [row["verdict_second"] for row in rows] == ["win", "loss", "tie", "loss"]


def test_a_baseline_of_other_entries_is_refused(tmp_path: Path) -> None:
    judge = Overlap(backend="overlap", kind="pairwise", baseline="other")
    compare_entries(tmp_path, judge, others=OTHERS)
    entries = [{**entry, "output": "another"} for entry in ENTRIES]
    (tmp_path / "baseline.json").write_text(json.dumps(entries))
    names = {"model": "m", "recipe": "r", "judge": "j"}
    with pytest.raises(UserError, match=r"baseline.json: answers other test entries"):
        judge_pairs(
            tmp_path / "responses.json",
            tmp_path / "baseline.json",
            judge,
            names,
            "b",
            tmp_path / "wins.csv",
            tmp_path / "answers.jsonl",
            tmp_path / "usage.json",
        )


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("outcome", "0.5", "the outcome '0.5' does not fit"),
        ("outcome", "", "the outcome '' does not fit"),
        ("verdict_first", "A", "unknown verdict 'A'"),
        ("verdict_first", "loss", "does not fit"),
        ("status", "scored", "unknown status 'scored'"),
        ("entry", "1", "3 entries|4 rows for"),
        ("entry", "x", "invalid literal"),
        ("asked_again", "3", "above 2"),
        ("judge", "another", "more than one variant, judge or baseline"),
    ],
)
def test_a_damaged_table_is_refused(
    tmp_path: Path, column: str, value: str, complaint: str
) -> None:
    judge = Overlap(backend="overlap", kind="pairwise", baseline="other")
    entries = [{**ENTRIES[0], "model_response": "1"} for _ in range(4)]
    rows = compare_entries(tmp_path, judge, entries, ["2"] * 4)
    rows[0][column] = value
    table = tmp_path / "damaged.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=complaint):
        read_wins(table)


def check(folder: Path, judge: ServerJudge, **changed) -> dict:
    check_judge(judge.model_copy(update=changed), "mine", folder / "check.json")
    return json.loads((folder / "check.json").read_text())


@pytest.mark.parametrize("prompt", ["pairs", "pairs-free", "pairs-ko", "pairs-free-ko"])
def test_a_good_judge_of_pairs_is_asked_in_both_orders(served, tmp_path: Path, prompt) -> None:
    server, judge = served
    known = check(tmp_path, judge, prompt=prompt)["known"]
    assert [answer["verdict"] for answer in known.values()] == ["first", "second"]
    assert len(server.known_questions) == 2
    assert not server.questions


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("A", "A", "its verdict is first where the right one stands first and first where"),
        ("B", "A", "cannot tell a right answer from a plainly wrong one"),
        ("tie", "tie", "its verdict is tie"),
        ("Well.", "B", "no verdict can be read from its reply about a right, then a wrong answer"),
    ],
)
def test_a_judge_of_pairs_of_no_use_is_refused_or_warned_of(
    served, tmp_path: Path, first: str, second: str, said: str
) -> None:
    server, judge = served
    server.behave_when_checked = lambda kind, body: Reply(
        first if kind == "right first" else second
    )
    with pytest.raises(UserError, match=said):
        check(tmp_path, judge)
    assert check(tmp_path, judge, check="warn")["known"]
