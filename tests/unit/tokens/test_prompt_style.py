"""Prompt styles are the published ones, to the byte."""

import re

import pytest

from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.prompt_style import load_style, prompt_folder

ENTRY = {"instruction": "Identify the correct spelling.", "input": "Ocassion", "output": "Occasion"}
BARE = {**ENTRY, "input": ""}


def test_alpaca_with_and_without_input():
    style = load_style("alpaca")
    start = (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nIdentify the correct spelling."
    )
    assert style.prompt(BARE) == start
    assert style.prompt(ENTRY) == start + "\n\n### Input:\nOcassion"
    assert style.completion(ENTRY) == "\n\n### Response:\nOccasion"


def test_korean_alpaca_is_the_chapters():
    """Listing 7.2 and the response header of listing 7.4 of the Korean edition."""
    style = load_style("alpaca-ko")
    assert style.prompt(ENTRY) == (
        "아래는 작업을 설명하는 지시사항입니다. 요청을 적절하게 완료하는 응답을 작성하세요."
        "\n\n### 지시사항:\nIdentify the correct spelling."
        "\n\n### 입력:\nOcassion"
    )
    assert style.completion(ENTRY) == "\n\n### 응답:\nOccasion"


def test_phi3_is_the_published_exercises():
    style = load_style("phi3")
    assert style.prompt(BARE) == "<|user|>\nIdentify the correct spelling."
    assert style.prompt(ENTRY) == "<|user|>\nIdentify the correct spelling.\nOcassion"
    assert style.completion(ENTRY) == "\n<|assistant|>:\nOccasion"


@pytest.mark.parametrize("name", ["alpaca", "alpaca-ko", "phi3"])
def test_the_header_is_removed_from_what_the_model_wrote(name):
    style = load_style(name)
    assert style.answer(style.completion(ENTRY)) == "Occasion"
    assert style.answer("  no header \n") == "no header"


def test_braces_in_an_entry_stay_text():
    entry = {"instruction": "{input} {0} {{x}}", "input": "{output}", "output": "{instruction}"}
    style = load_style("phi3")
    assert style.prompt(entry) == "<|user|>\n{input} {0} {{x}}\n{output}"
    assert style.completion(entry) == "\n<|assistant|>:\n{instruction}"


def test_an_unknown_style_suggests_the_nearest():
    with pytest.raises(UserError, match="unknown prompt style 'alpacca'; did you mean alpaca"):
        load_style("alpacca")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", r"not YAML \(line 1, column 5"),
        ("[]", "should have the keys instruction, input, response, and only those"),
        ("instruction: '{instruction}'\ninput: '{input}'", "has no response; should have the keys"),
        ("instruction: x\ninput: '{input}'\nresponse: '{output}'", "instruction: should be text"),
        (
            "instruction: '{instruction}'\ninput: '{inptu}'\nresponse: '{output}'",
            r"input: should be text with \{input\} in it, once",
        ),
        ("instruction: '{'\ninput: '{input}'\nresponse: '{output}'", "instruction: .*brace"),
    ],
)
def test_a_broken_style_is_one_line(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        load_style(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(raised.value)


def test_a_style_of_ones_own_is_named_by_its_path(tmp_path):
    path = tmp_path / "my own.yaml"
    path.write_text(
        "instruction: 'Q: {instruction}'\ninput: ' ({input})'\nresponse: '\nA: {output}'"
    )
    style = load_style(str(path))
    assert style.prompt(ENTRY) == "Q: Identify the correct spelling. (Ocassion)"
    folders = {
        prompt_folder(str(path)),
        prompt_folder("other/my own.yaml"),
        prompt_folder("alpaca"),
    }
    assert len(folders) == 3
    assert "alpaca" in folders
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", folder) for folder in folders)
