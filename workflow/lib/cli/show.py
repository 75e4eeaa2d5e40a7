"""`python -m workflow show`: an entry of a data set, its prompt, its tokens, or a padded batch.

A token is learned (a target of the loss), only read, or cut off beyond max_length.
"""

import glob
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tiktoken
from rich.console import Console
from rich.text import Text

from workflow.lib.cli.console import open_console
from workflow.lib.cli.program import Parser
from workflow.lib.cli.show_batch import ALL, batch_lines
from workflow.lib.cli.show_entry import entry_lines, sole_dataset
from workflow.lib.cli.trained_variant import TrainedVariant, open_variant
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

# The color on a terminal and the mark of what training does with a token.
STYLES = {"learned": ("green", "+"), "read": ("bright_black", " "), "cut": ("red strike", "x")}
EXAMPLES = """\
examples:
  python -m workflow show small-world 50
  python -m workflow show small-world 999 --prompt
  python -m workflow show results/tokens/small-world/small-world/alpaca/train.npz 3
  python -m workflow show results/tokens/small-world/small-world/alpaca/train.npz 3 \\
      --variant results/nano-1M/small-world
  python -m workflow show --batch 0"""


@dataclass(frozen=True)
class ShownToken:
    r"""A token of an entry.

    Args:
        token: the token id.
        text: the token as text; bytes that are not a whole character are written as \x and two
            digits.
        fate: `learned` (a target of the loss), `read` (an input only) or `cut` (beyond max_length).
    """

    token: int
    text: str
    fate: str


def shown_tokens(
    split: TokenizedSplit,
    number: int,
    tokenizer: tiktoken.Encoding,
    *,
    max_length: int,
    mask_prompt: bool,
) -> list[ShownToken]:
    """Return an entry's tokens and the end-of-text token, with the targets that collate makes.

    Args:
        split: the tokenized split.
        number: the entry's place in the split, from 0.
        max_length: tokens of an entry that training keeps.
        mask_prompt: whether the prompt is left out of the loss.

    Raises:
        UserError: the tokens are not this tokenizer's.
    """
    ids = [*split.sequences[number].tolist(), tokenizer.eot_token]
    starts = [int(split.response_starts[number])] if mask_prompt else None
    _, [targets] = collate([ids[:-1]], tokenizer.eot_token, max_length, starts)
    # A target stands one place before its token; nothing predicts the first one.
    fates = ["read", *("read" if t == IGNORE_INDEX else "learned" for t in targets.tolist())]
    fates += ["cut"] * (len(ids) - len(fates))
    try:
        texts = [_text(tokenizer.decode_single_token_bytes(token)) for token in ids]
    except KeyError as error:
        raise UserError(
            f"token {error} is not in tokenizer {tokenizer.name}; name the right folder with "
            "--tokenizer"
        ) from error
    return [ShownToken(*columns) for columns in zip(ids, texts, fates, strict=True)]


def _text(token: bytes) -> str:
    return token.decode("utf-8", "backslashreplace")


def print_entry(tokens: list[ShownToken], console: Console) -> None:
    """Print the whole text if the terminal has colors, then one line per token."""
    whole = Text()
    for token in tokens:
        whole.append(token.text, STYLES[token.fate][0])
    if console.is_terminal:
        console.print(whole, "", sep="\n")
    console.print("   id  place  text", style="bold")
    for place, token in enumerate(tokens):
        color, mark = STYLES[token.fate]
        line = f"{mark} {token.token:5} {place:5}  {token.text!r}"
        console.print(Text(line, color), soft_wrap=True)
    counts = {fate: sum(token.fate == fate for token in tokens) for fate in STYLES}
    said = ", ".join(f"{n} {fate} ({STYLES[fate][1]})" for fate, n in counts.items() if n)
    console.print(f"{len(tokens)} tokens: {said}", soft_wrap=True)
    if counts["cut"]:
        kept = len(tokens) - counts["cut"]
        console.print(f"cut after place {kept - 1}; the end of the text is not learned")


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `show`.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    source: str | None = options.source
    entry: int | None = options.entry
    if entry is None and source and source.removeprefix("-").isdigit():
        entry, source = int(source), None  # an entry of the only data set
    if entry is None and options.prompt:
        entry = 0
    if entry is None and options.batch is None:
        parser.error("the following arguments are required: ENTRY")
    if options.max_length is not None and options.max_length < 1:
        raise UserError(f"--max-length {options.max_length}: should be at least 1")
    variant = open_variant(options.variant) if options.variant else None
    if entry is None or options.batch is not None:
        path = _tokenized(Path(source) if source else _sole_split())
        tokenizer = load_tokenizer(_tokenizer_of(path, options.tokenizer))
        training = _training(options, variant)
        _print(batch_lines(path, tokenizer, training, options.batch))
    elif source and ("/" in source or source.endswith((".npz", ".json"))):
        _show_tokens(_tokenized(Path(source)), entry, options, variant)
    else:
        own = variant.style if variant else load_style(options.style or "alpaca")
        _print(entry_lines(source or sole_dataset(), entry, own if options.prompt else None))


