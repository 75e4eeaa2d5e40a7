"""People as a judge: the files that the rating page saves, and the scores made of them."""

import csv
import io
import json
from pathlib import Path

import pytest

from workflow.lib.judge.backends.people import People
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.judge.ratings import (
    COLUMNS,
    PAIR_COLUMNS,
    answer_of,
    read_pair_ratings,
    read_ratings,
)
from workflow.lib.judge.scores import read_scores
from workflow.lib.judge.wins import read_wins
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


OTHERS = [{**entry, "model_response": f"other {n}"} for n, entry in enumerate(ENTRIES)]
BETTER = ["first", "second", "tie", ""]


def pair_rows(entries, others, better, rater="ra", exchanged=()):
    rows = []
    for number, (one, other, said) in enumerate(zip(entries, others, better, strict=True)):
        (digest, first), (_, second) = answer_of(one), answer_of(other)
        order = [second, first] if number in exchanged else [first, second]
        rows.append([rater, str(number), digest, *order, said])
    return rows


def compare(folder: Path, *files: Path, entries=ENTRIES, others=OTHERS, baseline="m/b"):
    paths = [folder / "responses.json", folder / "baseline.json"]
    for path, of in zip(paths, (entries, others), strict=True):
        path.write_text(json.dumps(of))
    people = People(backend="people", kind="pairwise", baseline="m/b", ratings=[*map(str, files)])
    judge_pairs(
        paths[0], None if baseline == "reference" else paths[1], people, NAMES, baseline,
        folder / "wins.csv", folder / "answers.jsonl", folder / "usage.json",
    )  # fmt: skip
    return read_wins(folder / "wins.csv")


def test_which_is_better_is_a_verdict_in_the_order_that_was_shown(tmp_path):
    anna = save(
        tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, BETTER, exchanged={1, 2}), PAIR_COLUMNS
    )
    rows = pair_rows(ENTRIES, OTHERS, ["second", "", "second", ""], "rb", exchanged={2})
    ben = save(tmp_path / "b.csv", rows, PAIR_COLUMNS)
    wins = compare(tmp_path, anna, ben)
    said = [(w.entry, w.repeat, w.verdict_first, w.verdict_second, w.outcome) for w in wins]
    assert said == [
        (0, 0, "win", "", 1), (0, 1, "loss", "", 0),
        (1, 0, "", "win", 1), (1, 1, "", "", None),
        (2, 0, "", "tie", 0.5), (2, 1, "", "win", 1),
        (3, 0, "", "", None), (3, 1, "", "", None),
    ]  # fmt: skip
    statuses = [w.status for w in wins]
    assert statuses == [*["judged"] * 3, "unrated", *["judged"] * 2, *["unrated"] * 2]
    assert json.loads((tmp_path / "usage.json").read_text())["answers"] == 0


def test_exchanging_variant_and_baseline_exchanges_the_verdicts(tmp_path):
    saved = save(tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, BETTER), PAIR_COLUMNS)
    wins = compare(tmp_path, saved, entries=OTHERS, others=ENTRIES)
    assert [w.outcome for w in wins] == [0, 1, 0.5, None]
    assert [w.verdict_second for w in wins] == ["loss", "win", "tie", ""]


def test_the_same_text_twice_is_a_tie_where_the_page_says_so_and_else_not_rated(tmp_path):
    others = [{**entry, "model_response": f" {entry['model_response']}"} for entry in ENTRIES[:2]]
    others += OTHERS[2:]
    rows = pair_rows(ENTRIES, others, ["tie", "", "first", ""])
    wins = compare(tmp_path, save(tmp_path / "a.csv", rows, PAIR_COLUMNS), others=others)
    assert [(w.status, w.outcome) for w in wins] == [
        ("same", 0.5), ("unrated", None), ("judged", 1), ("unrated", None)
    ]  # fmt: skip
    assert not wins[0].verdict_first + wins[0].verdict_second


def test_the_baseline_itself_needs_no_rating(tmp_path):
    saved = save(tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, BETTER), PAIR_COLUMNS)
    wins = compare(tmp_path, saved, others=ENTRIES, baseline="m/r")
    assert {(w.status, w.outcome) for w in wins} == {("same", 0.5)}


def test_people_may_compare_with_the_reference(tmp_path):
    references = [{**entry, "model_response": entry["output"]} for entry in ENTRIES]
    saved = save(tmp_path / "a.csv", pair_rows(ENTRIES, references, BETTER), PAIR_COLUMNS)
    assert [w.outcome for w in compare(tmp_path, saved, baseline="reference")] == [1, 0, 0.5, None]


def test_a_pair_holds_as_long_as_both_responses_are_the_same(tmp_path, caplog):
    saved = save(tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, ["first"] * 4), PAIR_COLUMNS)
    others = [*OTHERS[:2], {**OTHERS[2], "model_response": "new"}, OTHERS[3]]
    assert [w.outcome for w in compare(tmp_path, saved, others=others)] == [1, 1, None, 1]
    assert "1 responses are not those of the page, and are not judged: entry 2" in caplog.text


@pytest.mark.parametrize("better", ["1", "win", "A", "both", "0.5"])
def test_what_is_no_verdict_is_refused_with_its_line(tmp_path, better):
    rows = pair_rows(ENTRIES, OTHERS, ["first", better, "tie", ""])
    saved = save(tmp_path / "a.csv", rows, PAIR_COLUMNS)
    refused(lambda: read_pair_ratings([saved]), f"{saved}: line 3: '{better}'", "first, second")


def test_a_pair_rated_twice_by_one_rater_is_refused_in_either_order(tmp_path):
    one = save(tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, BETTER), PAIR_COLUMNS)
    rows = pair_rows(ENTRIES, OTHERS, BETTER, exchanged=range(4))
    other = save(tmp_path / "b.csv", rows, PAIR_COLUMNS)
    refused(lambda: read_pair_ratings([one, other]), f"{other}: line 2", f"{one}: line 2", "'ra'")


def test_a_file_of_the_other_kind_says_which_judge_it_is_of(tmp_path):
    scores = save(tmp_path / "a.csv", rows_of(ENTRIES, ["1", "2", "3", "4"]))
    refused(lambda: compare(tmp_path, scores), str(scores), "scores each answer", "`kind: score`")
    pairs = save(tmp_path / "b.csv", pair_rows(ENTRIES, OTHERS, BETTER), PAIR_COLUMNS)
    refused(lambda: judge(tmp_path, pairs), str(pairs), "is better", "`kind: pairwise`")
    assert not (tmp_path / "wins.csv").exists()


def test_pairs_that_nobody_rated_make_no_table(tmp_path):
    saved = save(tmp_path / "a.csv", pair_rows(ENTRIES, OTHERS, [""] * 4), PAIR_COLUMNS)
    refused(lambda: compare(tmp_path, saved), str(saved), "rate no response")
    assert not (tmp_path / "wins.csv").exists()


@pytest.mark.parametrize("other", ["RA", "Ra", "ｒａ", "r  a", "é"])
def test_one_rater_written_in_two_ways_is_refused(tmp_path, other):
    first = {"é": "e\u0301", "r  a": "r a"}.get(other, "ra")
    one = save(tmp_path / "one.csv", rows_of(ENTRIES[:1], ["10"], first))
    two = save(tmp_path / "two.csv", rows_of(ENTRIES[1:], ["", "20", "30"], other))
    refused(lambda: read_ratings([one, two]), "two.csv: line 2", "write the name of one rater")
