"""A prompt style as the Jinja template with which chat programs make prompts."""

import json

from workflow.lib.tokens.prompt_style import PromptStyle

_MARK = "\0"  # stands for an entry's text; no prompt style can hold it


def chat_template(style: PromptStyle) -> str:
    """A template that gives the style's own texts for one instruction and its answer.

    A user's message is an instruction, with `input` beside its `content` if there is one. The
    generation prompt is the response header, which the chapter lets the model write itself: with
    it, what the model writes is the answer alone.

    Returns:
        Jinja, with transformers' `raise_exception` for roles that the model never saw.
    """
    instruction, given, response = (
        [_literal(part) for part in template.format(**{name: _MARK}).split(_MARK)]
        for template, name in (
            (style.instruction, "instruction"),
            (style.input, "input"),
            (style.response, "output"),
        )
    )
    return "\n".join(
        [
            "{%- for message in messages -%}",
            "{%- if message['role'] == 'user' -%}",
            f"{{{{- {instruction[0]} + message['content'] + {instruction[1]} -}}}}",
            "{%- if message['input'] -%}",
            f"{{{{- {given[0]} + message['input'] + {given[1]} -}}}}",
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


def _literal(text: str) -> str:
    """Text as a string literal of Jinja."""
    return json.dumps(text, ensure_ascii=False)
