"""`python -m workflow chat`: talk to a finetuned model.

One instruction per line, from a terminal or a pipe. The model was taught to answer one instruction
at a time, so it does not see the earlier ones.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from textwrap import indent
from typing import get_args

import tiktoken
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflow.lib.cli.console import open_console
from workflow.lib.cli.program import Parser
from workflow.lib.cli.trained_variant import TrainedVariant, open_variant
from workflow.lib.data.entries import Entry
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.generation.sampling import Sampler
from workflow.lib.generation.streaming import stream_answer, stream_tokens
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTModel
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.printable import printable
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle

HELP = """\
/input TEXT  use TEXT as the input of the next instruction; \\n in it starts a new line
/before      also show the model before finetuning, or stop showing it
/help        show this list
/quit        leave, as control-D does; control-C stops an answer"""
EXAMPLES = """\
examples:
  python -m workflow chat results/nano-1M/small-world
  python -m workflow chat results/nano-1M/small-world --before --temperature 0.7 --top-k 20
  echo 'Name an animal.' | python -m workflow chat results/nano-1M/small-world"""
COMMANDS = ("/input", "/before", "/help", "/quit")
SIDE_BY_SIDE = 100  # columns that a terminal needs for two answers


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `chat`.
    """
    parser = Parser(
        prog="python -m workflow chat",
        description="Talk to a finetuned model: one instruction per line, from a terminal or a\n"
        "pipe. The model does not see the earlier ones.",
        epilog=f"commands inside a conversation:\n{indent(HELP, '  ')}\n\n{EXAMPLES}",
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        help="results/MODEL/RECIPE; `snakemake --cores 1 results/MODEL/RECIPE/model.pth` makes one",
    )
    parser.add_argument(
        "--before", action="store_true", help="also show the answers of the model before finetuning"
    )
    devices = get_args(Computing.model_fields["device"].annotation)
    parser.add_argument(
        "--device", choices=devices, default="auto", help="where to compute (default: auto)"
    )
    generation = parser.add_argument_group("generation, as in a recipe of config.yaml")
    for name, setting in Generation.model_fields.items():
        kind = float if name == "temperature" else int
        flag = f"--{name.replace('_', '-')}"
        default = "null" if setting.default is None else f"{setting.default:g}"
        generation.add_argument(
            flag,
            metavar="N" if kind is int else "T",
            type=kind,
            default=setting.default,
            help=f"{setting.description} (default: {default})",
        )
    options = parser.parse_args(arguments)
    settings = _generation(options)

    variant = open_variant(options.folder)
    device = prepare_device(Computing(device=options.device))
    tokenizer = variant.load_tokenizer()
    models = {"after": ready(variant.load_model(), device)}
    chat = Chat(variant, models, tokenizer, variant.style, settings, device)
    if options.before:
        chat.toggle_before()
    interactive = sys.stdin.isatty()
    if interactive:
        print("One instruction a line; /help lists commands.")
    for line in _instructions(interactive):
        try:
            if not chat.handle_line(line):
                return
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            if not interactive:
                raise
            print(" [stopped]")


@dataclass
class Chat:
    """A conversation.

    Args:
        variant: loads the model before finetuning when it is asked for.
        models: by the label of their answers; the finetuned one comes last.
        settings: how tokens are chosen.
        device: where the models are.
        input: the next instruction's input.
    """

    variant: TrainedVariant
    models: dict[str, GPTModel]
    tokenizer: tiktoken.Encoding
    style: PromptStyle
    settings: Generation
    device: torch.device
    console: Console = field(default_factory=open_console)
    input: str = ""

    def handle_line(self, line: str) -> bool:
        """Answer an instruction or run a command; return False when it was /quit."""
        command, _, rest = line.partition(" ")
        if not line.startswith("/"):
            if line:
                self.answer({"instruction": line, "input": self.input, "output": ""})
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
        """Add the model before finetuning to those that answer, or remove it."""
        if "before" in self.models:
            del self.models["before"]
        else:
            base = ready(self.variant.load_base(), self.device)
            self.models = {"before": base, **self.models}

    def answer(self, entry: Entry) -> None:
        """Show the answers, two of them side by side if the terminal is wide enough."""
        prompt = self.tokenizer.encode_ordinary(self.style.prompt(entry))
        context = self.variant.record["model"]["context_length"]
        if len(prompt) >= context:
            raise UserError(
                f"the prompt has {len(prompt)} tokens and the model sees {context}; shorten it"
            )
        streams = {label: self._stream(model, prompt) for label, model in self.models.items()}
        wide = self.console.is_terminal and self.console.width >= SIDE_BY_SIDE
        if len(streams) > 1 and wide:
            self._show_side_by_side(streams)
        else:
            self._show_in_turn(streams)

    def _stream(self, model: GPTModel, prompt: list[int]) -> Iterator[str]:
        end, limit = self.tokenizer.eot_token, self.settings.max_new_tokens
        tokens = stream_tokens(model, prompt, limit, end, Sampler(self.settings))
        return stream_answer(tokens, self.tokenizer, self.style)

    def _show_in_turn(self, streams: dict[str, Iterator[str]]) -> None:
        for label, pieces in streams.items():
            if len(streams) > 1:
                self.console.print(Text(f"{label}: ", "bold"), end="")
            for piece in pieces:
                self.console.file.write(printable(piece))  # rich would expand tabs
                self.console.file.flush()
            self.console.print()

    def _show_side_by_side(self, streams: dict[str, Iterator[str]]) -> None:
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
            self.console.print(table)  # stays on the screen, even if control-C cut it short


def ready(model: GPTModel, device: torch.device) -> GPTModel:
    """Return a model ready to answer on a device."""
    speed_up(model, device)
    return model.to(device).eval()


def _instructions(interactive: bool) -> Iterator[str]:
    """Yield the lines that a user types, or those of a pipe, which are echoed."""
    if not interactive:
        for line in sys.stdin:
            print(f"> {line.strip()}", flush=True)
            yield line.strip()
        return
    with suppress(ImportError):  # line editing and history, where the system has them
        import readline  # noqa: F401
    while True:
        try:
            # The tokenizer cannot encode what the terminal could not decode.
            yield input("> ").strip().encode("utf-8", "replace").decode()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\ncontrol-D leaves")


def _generation(options: Namespace) -> Generation:
    """Return the generation settings in the options, checked like those of config.yaml."""
    given = {name: getattr(options, name) for name in Generation.model_fields}
    try:
        return Generation.model_validate(given)
    except ValidationError as error:
        [first, *_] = error.errors()
        option = str(first["loc"][0]).replace("_", "-")
        raise UserError(f"--{option} {first['input']}: {first['msg']}") from error
