"""People as a judge: the files that the rating page saves, and the scores made of them."""

import csv
import io
import json
from pathlib import Path

import pytest

from workflow.lib.judge.backends.people import People
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.ratings import COLUMNS, answer_of, read_ratings
from workflow.lib.judge.scores import read_scores
from workflow.lib.runtime.errors import UserError

ENTRIES = [
    {"instruction": f"Add {n}.", "input": "", "output": str(n), "model_response": f"answer {n}"}
    for n in range(4)
]
NAMES = {"model": "m", "recipe": "r", "judge": "people"}


def rows_of(entries, scores, rater="ra"):
    return [
        [rater, str(number), *answer_of(entry), score]
        for number, (entry, score) in enumerate(zip(entries, scores, strict=True))
    ]


def save(path: Path, rows, columns=COLUMNS, separator=",") -> Path:
    table = io.StringIO()
    csv.writer(table, delimiter=separator).writerows([columns, *rows])
    path.write_text(table.getvalue(), "utf-8")
    return path


def judge(folder: Path, *files: Path, entries=ENTRIES):
    (folder / "responses.json").write_text(json.dumps(entries))
    people = People(backend="people", ratings=[*map(str, files)])
    judge_responses(
        folder / "responses.json", people, NAMES, folder / "scores.csv", folder / "answers.jsonl"
    )
    return read_scores(folder / "scores.csv")


