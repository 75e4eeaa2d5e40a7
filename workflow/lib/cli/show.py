"""One entry as the model sees it: python -m workflow.lib.cli.show FILE.npz ENTRY

FILE.npz is a tokenized split, results/tokens/TOKENIZER/DATASET/PROMPT/SPLIT.npz, and ENTRY a number
from 0. Every token is shown with its id and with what training does with it.
"""

from dataclasses import dataclass
from pathlib import Path

import tiktoken
from rich.console import Console
from rich.text import Text

from workflow.lib.cli.program import Parser, run_program
from workflow.lib.cli.variant import find_variant
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataset import TokenizedSplit, load_tokens
from workflow.lib.tokens.tokenizer import load_tokenizer

# What training does with a token: how it is coloured on a terminal, and marked everywhere.
STYLES = {"learned": ("green", "+"), "read": ("bright_black", " "), "cut": ("red strike", "x")}


@dataclass(frozen=True)
class ShownToken:
    """A token of an entry.

    Args:
        token: its id.
        text: what it stands for; bytes that are no whole character as \\x and two digits.
        fate: learned, a target of the loss; read, seen but not a target; cut, behind max_length.
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
    """The tokens of one entry and the end-of-text behind them, as training's own collate has them.

    Args:
        number: of the entry, from 0.
        max_length: inputs of an entry that are kept.
        mask_prompt: whether the prompt is read only.

    Raises:
        UserError: the tokens are not this tokenizer's.
    """
    ids = [*split.sequences[number].tolist(), tokenizer.eot_token]
    starts = split.response_starts[[number]] if mask_prompt else None
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
    """The whole text in colours, where there are any, then a line a token."""
    whole = Text()
    for token in tokens:
        whole.append(token.text, STYLES[token.fate][0])
    if console.is_terminal:
        console.print(whole, "", sep="\n")
    console.print("   id  place  text", style="bold")
    for place, token in enumerate(tokens):
        colour, mark = STYLES[token.fate]
        line = f"{mark} {token.token:5} {place:5}  {token.text!r}"
        console.print(Text(line, colour), soft_wrap=True)
    counts = {fate: sum(token.fate == fate for token in tokens) for fate in STYLES}
    said = ", ".join(f"{n} {fate} ({STYLES[fate][1]})" for fate, n in counts.items() if n)
    console.print(f"{len(tokens)} tokens: {said}", soft_wrap=True)
    if counts["cut"]:
        kept = len(tokens) - counts["cut"]
        console.print(f"cut after place {kept - 1}; the end of the text is not learned")


def _tokenizer_of(tokens: Path) -> Path:
    """Where the tokenizer of a token cache is, from the place of both in a project."""
    *_, name, _, _, _ = tokens.parts
    return tokens.parents[5] / "resources/tokenizers" / name


def main() -> None:
    """The program."""
    defaults = Training()
    parser = Parser(
        prog="python -m workflow.lib.cli.show", description="Show an entry as the model sees it."
    )
    parser.add_argument("tokens", type=Path, metavar="FILE.npz", help="a tokenized split")
    parser.add_argument("entry", type=int, metavar="ENTRY", help="number of the entry, from 0")
    parser.add_argument("--mask-prompt", action="store_true", help="as training.mask_prompt")
    parser.add_argument(
        "--max-length", type=int, default=defaults.max_length, help="as training.max_length"
    )
    parser.add_argument(
        "--variant", type=Path, help="a folder results/MODEL/RECIPE that says both instead"
    )
    parser.add_argument("--tokenizer", type=Path, help="its folder, where the path does not say it")
    options = parser.parse_args()
    max_length, mask_prompt = options.max_length, options.mask_prompt
    if options.variant:
        record = find_variant(options.variant).record
        training = Training(**record["training"])
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
    print_entry(tokens, Console(highlight=False, markup=False))


if __name__ == "__main__":
    run_program(main)
