"""The tokens that a server says it read tell whether it read the whole question."""

import pytest

from workflow.lib.judge.tokens_read import is_implausible, was_cut

ENGLISH = "The model's response repeats the instruction and adds a wrong number of words. " * 200


@pytest.mark.parametrize("tokens", [2048, 2047, 1037, 1026, 700])
def test_cuts_of_all_versions_are_seen(tokens: int) -> None:
    assert was_cut(ENGLISH, tokens, 2048)


@pytest.mark.parametrize(
    "text", [ENGLISH[:4500], "이 문장은 한국어로 쓴 답입니다. " * 100, " " * 50_000]
)
@pytest.mark.parametrize("tokens", [1030, 1100, 1500, 2046])
def test_whole_questions_are_not_taken_for_cut_ones(text: str, tokens: int) -> None:
    assert not was_cut(text, tokens, 2048)


def test_few_tokens_are_implausible_in_any_script() -> None:
    assert is_implausible(ENGLISH, 100)
    assert is_implausible("점수" * 1000, 100)
    assert not is_implausible(ENGLISH, len(ENGLISH) // 5)
    assert not is_implausible("점수" * 1000, 1500)
    assert not is_implausible(ENGLISH, None)
    assert not is_implausible(ENGLISH, 0)  # the server counts none
