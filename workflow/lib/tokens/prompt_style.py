"""Prompt styles: the text that an entry becomes for the model (listing 7.2, exercise 7.1)."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from workflow.lib.data.entries import Entry
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import local_path, why_unreadable
from workflow.lib.runtime.names import choose, in_one_line, shown
from workflow.lib.runtime.yaml_files import read_yaml

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"


@dataclass(frozen=True)
class PromptStyle:
    """The templates of a file in workflow/prompts.

    Args:
        instruction: contains {instruction}.
        input: contains {input}; omitted if the input of an entry is empty. None for a style of
            entries without input.
        response: response header and {output}.
    """

    instruction: str
    input: str | None
    response: str

    def prompt(self, entry: Entry) -> str:
        """Return the prompt of an entry: the chapter's format_input.

        Raises:
            UserError: the entry has an input, and the style has no place for it.
        """
        text = self.instruction.format(instruction=entry["instruction"])
        if not entry["input"]:
            return text
        if self.input is None:
            raise UserError(
                f"the prompt style has no `input`, but the entry with the instruction "
                f"{shown(entry['instruction'])} has the input {shown(entry['input'])}; add `input` "
                "to the style, or set `fields: {input: null}` of the data set to leave inputs out"
            )
        return text + self.input.format(input=entry["input"])

    def completion(self, entry: Entry) -> str:
        """Return the completion to learn: response header and output (listing 7.4)."""
        return self.response.format(output=entry["output"])

    def answer(self, written: str) -> str:
        """Return generated text without response header and outer white space (listing 7.9).

        Args:
            written: the generated text, without the prompt.
        """
        header = self.response.format(output="").strip()
        return written.replace(header, "").strip()


def load_style(name: str) -> PromptStyle:
    """Read a prompt style.

    Args:
        name: a file of workflow/prompts, without .yaml, or the path of your own.

    Raises:
        UserError: there is no such style, or its file is not a prompt style.
    """
    kind = "prompt style"
    path = prompt_file(kind, name, PROMPTS)
    return style_of(read_yaml(path, kind), f"{kind} {path}")


def style_of(templates: Any, source: str) -> PromptStyle:
    """Return the prompt style of templates, as a file holds them.

    Args:
        source: where they are from, for messages.

    Raises:
        UserError: they are no prompt style.
    """
    wanted = {"instruction": "instruction", "input": "input", "response": "output"}
    keys = f"should have the keys {', '.join(wanted)}, and only those"
    optional = {"input"}
    if not isinstance(templates, dict):
        raise UserError(f"{source}: {keys}")
    if wrong := [f"has no {key}" for key in wanted if key not in templates.keys() | optional]:
        raise UserError(f"{source}: {' and '.join(wrong)}; {keys}")
    if wrong := [str(key) for key in templates if key not in wanted]:
        raise UserError(f"{source}: unknown key {', '.join(wrong)}; {keys}")
    for key, template in templates.items():
        if mistake := _mistake_of(template, wanted[key]):
            raise UserError(in_one_line(f"{source}: {key}: {mistake}"))
    return PromptStyle(**{"input": None, **templates})


def prompt_file(kind: str, name: str, folder: Path) -> Path:
    """Return the file that a name in config.yaml refers to.

    Args:
        kind: what it is, for messages.
        name: a file of the folder, without .yaml, or a path: with a slash, or ending in .yaml.
        folder: folder of the files that come with the workflow.

    Raises:
        UserError: there is no such file.
    """
    if _is_path(name):
        try:
            path = local_path(name)
        except ValueError as error:
            raise UserError(f"{kind} {name}: {error}") from error
        if problem := why_unreadable(path):
            raise UserError(in_one_line(f"{kind} {name}: {problem}"))
        return path
    return choose(kind, name, {path.stem: path for path in folder.glob("*.yaml")})


def prompt_folder(name: str) -> str:
    """Return the folder name for the results of a prompt style.

    Returns:
        The style's name; for a path, the file's name and a digest of the path, so that two files
        with the same name are two styles.
    """
    if not _is_path(name):
        return name
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", Path(name).stem)
    return f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _mistake_of(template: Any, placeholder: str) -> str | None:
    """Return why a value is not text with exactly this placeholder; None if it is."""
    wanted = f"should be text with {{{placeholder}}} in it, once"
    if not isinstance(template, str):
        return wanted
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        return f"{error}; write {{{{ or }}}} for a literal brace"
    found = [name for _, name, *_ in fields]
    if found != [placeholder] or fields[0][2:] != ("", None):  # no {input!r}, no {input:>9}
        return f"{wanted}, not {', '.join(f'{{{name}}}' for name in found) or 'none'}"
    return None
