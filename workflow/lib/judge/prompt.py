"""The question to a judge: a template file filled with an entry and one or two responses."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from workflow.lib.data.entries import Entry
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.yaml_files import read_yaml
from workflow.lib.settings.base import Section
from workflow.lib.settings.judges import REFERENCE, ServerJudge
from workflow.lib.settings.mistakes import in_words
from workflow.lib.tokens.prompt_style import PROMPTS, PromptStyle, load_style, prompt_file

JUDGE_PROMPTS = PROMPTS / "judge"
PLACEHOLDERS = ("prompt", "output", "model_response")

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")
# Marks that delimit the turns of a chat. A server reads them even inside a message, so a response
# that holds them could end the question and write the judge's reply itself. Besides known ones, any
# name with an underscore between angle brackets, or in capitals between square ones, counts: no tag
# of HTML has one.
_TURN_MARKS = re.compile(
    r"""<(?=[|｜]) | (?<=[|｜])>
    | <(?=<\s*/?\s*sys\s*>>)
    | <(?=/?[\w:.-]*_[\w:.-]*>)
    | <(?=/?(?:\w+:)?(?:s|[beps]o[stdp]|eot|unk|pad|sep|cls|mask|think|tools?|user|assistant|system
        |human|bot|ai|用户|unused\d+)>)
    | \[(?=\|[^|\n]{1,40}\|\])
    | \[(?=/?(?:inst|sys|think|args|img|image|audio|prefix|middle|suffix|[bes]os|eot|pad|unk|cls
        |sep|g?mask)\])
    | \[(?=/?(?-i:[A-Z0-9]*_[A-Z0-9_]*)\])""",
    re.IGNORECASE | re.VERBOSE,
)


PromptT = TypeVar("PromptT", bound="BasePrompt")


class Scale(Section):
    """The numbers that a prompt asks for; mapped to 0 and 100."""

    worst: int = 0
    best: int = 100

    @model_validator(mode="after")
    def goes_up(self) -> "Scale":
        if self.worst >= self.best:
            raise ValueError(f"best {self.best} should be above worst {self.worst}")
        return self


class BasePrompt(Section):
    """What all files of workflow/prompts/judge share; integer.yaml explains the keys."""

    entry: str = Field(description="prompt style that renders instruction and input")
    template: str = Field(description="the question, every placeholder between backticks")
    format: dict[str, Any] | None = Field(None, description="JSON schema of the reply")
    again: str | None = Field(None, description="what is said where a reply cannot be read")

    placeholders: ClassVar[tuple[str, ...]] = PLACEHOLDERS  # of the template
    optional: ClassVar[tuple[str, ...]] = ()  # those that may be missing

    @model_validator(mode="after")
    def has_its_placeholders_between_backticks(self) -> Self:
        found = [match[1] for match in _PLACEHOLDER.finditer(self.template)]
        missing = set(self.optional) - set(found)
        if sorted(found) != sorted(set(self.placeholders) - missing):
            wanted = ", ".join(f"{{{name}}}" for name in self.placeholders if name not in missing)
            raise ValueError(
                f"template: should have {wanted} once each, "
                f"not {', '.join(f'{{{name}}}' for name in found) or 'none'}"
            )
        for match in _PLACEHOLDER.finditer(self.template):
            before, after = self.template[: match.start()], self.template[match.end() :]
            if not (before.rstrip().endswith("`") and after.lstrip().startswith("`")):
                raise ValueError(
                    f"template: {match[0]} should stand between backticks, which separate a "
                    "response from the question to the judge"
                )
        return self

    @property
    def again_text(self) -> str:
        """What is said to the judge where its reply cannot be read."""
        raise NotImplementedError

    @cached_property
    def style(self) -> PromptStyle:
        """The prompt style named by `entry`."""
        return load_style(self.entry)

    def filled(self, entry: Mapping[str, str], **responses: str) -> str:
        """Return the question about responses to an entry (listing 7.11).

        All placeholders are filled in one pass, so braces in a response stay what they are.
        Inside the texts, backticks, which delimit them, become apostrophes, and the marks that
        delimit the turns of a chat are broken up; other texts keep every byte.

        Args:
            entry: instruction, input and output.
            responses: by placeholder.
        """
        asked = Entry(
            instruction=entry["instruction"], input=entry["input"], output=entry["output"]
        )
        texts = {"prompt": self.style.prompt(asked), "output": entry["output"], **responses}
        return _PLACEHOLDER.sub(lambda match: _disarm(texts[match[1]]), self.template)


class JudgePrompt(BasePrompt):
    """A prompt that asks for a score."""

    scale: Scale = Scale()

    @property
    def again_text(self) -> str:
        """What is said to the judge where no score can be read from its reply."""
        ends = f"from {self.scale.worst} to {self.scale.best}"
        return self.again or f"Respond with the score alone, an integer number {ends}."

    def question(self, entry: Mapping[str, str]) -> str:
        """Return the question about one response.

        Args:
            entry: instruction, input, output and model_response.
        """
        return self.filled(entry, model_response=entry["model_response"])


class PairPrompt(BasePrompt):
    """A prompt that asks which of two responses is better; pairs.yaml explains the keys."""

    placeholders = ("prompt", "output", "response_a", "response_b")
    optional = ("output",)

    @property
    def shows_reference(self) -> bool:
        """Whether the judge sees the reference answer."""
        return "{output}" in self.template

    @property
    def again_text(self) -> str:
        """What is said to the judge where no verdict can be read from its reply."""
        return self.again or "Respond with the verdict alone: A, B or tie."

    def question(self, entry: Mapping[str, str], first: str, second: str) -> str:
        """Return the question about two responses, in the order in which they are shown."""
        return self.filled(entry, response_a=first, response_b=second)


def load_judge_prompt(name: str) -> JudgePrompt:
    """Read a file of a prompt that asks for a score.

    Args:
        name: a file of workflow/prompts/judge without .yaml, or the path of your own: anything
            with a slash or ending in .yaml.

    Raises:
        UserError: there is no such file, or it is broken; one line.
    """
    return _load(name, JudgePrompt)


def load_pair_prompt(name: str) -> PairPrompt:
    """Read a file of a prompt that asks which response is better; as `load_judge_prompt`."""
    return _load(name, PairPrompt)


def prompt_of(judge: ServerJudge) -> JudgePrompt | PairPrompt:
    """Read the prompt of a judge.

    Raises:
        UserError: as `load_judge_prompt`; or it shows the reference beside the reference.
    """
    if not judge.pairwise:
        return load_judge_prompt(judge.prompt)
    prompt = load_pair_prompt(judge.prompt)
    if judge.baseline == REFERENCE and prompt.shows_reference:
        raise UserError(
            f"judge prompt {judge.prompt}: shows the reference, which is the baseline as well and "
            "would always win; take a prompt without {output}, such as pairs-free"
        )
    return prompt


def _load(name: str, kind: type[PromptT]) -> PromptT:
    """Read a file of workflow/prompts/judge as a prompt of one kind."""
    path = prompt_file("judge prompt", name, JUDGE_PROMPTS)
    try:
        prompt = kind.model_validate(read_yaml(path, "judge prompt"))
    except ValidationError as error:
        mistakes = "; ".join(in_words(detail) for detail in error.errors())
        raise UserError(f"judge prompt {path}: {mistakes}") from error
    try:
        _ = prompt.style
    except UserError as error:
        raise UserError(f"judge prompt {path}: entry: {error}") from error
    return prompt


def _disarm(text: str) -> str:
    """Return a text that can end neither its own quotation nor the turn of the chat."""
    text = _TURN_MARKS.sub(lambda match: {"<": "‹", ">": "›", "[": "("}[match[0]], text)
    # JSON can hold half a surrogate pair; no server accepts it.
    return text.replace("`", "'").encode("utf-8", "replace").decode("utf-8")
