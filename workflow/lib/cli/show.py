"""`python -m workflow show`: one entry as the model sees it, every token with its id.

A token is learned (a target of the loss), only read, or cut off beyond max_length.
"""

from dataclasses import dataclass
from pathlib import Path

import tiktoken
from rich.console import Console
from rich.text import Text

from workflow.lib.cli.console import open_console
from workflow.lib.cli.program import Parser
from workflow.lib.cli.trained_variant import open_variant
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens
from workflow.lib.tokens.tokenizer import load_tokenizer

# The color on a terminal and the mark of what training does with a token.
STYLES = {"learned": ("green", "+"), "read": ("bright_black", " "), "cut": ("red strike", "x")}
EXAMPLES = """\
examples:
  python -m workflow show results/tokens/small-world/small-world/alpaca/train.npz 3
  python -m workflow show results/tokens/small-world/small-world/alpaca/train.npz 3 \\
      --variant results/nano-1M/small-world"""


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


def _tokenizer_of(tokens: Path) -> Path:
    """Return the tokenizer's folder, given results/tokens/TOKENIZER/DATASET/PROMPT/SPLIT.npz."""
    *_, name, _, _, _ = tokens.parts
    return tokens.parents[5] / "resources/tokenizers" / name


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `show`.
    """
    defaults = Training()
    parser = Parser(
        prog="python -m workflow show",
        description="Show one entry as the model sees it: each token with its id and a mark:\n"
        "+ learned, a target of the loss; x cut off beyond max_length; no mark: only read.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "tokens",
        type=Path,
        metavar="FILE.npz",
        help="a tokenized split, results/tokens/TOKENIZER/DATASET/PROMPT/SPLIT.npz",
    )
    parser.add_argument("entry", type=int, metavar="ENTRY", help="number of the entry, from 0")
    parser.add_argument(
        "--variant",
        metavar="FOLDER",
        type=Path,
        help="results/MODEL/RECIPE: take both of the following options from its training",
    )
    parser.add_argument(
        "--mask-prompt", action="store_true", help="as training.mask_prompt of a recipe"
    )
    parser.add_argument(
        "--max-length",
        metavar="N",
        type=int,
        default=defaults.max_length,
        help=f"as training.max_length of a recipe (default: {defaults.max_length})",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        type=Path,
        help="folder with encoder.json and vocab.bpe, if the path of FILE.npz does not name it",
    )
    options = parser.parse_args(arguments)
    max_length, mask_prompt = options.max_length, options.mask_prompt
    if options.variant:
        record = open_variant(options.variant).record
        training = Training.model_validate(record["training"])
        max_length = min(training.max_length, record["model"]["context_length"])
        mask_prompt = training.mask_prompt
    if max_length < 1:
        raise UserError(f"--max-length {max_length}: should be at least 1")
    path = options.tokens.resolve()
    if path.suffix != ".npz":
        raise UserError(f"{options.tokens}: name a tokenized split, results/tokens/.../train.npz")
    split = load_tokens(path)
    if not 0 <= options.entry < len(split.sequences):
        last = len(split.sequences) - 1
        raise UserError(f"{options.tokens}: has entries 0 to {last}, not {options.entry}")
    folder = options.tokenizer or (_tokenizer_of(path) if len(path.parts) > 6 else path.parent)
    if not (folder / "encoder.json").is_file():
        raise UserError(f"{folder} holds no encoder.json; name the folder with --tokenizer")
    tokens = shown_tokens(
        split,
        options.entry,
        load_tokenizer(folder),
        max_length=max_length,
        mask_prompt=mask_prompt,
    )
    print_entry(tokens, open_console())