def _parser() -> Parser:
    defaults = Training()
    parser = Parser(
        prog="python -m workflow show",
        description="Show an entry of a data set, the prompt made of it, its tokens as the model\n"
        "sees them, or a padded batch. Each token has its id and a mark:\n"
        "+ learned, a target of the loss; x cut off beyond max_length; no mark: only read.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="a data set that a run has split, by its name; or a tokenized split, "
        "results/tokens/TOKENIZER/DATASET/PROMPT/SPLIT.npz (default: the only one there is)",
    )
    parser.add_argument(
        "entry",
        type=int,
        metavar="ENTRY",
        nargs="?",
        help="number of the entry, from 0: of the data set as downloaded, or of the split",
    )
    parser.add_argument(
        "--prompt",
        action="store_true",
        help="print the formatted prompt and the response to learn, as the chapter does",
    )
    parser.add_argument(
        "--style", metavar="NAME", help="prompt style of an entry of a data set (default: alpaca)"
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=int,
        nargs="?",
        const=ALL,
        help="print the inputs and targets of a batch, from 0, in the order of the first epoch; "
        "without N, the shapes of all batches",
    )
    parser.add_argument(
        "--variant",
        metavar="FOLDER",
        type=Path,
        help="results/MODEL/RECIPE: take prompt style, batch size, seed and the following two "
        "options from its training",
    )
    parser.add_argument(
        "--mask-prompt", action="store_true", help="as training.mask_prompt of a recipe"
    )
    parser.add_argument(
        "--max-length",
        metavar="N",
        type=int,
        help=f"as training.max_length of a recipe (default: {defaults.max_length})",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        type=Path,
        help="folder with encoder.json and vocab.bpe, if the path of SOURCE does not name it",
    )
    return parser


def _training(options: Namespace, variant: TrainedVariant | None) -> Training:
    """Return the settings of a variant's training, or those of the options."""
    if variant is None:
        given = {"max_length": options.max_length} if options.max_length else {}
        return Training(mask_prompt=options.mask_prompt, **given)
    training = variant.training
    kept = min(training.max_length, variant.record["model"]["context_length"])
    return training.model_copy(update={"max_length": kept})


def _show_tokens(
    path: Path, entry: int, options: Namespace, variant: TrainedVariant | None
) -> None:
    """Print the tokens of an entry of a split, or the text that they are."""
    if options.style:
        raise UserError(f"--style {options.style}: the tokens of {path} are of one style already")
    split = load_tokens(path)
    if not 0 <= entry < len(split.sequences):
        raise UserError(f"{path}: has entries 0 to {len(split.sequences) - 1}, not {entry}")
    tokenizer = load_tokenizer(_tokenizer_of(path, options.tokenizer))
    if options.prompt:
        print(tokenizer.decode(split.sequences[entry].tolist()))
        return
    training = _training(options, variant)
    tokens = shown_tokens(
        split,
        entry,
        tokenizer,
        max_length=training.max_length,
        mask_prompt=training.mask_prompt,
    )
    print_entry(tokens, open_console())


def _tokenized(path: Path) -> Path:
    """Return the path of a tokenized split, checked by its name."""
    if path.suffix != ".npz":
        raise UserError(f"{path}: name a tokenized split, results/tokens/.../train.npz")
    return path


def _sole_split() -> Path:
    """Return the only training split that is tokenized here."""
    found = sorted(Path("results/tokens").glob("*/*/*/train.npz"))
    if len(found) == 1:
        return found[0]
    there = f"name one of {', '.join(map(str, found))}" if found else "run the pipeline first"
    raise UserError(f"results/tokens holds {len(found)} tokenized training splits; {there}")


def _tokenizer_of(tokens: Path, named: Path | None) -> Path:
    """Return the tokenizer's folder, by default that in the path of results/tokens."""
    path = tokens.resolve()
    folder = named or path.parent
    if not named and len(path.parts) > 6:
        name = path.parents[5] / "resources/tokenizers" / path.parts[-4]
        kept = sorted(name.parent.glob(f"{glob.escape(name.name)}-{'[0-9a-f]' * 8}"))
        if len(kept) > 1:
            places = ", ".join(map(str, kept))
            raise UserError(
                f"{name.name} was taken from several sources; name one with --tokenizer: {places}"
            )
        [folder] = kept or [name]
    if not (folder / "encoder.json").is_file():
        raise UserError(f"{folder} holds no encoder.json; name the folder with --tokenizer")
    return folder


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line)
