"""A prompt style as a Jinja chat template."""

import json

from workflow.lib.tokens.prompt_style import PromptStyle

_MARK = "\0"  # in place of an entry's text; no prompt style can hold it


def chat_template(style: PromptStyle) -> str:
    """Return the chat template that renders one instruction and its answer in a prompt style.

    A message of the user is an instruction; an input follows it in the same `content`, joined as
    `content_with_input` says. An `input` beside `content` is rendered as well, but servers such as
    llama.cpp's drop it before the template sees it. The
    generation prompt is the response header, which the chapter leaves to the model; with it the
    model writes the answer alone.

    Returns:
        Jinja source; other roles end in transformers' `raise_exception`.
    """
    instruction, given, response = (
        [_literal(part) for part in template.format(**{name: _MARK}).split(_MARK)]
        for template, name in (
            (style.instruction, "instruction"),
            (style.input or "{input}", "input"),
            (style.response, "output"),
        )
    )
    rendered = f"{{{{- {given[0]} + message['input'] + {given[1]} -}}}}"
    if style.input is None:
        rendered = "{{- raise_exception('this model was taught no input') -}}"
    return "\n".join(
        [
            "{%- for message in messages -%}",
            "{%- if message['role'] == 'user' -%}",
            f"{{{{- {instruction[0]} + message['content'] + {instruction[1]} -}}}}",
            "{%- if message['input'] -%}",
            rendered,
            "{%- endif -%}",
            "{%- elif message['role'] == 'assistant' -%}",
            f"{{{{- {response[0]} + message['content'] + {response[1]} + eos_token -}}}}",
            "{%- else -%}",
            "{{- raise_exception('this model knows the roles user and assistant') -}}",
            "{%- endif -%}",
            "{%- endfor -%}",
            "{%- if add_generation_prompt -%}",
            f"{{{{- {response[0]} -}}}}",
            "{%- endif -%}",
        ]
    )


def content_with_input(style: PromptStyle, instruction: str, given: str) -> str | None:
    """Return the content of a message that holds an instruction and an input.

    Returns:
        None if the style takes no input, or has a text between the instruction and the input that
        the template writes at the end of every message.
    """
    if style.input is None or style.instruction.format(instruction=_MARK)[-1] != _MARK:
        return None
    return instruction + style.input.format(input=given)


def _literal(text: str) -> str:
    """Return text as a string literal of Jinja."""
    return json.dumps(text, ensure_ascii=False)
