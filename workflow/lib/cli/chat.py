"""Talk to a finished variant: python -m workflow.lib.cli.chat results/nano-1M/small-world

One instruction a line, from a terminal or a pipe. The model was taught to answer one instruction
at a time, so none remembers the one before.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path

import tiktoken
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflow.lib.cli.program import Parser, run_program
from workflow.lib.cli.variant import Variant, find_variant
from workflow.lib.data.entries import Entry
from workflow.lib.generation.sampling import Choice
from workflow.lib.generation.streaming import stream_answer, stream_tokens
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTModel
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle

HELP = """\
/input TEXT  give the next instruction this input; \\n in it starts a new line
/before      show the model before finetuning too, or no longer
/help        this list
/quit        leave, as control-D does; control-C stops an answer"""
COMMANDS = ("/input", "/before", "/help", "/quit")
SIDE_BY_SIDE = 100  # columns of a terminal that two answers need


@dataclass
class Chat:
    """One conversation.

    Args:
        models: by the label of their answers; the finetuned one comes last.
        variant: loads the model before finetuning when it is wanted.
        device: what they compute on.
        input: of the next instruction.
    """

    variant: Variant
    models: dict[str, GPTModel]
    tokenizer: tiktoken.Encoding
    style: PromptStyle
    settings: Generation
    device: torch.device
    console: Console = field(default_factory=lambda: Console(highlight=False))
    input: str = ""

    def hear(self, line: str) -> bool:
        """Answer an instruction or do what a command says; whether to go on."""
        command, _, rest = line.partition(" ")
        if not line.startswith("/"):
            if line:
                entry: Entry = {"instruction": line, "input": self.input, "output": ""}
                self.answer(entry)
                self.input = ""
        elif command == "/quit":
            return False
        elif command == "/input":
            self.input = rest.strip().replace("\\n", "\n")
        elif command == "/before":
            self.toggle_before()
        elif command == "/help":
            print(HELP)
        else:
            near = get_close_matches(command, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "/help lists them"
            raise UserError(f"unknown command {command}; {hint}")
        return True

    def toggle_before(self) -> None:
        """Have the model before finetuning answer too, or no longer."""
        if "before" in self.models:
            del self.models["before"]
        else:
            base = self.variant.load_base().to(self.device).eval()
            self.models = {"before": base, **self.models}

    def answer(self, entry: Entry) -> None:
        """Show the answers, side by side where there are two and room for them."""
        prompt = self.tokenizer.encode_ordinary(self.style.prompt(entry))
        most = self.variant.record["model"]["context_length"]
        if len(prompt) >= most:
            raise UserError(
                f"the prompt has {len(prompt)} tokens and the model sees {most}; shorten it"
            )
        streams = {label: self._stream(model, prompt) for label, model in self.models.items()}
        wide = self.console.is_terminal and self.console.width >= SIDE_BY_SIDE
        if len(streams) > 1 and wide:
            self._show_beside(streams)
        else:
            self._show_below(streams)

    def _stream(self, model: GPTModel, prompt: list[int]) -> Iterator[str]:
        end, most = self.tokenizer.eot_token, self.settings.max_new_tokens
        tokens = stream_tokens(model, prompt, most, end, Choice(self.settings))
        return stream_answer(tokens, self.tokenizer, self.style)

    def _show_below(self, streams: dict[str, Iterator[str]]) -> None:
        for label, pieces in streams.items():
            if len(streams) > 1:
                self.console.print(Text(f"{label}: ", "bold"), end="")
            for piece in pieces:
                self.console.file.write(piece)
                self.console.file.flush()
            self.console.print()

    def _show_beside(self, streams: dict[str, Iterator[str]]) -> None:
        texts = [Text() for _ in streams]
        table = Table(*streams, expand=True, box=None, padding=(0, 4, 0, 0), title_justify="left")
        table.add_row(*texts)
        for column in table.columns:
            column.ratio = 1
        try:
            with Live(table, console=self.console, transient=True):
                for pieces in zip_longest(*streams.values(), fillvalue=""):
                    for text, piece in zip(texts, pieces, strict=True):
                        text.append(piece)
        finally:
            self.console.print(table)  # for good, however much of it was written


def _instructions(interactive: bool) -> Iterator[str]:
    """Lines that a person types, or those of a pipe, which are shown as if typed."""
    if not interactive:
        for line in sys.stdin:
            print(f"> {line.strip()}", flush=True)
            yield line.strip()
        return
    with suppress(ImportError):  # arrow keys and earlier lines, where the system has them
        import readline  # noqa: F401
    while True:
        try:
            # What a terminal could not decode must not reach the tokenizer.
            yield input("> ").strip().encode("utf-8", "replace").decode()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\ncontrol-D leaves")


def _settings(given: dict[str, object]) -> Generation:
    """Options as settings of generation, with their own limits."""
    try:
        return Generation(**given)
    except ValidationError as error:
        [first, *_] = error.errors()
        option = str(first["loc"][0]).replace("_", "-")
        raise UserError(f"--{option} {first['input']}: {first['msg']}") from error


def main() -> None:
    """The program."""
    parser = Parser(
        prog="python -m workflow.lib.cli.chat", description="Talk to a finished variant."
    )
    parser.add_argument("folder", type=Path, help="results/MODEL/RECIPE")
    parser.add_argument("--before", action="store_true", help="answer before finetuning too")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
    generation = parser.add_argument_group("generation")
    for name, setting in Generation.model_fields.items():
        kind = float if name == "temperature" else int
        flag = f"--{name.replace('_', '-')}"
        generation.add_argument(flag, type=kind, default=setting.default, help=setting.description)
    options = parser.parse_args()
    settings = _settings({name: getattr(options, name) for name in Generation.model_fields})

    variant = find_variant(options.folder)
    device = prepare_device(Computing(device=options.device))
    tokenizer = variant.load_tokenizer()
    models = {"after": variant.load_model().to(device).eval()}
    chat = Chat(variant, models, tokenizer, variant.style, settings, device)
    if options.before:
        chat.toggle_before()
    interactive = sys.stdin.isatty()
    if interactive:
        print("One instruction a line; /help lists commands.")
    for line in _instructions(interactive):
        try:
            if not chat.hear(line):
                return
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            if not interactive:
                raise
            print(" [stopped]")


if __name__ == "__main__":
    run_program(main)