def refused(call, *words: str) -> None:
    with pytest.raises(UserError) as raised:
        call()
    line = str(raised.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_each_rater_is_a_repeat_and_what_is_not_rated_is_named(tmp_path):
    anna = save(tmp_path / "anna.csv", rows_of(ENTRIES, ["10", "", "90", ""]))
    ben = save(tmp_path / "ben.csv", rows_of(ENTRIES[:3], ["20", "", "70.5"], "rb"))
    verdicts = judge(tmp_path, anna, ben)
    assert [(v.entry, v.repeat, v.score, v.status) for v in verdicts] == [
        (0, 0, 10, "scored"), (0, 1, 20, "scored"),
        (1, 0, None, "unrated"), (1, 1, None, "unrated"),
        (2, 0, 90, "scored"), (2, 1, 70.5, "scored"),
        (3, 0, None, "unrated"), (3, 1, None, "unrated"),
    ]  # fmt: skip


def test_an_empty_response_scores_what_people_say_and_nothing_unless_they_do(tmp_path):
    entries = [{**entry, "model_response": " "} for entry in ENTRIES]
    saved = save(tmp_path / "a.csv", rows_of(entries, ["0", "5", "", ""]))
    verdicts = judge(tmp_path, saved, entries=entries)
    assert [(v.score, v.status) for v in verdicts] == [
        (0, "empty"), (5, "scored"), (None, "unrated"), (None, "unrated")
    ]  # fmt: skip


def test_a_rating_holds_as_long_as_entry_and_response_are_the_same(tmp_path, caplog):
    saved = save(tmp_path / "a.csv", rows_of(ENTRIES, ["1", "2", "3", "4"]))
    changed = [
        ENTRIES[3],  # elsewhere in the test set
        {**ENTRIES[1], "model_response": "another answer"},
        {**ENTRIES[2], "output": "another reference"},
        {**ENTRIES[0], "kind": "sums"},
    ]
    verdicts = judge(tmp_path, saved, entries=changed)
    assert [v.score for v in verdicts] == [4, None, None, 1]
    assert "1 responses are not those of the page, and are not judged: entry 1" in caplog.text


def test_files_of_one_rater_are_one_rater(tmp_path):
    parts = [
        save(tmp_path / "1.csv", rows_of(ENTRIES, ["1", "", "", ""])),
        save(tmp_path / "2.csv", rows_of(ENTRIES, ["", "2", "", ""])),
    ]
    assert [v.score for v in judge(tmp_path, *parts)] == [1, 2, None, None]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_may_have_passed_through_a_spreadsheet(tmp_path, separator):
    saved = save(tmp_path / "a.csv", rows_of(ENTRIES, ["1", "2", "3.0", "100"]), COLUMNS, separator)
    saved.write_bytes(b"\xef\xbb\xbf" + saved.read_bytes().replace(b"\n", b"\r\n"))
    assert [v.score for v in judge(tmp_path, saved)] == [1, 2, 3, 100]


@pytest.mark.parametrize(
    "score", ["101", "-1", "1e2", "nan", "inf", "85%", "8/10", "85,5", "good", "1_0", "٨٥", "0x10"]
)
def test_what_is_no_score_is_refused_with_its_line(tmp_path, score):
    saved = save(tmp_path / "a.csv", rows_of(ENTRIES, ["1", score, "3", "4"]))
    refused(lambda: read_ratings([saved]), f"{saved}: line 3: the score", "from 0 to 100")


def test_a_rater_who_rates_an_answer_twice_is_refused(tmp_path):
    saved = save(tmp_path / "a.csv", rows_of(ENTRIES, ["1", "2", "3", "4"]))
    again = save(tmp_path / "b.csv", rows_of(ENTRIES, ["1", "2", "3", "4"]))
    refused(lambda: read_ratings([saved, again]), f"{again}: line 2", f"{saved}: line 2", "'ra'")
    rows = rows_of(ENTRIES[:1], ["1"])
    twice = save(tmp_path / "c.csv", rows + rows)
    refused(lambda: read_ratings([twice]), f"{twice}: line 3", f"{twice}: line 2")


def test_a_file_that_is_not_of_the_page_is_refused(tmp_path):
    rows = rows_of(ENTRIES, ["1", "2", "3", "4"])
    for columns, words in {
        COLUMNS[:4]: "lacks the columns score",
        (*COLUMNS, "comment"): "has the unknown columns 'comment'",
        ("model", *COLUMNS[1:]): "lacks the columns rater",
    }.items():
        cells = [[*row, "x"][: len(columns)] for row in rows]
        saved = save(tmp_path / "a.csv", cells, columns)
        refused(lambda s=saved: read_ratings([s]), str(saved), words, "entry_sha256")
    for place, wrong in ((0, ""), (2, "1.2e+63"), (3, "")):
        cells = [[*rows[0][:place], wrong, *rows[0][place + 1 :]]]
        saved = save(tmp_path / "a.csv", cells)
        refused(lambda s=saved: read_ratings([s]), f"{saved}: line 2")
    refused(lambda: read_ratings([save(tmp_path / "a.csv", [])]), "holds no ratings")
    (tmp_path / "a.csv").write_text("")
    refused(lambda: read_ratings([tmp_path / "a.csv"]), "a.csv")


def test_ratings_of_something_else_make_no_score(tmp_path):
    other = [{**entry, "instruction": "Count."} for entry in ENTRIES]
    saved = save(tmp_path / "a.csv", rows_of(other, ["1", "2", "3", "4"]))
    refused(lambda: judge(tmp_path, saved), str(saved), "about none of these 4 test entries")
    other = [{**entry, "model_response": "?"} for entry in ENTRIES]
    saved = save(tmp_path / "a.csv", rows_of(other, ["1", "2", "3", "4"]))
    refused(lambda: judge(tmp_path, saved), "hold other responses to these 4 test entries")
    saved = save(tmp_path / "a.csv", rows_of(ENTRIES, [""] * 4))
    refused(lambda: judge(tmp_path, saved), "rate no response to these 4 test entries")
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize("other", ["RA", "Ra", "ｒａ", "r  a", "é"])
def test_one_rater_written_in_two_ways_is_refused(tmp_path, other):
    first = {"é": "e\u0301", "r  a": "r a"}.get(other, "ra")
    one = save(tmp_path / "one.csv", rows_of(ENTRIES[:1], ["10"], first))
    two = save(tmp_path / "two.csv", rows_of(ENTRIES[1:], ["", "20", "30"], other))
    refused(lambda: read_ratings([one, two]), "two.csv: line 2", "write the name of one rater")
