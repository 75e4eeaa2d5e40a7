"""A prompt style may leave out `input`; an entry that has one is then refused, not shortened."""

import pytest

from workflow.lib.export.chat_template import chat_template
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.prompt_style import load_style


@pytest.fixture
def style(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("instruction: 'Q: {instruction}'\nresponse: '\\nA: {output}'\n")
    return load_style(str(path))


def test_entries_without_input_need_none(style):
    entry = {"instruction": "Add.", "input": "", "output": "3"}
    assert style.prompt(entry) + style.completion(entry) == "Q: Add.\\nA: 3"


def test_an_input_without_a_place_is_refused(style):
    with pytest.raises(UserError, match="no `input`, but the entry with the instruction 'Add"):
        style.prompt({"instruction": "Add.", "input": "1, 2", "output": "3"})


def test_the_chat_template_refuses_it_too(style):
    assert "this model was taught no input" in chat_template(style)
