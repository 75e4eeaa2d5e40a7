"""Prompt styles: how an entry becomes the text a model reads (listing 7.2, exercise 7.1)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Formatter

import yaml

from workflow.lib.errors import UserError

PROMPTS = Path(__file__).resolve().parents[1] / "prompts"


@dataclass(frozen=True)
class PromptStyle:
    """A file of workflow/prompts.

    Args:
        instruction: template with {instruction}.
        input: template with {input}, left out where an entry's input is empty.
        response: template with {output}.
    """

    instruction: str
    input: str
    response: str

    def prompt(self, entry: Mapping[str, str]) -> str:
        """What the model is given: the chapter's format_input."""
        text = self.instruction.format(instruction=entry["instruction"])
        return text + (self.input.format(input=entry["input"]) if entry["input"] else "")

    def completion(self, entry: Mapping[str, str]) -> str:
        """What the model should write after the prompt: header and answer (listing 7.4)."""
        return self.response.format(output=entry["output"])

    def answer(self, written: str) -> str:
        """The answer in what the model wrote: header and outer white space removed (listing 7.9).

        Args:
            written: the generated text alone, without the prompt.
        """
        header = self.response.format(output="").strip()
        return written.replace(header, "").strip()

    def as_dict(self) -> dict[str, str]:
        """The templates by name, for params that decide on reruns."""
        return asdict(self)


def load_style(name: str, folder: Path = PROMPTS) -> PromptStyle:
    """Read a prompt style.

    Args:
        name: a file of the folder, without .yaml.

    Raises:
        UserError: there is no such style, or its file is broken.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        styles = sorted(p.stem for p in folder.glob("*.yaml"))
        near = get_close_matches(name, styles, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(styles)}"
        raise UserError(f"unknown prompt style {name!r}; {hint}")
    try:
        templates = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    wanted = {"instruction": "instruction", "input": "input", "response": "output"}
    if not isinstance(templates, dict) or set(templates) != set(wanted):
        raise UserError(f"{path}: should have the keys {', '.join(wanted)}, and only those")
    for key, placeholder in wanted.items():
        _check_template(path, key, templates[key], placeholder)
    return PromptStyle(**templates)


def _check_template(path: Path, key: str, template: object, placeholder: str) -> None:
    """A template is text with exactly its own placeholder."""
    try:
        found = [field for _, field, _, _ in Formatter().parse(str(template)) if field is not None]
    except ValueError as error:
        raise UserError(
            f"{path}: {key}: {error}; a brace itself is written {{{{ or }}}}"
        ) from error
    if not isinstance(template, str) or found != [placeholder]:
        raise UserError(f"{path}: {key}: should be text with {{{placeholder}}} in it, once")
