"""A judge's reply is read, or it is not: nothing is guessed, clamped or made 0."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judge_replies import BARE, KINDS, LABELED, LANGUAGES, REPLIES, SAID
from workflow.lib.judge.parse import read_score


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        # listing 7.11: a whole number alone, as int() takes it
        ("85", 85),
        (" 85\n", 85),
        ("0", 0),
        ("100", 100),
        ("85.", 85),
        ("**85**", 85),
        ("85점", 85),
        # JSON
        ('{"score": 85}', 85),
        ('{"reason": "Score: 10", "score": 85}', 85),
        ('{"score": 72.5}', 72.5),
        ('{"score": "85"}', 85),
        ('```json\n{"score": 85}\n```', 85),
        ('Here it is:\n{"reason": "fine", "score": 40}', 40),
        # labeled: the last one
        ("Score: 85", 85),
        ("**Score:** 85\n\nThe answer is right.", 85),
        ("Score: **85**", 85),
        ("Score (0-100): 85", 85),
        ("Score: 85/100", 85),
        ("Grammar score: 20. Overall score: 60.", 60),
        ("The score is 85.", 85),
        ("I would give it a score of 85, because 2 of 3 are right.", 85),
        ("점수: 85점", 85),
        ("점수는 85", 85),
        ("rating = 7", 7),
        # out of the best
        ("I'd rate it 85/100.", 85),
        ("I'd score this model response as 40 out of 100.\n\nHere's why:", 40),
        ("40 out of 100, as 1/2 of it is right. So: 40/100.", 40),
        ("모델 응답을 100점 만점에 85점으로 평가하겠습니다.", 85),
        # a model that thinks aloud
        ("<think>Score: 10? No, better.</think>\n\n85", 85),
    ],
)
def test_scores_are_read(reply: str, expected: float) -> None:
    assert read_score(reply) == expected


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot score this.",
        "I'd give 85... no, 80.",
        "Score: 85 – make that 80",
        "Score: 85 (sorry, 80)",
        "Score: 85 for the first part, 60 for the second",
        "The model scored 85 on the previous task.",
        "A perfect score of 100 is not deserved; 85.",
        "Score: 100 is too generous here.",
        "eighty-five",
        "The response has 3 of 4 facts right.",
        "85 because it is right",  # no form that is agreed on
        # outside the scale: not clamped, not 0
        "101",
        "-5",
        "1000000",
        "9" * 5000,
        "Score: 850",
        "Score: -5",
        "Score: 50. Score: 850",  # nor is an earlier one taken instead
        '{"score": 101}',
        '{"score": NaN}',
        '{"score": 1e400}',
        "120/100",
        # no number as the score
        '{"score": null}',
        '{"score": true}',
        '{"score": [85]}',
        '{"points": 85}',
        # another scale
        "Score: 4/5",
        "8/10",
        "8 out of 10",
        # not one number
        "Score: 1,000",
        "Score: 80-90",
        "Score: 80 – 90",
        "80/100 or perhaps 90/100",
        "1.85/100.5",
        "Underscore: 5",
        "[" * 100_000,
    ],
)
def test_what_is_not_clearly_a_score_on_the_scale_stays_unread(reply: str) -> None:
    assert read_score(reply) is None


@pytest.mark.parametrize(("grade", "points"), [(1, 0), (2, 25), (3, 50), (4, 75), (5, 100)])
def test_a_rubric_is_mapped_to_the_whole_scale(grade: int, points: int) -> None:
    for reply in (str(grade), f"Score: {grade}", f"{grade}/5", json.dumps({"score": grade})):
        assert read_score(reply, worst=1, best=5) == points
    assert read_score("0", worst=1, best=5) is None
    assert read_score("85", worst=1, best=5) is None


@pytest.mark.parametrize(("kind", "reply", "person"), REPLIES)
def test_a_reply_is_read_as_a_person_reads_it(kind: str, reply: str, person: float | None) -> None:
    assert read_score(reply) == person


# What may stand around a reply without changing its score.
PADDINGS = {
    "spaces": "\n\n  {}  \n",
    "thoughts": "<think>\nScore: 12? Or 34/100? No.\n</think>\n\n{}",
    "thoughts without their beginning": "Score: 12, or 34/100.\n</think>\n\n{}",
    "a raw channel": "<|channel|>analysis<|message|>12?<|end|><|start|>assistant<|channel|>final"
    "<|message|>{}<|return|>",
    "a preamble": "The response names two of three animals.\n\n{}",
    "reasons": "{}\n\nIt names 2 of 3 animals, and the sentence has 12 words.",
    "the words of the prompt": "On a scale from 0 to 100, where 100 is the best score:\n\n{}",
}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_around_a_reply_gives_no_other_score(kind: str, padding: str) -> None:
    for reply, person in KINDS[kind]:
        if "think" in reply or "channel" in reply or reply.startswith("analysis"):
            continue
        assert read_score(PADDINGS[padding].format(reply)) in (person, None), reply


@pytest.mark.parametrize("replies", [BARE, LABELED, SAID, LANGUAGES])
def test_an_unfinished_thought_holds_no_score(replies) -> None:
    for reply, _ in replies:
        assert read_score(f"<think>{reply}") is None
        assert read_score(f"<|channel|>analysis<|message|>{reply}") is None


@pytest.mark.parametrize(
    "first", ["Score: {}", "{}/100", "I'd give it {}.", "점수: {}점", "[[{}]]"]
)
@pytest.mark.parametrize(
    "second", ["Score: {}", "{} out of 100", "{}", "评分：{}", '{{"score": {}}}']
)
def test_scores_that_disagree_are_none_unless_one_is_final(first: str, second: str) -> None:
    assert read_score(f"{first.format(40)}\n{second.format(40)}") == 40
    assert read_score(f"{first.format(40)}\n{second.format(70)}") is None
    if "{" not in second.format(70):
        assert read_score(f"{first.format(40)}\nOverall score: 70") == 70


def test_another_scale_is_not_taken_for_the_one_asked_for() -> None:
    for reply in ("Score: {0}", "I'd give it {0}/{1}.", "{0}/{1}", "{0} out of {1}"):
        assert read_score(reply.format(4, 5), worst=1, best=5) == 75
        assert read_score(reply.format(4, 10), worst=1, best=5) in (75, None)
    for reply in ("4/10", "Score: 4/10", "4 out of 10", "On a scale from 1 to 10: 4", "80%"):
        assert read_score(reply, worst=1, best=5) is None
    assert read_score("4.5", worst=1, best=5) == 87.5
    assert read_score("1.0", worst=1, best=5) == 0


SIZE = 1_000_000


@pytest.mark.parametrize(
    ("head", "piece", "tail"),
    [
        ("", "x", ""),
        ("", " ", "x"),
        ("```json", " ", "x"),
        ("```json", " ", "```"),
        ("", "```json ", ""),
        ("", "`", "5"),
        ("5", " ", "x"),
        ("Score: 5", " ", "%"),
        ("Score: 5", " ", "- 6"),
        ("Score: 5 /", " ", "x"),
        ("Score", " ", "x"),
        ("Score", "*", "x"),
        ("Score (", " ", "x"),
        ("Score:", " :", "x"),
        ("Score", " is", "x"),
        ("", "Score ", "x"),
        ("", "Score (", "x"),
        ("", "Score: ", "x"),
        ("", "Score (x) ", "x"),
        ("", "점수는 ", "x"),
        ("5/5", " ", "-"),
        ("", "5 ", "/"),
        ("", "1/", "x"),
        ("", "1.", "x"),
        ("", "1 out of ", "x"),
        ("", "9", "%"),
        ("Score: ", "9", "%"),
        ("Score: 9.", "9", "%"),
        ("", "9", "점 만점에"),
        ("", "9점 만점에 ", "x"),
        ("9점", " ", "x"),
        ("", "<think>", ""),
        ("", " ", "<think>"),
        ("<think>", "</think", ""),
        ("", "[", ""),
        ("", '{"a":', ""),
        ('{"score": "', " ", 'x"}'),
        ('{"score": "5', " ", 'x"}'),
        ('{"score": ', "9", "}"),
        ("", "</think>", "5"),
        ("", "<think></think>", "5"),
        ("", "<|channel|>final<|message|>", "5"),
        ("", "assistantfinal", "5"),
        ("", "{", ""),
        ("", '{"', ""),
        ("", '{"score":1}', "x"),
        ("[", '{"score": 5},', ""),
        ("", "<score>", "5"),
        ("", "<", "5"),
        ("", "[[5]]", ""),
        ("", "\\boxed{", "5}"),
        ("", "\\text{", "5"),
        ("", "$", "5"),
        ("", "_", "5"),
        ("", "*a ", "5"),
        ("", "~~a", "5"),
        ("", '"a ', "5"),
        ("", "\n", "5"),
        ("", "5\n", ""),
        ("", "- ", "5"),
        ("", "-", "5"),
        ("", "\u200b", "5"),
        ("", "\u3000", "5"),
        ("", "８", "5"),
        ("", "0 to 100 ", ""),
        ("", "between 5 and ", "5"),
        ("", "max ", "5"),
        ("", "85/100 ", ""),
        ("", "5점", ""),
        ("", "punktepunkte", "5"),
    ],
)
def test_a_long_reply_takes_no_long_time(head: str, piece: str, tail: str) -> None:
    reply = head + piece * (SIZE // len(piece)) + tail
    started = time.process_time()
    read_score(reply)
    assert time.process_time() - started < 10  # a square of the size would take hours


@given(st.text())
def test_any_text_is_read_or_not_but_never_outside_the_scale(reply: str) -> None:
    points = read_score(reply)
    assert points is None or 0 <= points <= 100


@given(st.text(alphabet=" score:/10of-.,%{}\"'`*\n점수만에<think>"))
def test_texts_like_scores_are_no_exception(reply: str) -> None:
    points = read_score(reply)
    assert points is None or 0 <= points <= 100


@given(st.integers(), st.text(alphabet=st.characters(blacklist_categories=["Nd"])))
def test_a_last_labelled_whole_number_counts_if_it_is_on_the_scale(
    number: int, reasons: str
) -> None:
    expected = number if 0 <= number <= 100 else None
    assert read_score(f"{reasons}\nScore: {number}") == expected
    assert read_score(json.dumps({"reason": reasons, "score": number})) == expected
    assert read_score(str(number)) == expected
