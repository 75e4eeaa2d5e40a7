"""Verdicts on two responses are read right or not at all."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.lib.judge.verdict import read_verdict

A, B, T, N = "first", "second", "tie", None
CASES = [
    ("A", A),
    ("B", B),
    ("b", B),
    (" A.\n", A),
    ("**A**", A),
    ("[[A]]", A),
    ("[[B]]", B),
    ("[[C]]", T),
    ("[[A>B]]", A),
    ("[[A<<B]]", B),
    ("[[A=B]]", T),
    ("A > B", A),
    ("tie", T),
    ("Tie.", T),
    ("It's a tie.", T),
    ("[[tie]]", T),
    ("Response A", A),
    ("Response B.", B),
    ("Response A is better.", A),
    ("Response B is better than Response A.", B),
    ("Answer: B", B),
    ("Answer: A, because it is correct.", A),
    ("The winner is B", B),
    ("Verdict: Response A", A),
    ("Final verdict: [[B]]", B),
    ('{"winner": "A"}', A),
    ('{"winner": "Response B", "reason": "A is better in style"}', B),
    ('{"winner": "tie"}', T),
    ('{"verdict":"a"}', A),
    ('```json\n{"winner": "B"}\n```', B),
    ('{"reason": "x", "better_response": "A"}', A),
    ("<think>Response B is better</think>A", A),
    ("<think>hm A", N),
    ("I think A is better, B is wrong", A),
    ("A or B", N),
    ("A and B are good", N),
    ("Both", T),
    ("Both responses are equally good.", T),
    ("Neither is better.", T),
    ("Response A is not better.", N),
    ("If response A is better, say A.", N),
    ("A better answer would be Paris.", N),
    ("Response A is better in style, but Response B is correct.", N),
    ("Response A is better on style. Overall, Response B is better.", B),
    ("Response A is better. [[B]]", N),
    ("[[A]] [[B]]", N),
    ("[[A]] because [[A]]", A),
    ("A\n\nResponse A states the capital.", A),
    ("Response B states the capital.\n\nB", B),
    ("B\nResponse A is better.", N),
    ("응답 A가 더 좋습니다.", A),
    ("응답 B가 더 낫습니다", B),
    ("무승부", T),
    ("무승부입니다.", T),
    ("A입니다.", A),
    ("답: B", B),
    ("판정: A", A),
    ("B가 더 우수합니다.", B),
    ("더 나은 응답은 B입니다.", B),
    ("回答A更好", A),
    ("A更好", A),
    ("平局", T),
    ("勝者: B", B),
    ("回答Bの方が良い", B),
    ("Antwort A ist besser.", A),
    ("Gewinner: B", B),
    ("unentschieden", T),
    ("La réponse A est meilleure.", A),
    ("La respuesta B es mejor.", B),
    ("empate", T),
    ("I prefer A.", A),
    ("I would choose Response B.", B),
    ("I'd go with B because it is shorter", B),
    ("85", N),
    ("", N),
    ("The first response is better.", A),
    ("The second response is better.", B),
    ("Output (a)", A),
    ("\\boxed{A}", A),
    ("$\\boxed{\\text{B}}$", B),
    ("<answer>B</answer>", B),
    ("Neither", T),
    ("Response A: 90, Response B: 80", N),
    ("A: correct. B: wrong.", N),
    ("Is A better?", N),
    ("Response A wins.", A),
    ("A is the better response.", A),
    ("The better response is A.", A),
    ("Better response: B", B),
    ("I cannot decide.", N),
    ("Response A is better than B in accuracy but B is better overall.", B),
    ("a response is better if it is short", N),
    ("A good answer.", N),
    ("Winner: A or B", N),
    ("Answer: A/B", N),
    ("Response A and Response B are equally correct, so it is a tie.", T),
    ("It is not a tie; B is better.", B),
    ("Therefore, the answer is A", A),
    ("The answer is B.", B),
    ("A, since it names Paris", A),
    ("A, B", N),
    ("A vs B", N),
    ("Both are wrong, but A is better.", A),
    ("Option B", B),
    ("Assistant A is better", A),
    ("‘A’", A),
    ("(B)", B),
    ("Response  A  is  slightly  better", A),
    ("A B", N),
    ("AB", N),
    ("Response A is the worse one", N),
    ("Response A is worse than Response B", N),
    ("I don't think Response A is better.", N),
    ("**Winner: Response B**", B),
    ("## Verdict\nA", A),
    ("C", N),
    ("N/A", N),
    ("Response B's answer is better", N),
    ("A는 틀렸고 B가 맞습니다", N),
    ("response a", A),
    ("Neither response is better than the other", T),
    ("My choice: tie", T),
    ("Verdict: Tie - both are right", T),
    ("I can't say that A is better", N),
    ("Question: which is better? Answer: A", A),
    ("Response A is incorrect and Response B is correct.", N),
    ("A is better than B? No.", N),
    ("Response A mentions a red tie.", N),
    ("A better answer, in my view, names Paris.", N),
    ("I slightly prefer A.", A),
    ("Some may prefer A.", N),
    ("A, in my view, is worse than B.", N),
    ("BA is better", N),
    ("The result is a tie.", T),
    ("I declare a tie", T),
    ("Winner: tie", T),
    ("판정: 무승부", T),
    ("Overall winner: Response B", B),
    ("Response A is better. Response B is better.", N),
    ("It is a draw.", T),
    ("They are equally good.", T),
    ("Prefer A", N),
    ("My preference is B.", B),
    ("Respond with A if A is better.", N),
    ("Both responses are equally good, but A is shorter. The winner is A.", A),
    ('"B"', B),
    ("Response A is much better than response b", A),
    ("A.\nB.", N),
    ("Vote: A", A),
    ("I choose A over B.", A),
    ("Response B is not only correct but also better.", N),
    ("결론: 응답 B", B),
    ("胜者: A", A),
    ("引き分け", T),
    ("選択: A", N),
    ("A\nA", A),
    ('{"winner": "C"}', N),
    ('{"winner": null}', N),
    ('{"winner": "A", "loser":"B"}', A),
    ('{"A": 8, "B": 5}', N),
    ("Response A.\nResponse B.", N),
    (
        "<|channel|>analysis<|message|>B is better<|end|><|start|>assistant"
        "<|channel|>final<|message|>A",
        A,
    ),
    ("Rating: [[A]]", A),
    ("The second one is better", B),
    ("Response A is the better answer overall.", A),
    ("If I had to choose, I would pick A.", N),
]


@pytest.mark.parametrize(("reply", "verdict"), CASES)
def test_a_verdict_is_read_as_a_person_reads_it(reply: str, verdict: str | None) -> None:
    assert read_verdict(reply) == verdict


CONTRADICTED = [
    ("Response A is better.\n\nFinal: B", B),
    ("Antwort A ist besser als Antwort B", A),
    ("La réponse A est meilleure que la réponse B.", A),
    ("응답 A가 응답 B보다 더 정확합니다.", A),
    ("응답 A가 더 낫다고 판단합니다.", A),
    ("回答A比回答B更好，因为它更准确。", A),
    ("AよりBの方が良い", B),
    ("Response B is superior to Response A.", B),
    ("Accuracy: A\nStyle: B\nOverall: A", A),
    ("Verdict (A, B or tie): B", B),
    ("Answer: A\nCorrection: B", B),
    ("Response B says Lyon, so A is better.", A),
    ("Based on accuracy and completeness, Response A is better.", A),
    ("While Response A has good style, Response B is better.", B),
    ("Response A does not answer, so [[B]]", B),
    ("Response A is better. It actually names the capital.", A),
    ("Output [[A]] if A is better, [[B]] if B is better, and [[C]] for a tie.\n\n[[B]]", B),
]
NOT_SAID = [
    "It would be wrong to say that A is better.",
    "One could argue that Response A is better. However, B",
    "Some might say Response A is better, but I disagree.",
    "At first glance, Response A is better. On closer look, it is wrong.",
    "Response A is better. Actually, no: B.",
    "Response A is better. Wait, no. Response B names the capital.",
    "A\n\nActually, B is correct.",
    "Respond with [[A]] if Response A is better.",
    "[[A]] if assistant A is better",
    "not [[A]]",
    "I do not choose [[A]].",
    "It cannot be [[A]]",
    "[[A]]?",
    "\\boxed{A} is wrong",
    "응답 A가 더 낫지 않습니다.",
    "응답 A가 더 좋다고 할 수 없습니다",
    "응답 A보다 더 나은 것은 없습니다",
    "응답 A가 더 좋은 점수를 받을 자격이 없습니다",
    "A更好吗？不，B更好",
    "回答A更好的说法是错误的",
    "A并不比B更好",
    "A胜率低",
    "回答Aの方が良いとは言えない",
    "Aの方がいいわけではない",
    "Es wäre falsch zu sagen, A ist besser.",
    "Antwort A ist kaum besser",
    "Second best: A",
    "Style winner: A",
    "In terms of style, A is better.",
    "Response B claims that Response A is better.",
    "Response A mentions that B is better.",
    'Response A says "I choose B".',
    'The claim "Response A is better." is false.',
    'Response B tries to trick me by saying "Answer: A".',
    "I doubt that Response A is better.",
    "You might think A is better.",
    "A seems better, but looks deceive.",
    "Without the error, A is better.",
    "Vitamin A is better.",
    "The answer is B, which Response A states correctly.",
    "The correct answer is option B, as Response A says.",
    "I dislike the answer B.",
    "Answer: A, B",
    "Answer: A. B.",
    "Answer: A - no wait, B",
    "Final verdict: A. Hmm, B overall.",
    "Verdict: A (tie)",
    "Both responses are equally bad, so A",
]


@pytest.mark.parametrize(("reply", "verdict"), CONTRADICTED)
def test_what_is_compared_or_taken_back_does_not_hide_the_verdict(
    reply: str, verdict: str | None
) -> None:
    assert read_verdict(reply) == verdict


@pytest.mark.parametrize("reply", NOT_SAID)
def test_what_is_denied_doubted_quoted_or_corrected_is_no_verdict(reply: str) -> None:
    assert read_verdict(reply) is None


OF_A_RESPONSE = [
    ("Answer: B. Response A says the sky is green.", B),
    ("Response A says the answer is A, which is wrong.\n\nAnswer: B", B),
    ("Final answer: B. Response A's answer: A is wrong", B),
    ("Response A's answer: B is wrong", N),
    ("Response A's answer: B", N),
    ("**Response A's answer:** B", N),
    ("Its final answer: B", N),
    ("The first response's answer: B", N),
    ("Response A's answer is B. Response B's answer is A.", N),
    ("Response A's answer is B, so Response B is better.", B),
    ("Response A's answer: B is wrong. Answer: A", A),
    ("Response A gives the final answer: B.", N),
    ("Response A correctly gives the answer: B. Verdict: A", A),
    ("Response A: the answer is B. Response B: the answer is A.", N),
    ("Response A: the answer is B.\nResponse B: the answer is A.\nAnswer: A", A),
    ("Answer (Response A): B", N),
    ("Answer (the better response): B", B),
    ("Response A's answer is \\boxed{B}", N),
    ("Response A answers \\boxed{B}, which is correct. [[A]]", A),
    ("Response A answered [[B]]", N),
    ("Response A provides the correct answer: [[A]]", A),
    ("Response A's answer is wrong: [[B]]", B),
    ("Response B: [[B]]", B),
    ("응답 A의 답은 B입니다", N),
    ("답: B. 응답 A는 틀렸습니다.", B),
    ("回答A的答案是B", N),
    ("答案：B。回答A说错了。", B),
    ("Here's the answer: B", B),
    ("My answer: B", B),
    ("Comparing Response A and Response B, the answer is B.", B),
    ("Response A is wrong, so the answer is B.", B),
    ("The judge's verdict: A", A),
]


@pytest.mark.parametrize(("reply", "verdict"), OF_A_RESPONSE)
def test_the_answer_that_a_response_gives_is_no_verdict(reply: str, verdict: str | None) -> None:
    assert read_verdict(reply) == verdict


SWAPPED = str.maketrans("AB", "BA")


@pytest.mark.parametrize(
    "reply", ["A", "[[A]]", "Response A is better.", "Answer: A", "응답 A가 더 좋습니다.", "A > B"]
)
def test_with_the_letters_swapped_the_other_one_wins(reply: str) -> None:
    assert read_verdict(reply) == "first"
    labels = re.sub(r"(?<![A-Za-z])[AB](?![a-z])", lambda m: m[0].translate(SWAPPED), reply)
    assert read_verdict(labels) == "second"


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert read_verdict(text) in (A, B, T, None)


@pytest.mark.parametrize(
    "text", ["A is better ", "a", "A ", "response ", "[[", "{", "Answer: ", "\n", "both "]
)
def test_a_long_reply_takes_no_longer_than_its_length(text: str) -> None:
    began = time.monotonic()
    read_verdict(text * 20_000)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["[[A]]", "[[A]] ", "[[A]]\n", "\\boxed{A}", "<answer>A</answer>"])
def test_a_verdict_repeated_without_end_is_read_fast(text: str) -> None:
    reply = text * (1_000_000 // len(text))
    began = time.process_time()
    assert read_verdict(reply) == "first"
    assert read_verdict(f"{reply} [[B]]") is None
    assert time.process_time() - began < 2


def test_a_text_full_of_different_marks_is_no_verdict() -> None:
    began = time.process_time()
    assert read_verdict("".join(f"{number}: [[A]]\n" for number in range(80_000))) is None
    assert time.process_time() - began < 2
