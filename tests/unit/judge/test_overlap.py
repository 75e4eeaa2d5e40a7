"""The judge without a server keeps to its formula."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.lib.judge.backends.overlap import Overlap, overlap_score


def score(output: str, response: str, instruction: str = "Do it.", input: str = "") -> int:
    entry = {"instruction": instruction, "input": input, "output": output}
    return overlap_score(entry, response)


def test_the_label_does_not_call_it_a_judgment() -> None:
    assert Overlap(backend="overlap").label == "reference-overlap score, not an LLM's judgment"


@pytest.mark.parametrize(
    ("output", "response", "expected"),
    [
        ("Jane Austen.", " Jane Austen.\n", 100),  # equal but for outer white space
        ("Jane Austen.", "jane austen.", 70),  # case counts for 100
        ("Jane Austen.", "Jane", round(70 * 2 / 3)),
        ("Jane Austen.", "Emily Brontë", 0),
        ("yes yes no", "yes yes yes", round(70 * 2 / 3)),  # words count as often as they occur
        ("It isn't.", "It isn't!", 70),  # an apostrophe belongs to its word
        ("cafés", "cafés!", 70),  # so do letters beyond ASCII
        ("적란운입니다.", "적란운입니다", 70),
        ("?!", "...", 0),  # no words at all
        ("", "", 100),
        ("", "word", 0),
    ],
)
def test_words_are_compared_with_the_reference(output: str, response: str, expected: int) -> None:
    assert score(output, response) == expected


@pytest.mark.parametrize(
    ("instruction", "output", "response", "wrong"),
    [
        ("法国的首都是哪里？", "法国的首都是巴黎。", "巴黎是法国的首都。", "我不知道。"),
        ("フランスの首都はどこですか。", "首都はパリです。", "パリが首都です。", "分かりません。"),
        ("เมืองหลวงของฝรั่งเศสคืออะไร", "เมืองหลวงคือปารีส", "ปารีสคือเมืองหลวง", "ไม่ทราบ"),
        ("រដ្ឋធានីបារាំងគឺជាអ្វី", "រដ្ឋធានីគឺប៉ារីស", "ប៉ារីសគឺរដ្ឋធានី", "មិនដឹង"),
        ("ပြင်သစ်မြို့တော်", "မြို့တော်က ပါရီ", "ပါရီက မြို့တော်", "မသိဘူး"),
        ("ນະຄອນຫຼວງຂອງຝຣັ່ງ", "ນະຄອນຫຼວງແມ່ນປາຣີ", "ປາຣີແມ່ນນະຄອນຫຼວງ", "ບໍ່ຮູ້"),
    ],
)
def test_without_spaces_between_words_every_character_is_one(
    instruction: str, output: str, response: str, wrong: str
) -> None:
    assert score(output, response, instruction) >= 50
    assert score(output, wrong, instruction) <= 20


def test_korean_has_words() -> None:
    assert score("수도는 파리입니다", "파리입니다 수도는") == 70
    assert score("적란운입니다", "적운입니다") == 0


def test_words_of_the_question_give_no_points() -> None:
    instruction = "What type of cloud is associated with thunderstorms?"
    output = "The type of cloud associated with thunderstorms is cumulonimbus."
    wrong = "The type of cloud associated with thunderstorms is a cumulus."
    # Left are {the, cumulonimbus} and {the, a, cumulus}.
    assert score(output, wrong, instruction) == round(70 * 2 * 1 / (2 + 3))


def test_if_the_question_holds_all_words_all_words_count() -> None:
    assert score("cat dog", "dog cat", "Swap: dog cat") == 70


@pytest.mark.parametrize(
    ("output", "response", "agreement"),
    [
        ("about 10 cm", "about 12 cm", 0),
        ("about 10 cm", "about 10.0 cm", 2 * 3 / (3 + 4)),  # by value; as words 10 and 0
        ("1 of 2", "2 of 1", 1),  # a set
        ("1 of 2", "1 of 1", (4 / 6) * 1 / 2),
        ("none of us", "none of 3 us", 0),
    ],
)
def test_numbers_are_compared_by_value(output: str, response: str, agreement: float) -> None:
    assert score(output, response) == round(70 * agreement)


def test_a_copy_of_the_input_scores_nothing_unless_it_is_the_reference() -> None:
    sentence, wanted = "We must finish by noon.", "Must we finish by noon?"
    assert score(wanted, "must we finish by noon", "Ask it.", sentence) == 70
    assert score(wanted, sentence, "Ask it.", sentence) == 0
    assert score(wanted, "we must finish, by noon", "Ask it.", sentence) == 0  # same words
    assert score(sentence, sentence, "Correct it if needed.", sentence) == 100


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_it_is_a_whole_number_up_to_70_or_100(
    instruction: str, input: str, output: str, response: str
) -> None:
    points = score(output, response, instruction, input)
    assert isinstance(points, int)
    assert points == 100 if output.strip() == response.strip() else 0 <= points <= 70
