"""`python -m workflow quality`: the doubtful entries of a data set."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow.lib.cli.program import Parser
from workflow.lib.data.entries import TEXTS, Entry, read_entries
from workflow.lib.data.quality.lengths import Histogram, bins, histogram
from workflow.lib.data.quality.measure import SPLITS
from workflow.lib.data.quality.record import read_quality
from workflow.lib.data.quality.wording import findings, left_out
from workflow.lib.model.record import read_training
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.truncation import Truncation, token_lengths, truncation_of

WIDTH = 100  # characters of a line
BAR = 40  # characters of the longest bar
NEEDED = ("inputs", "training.max_length", "training.too_long", "model.context_length")
EXAMPLES = """\
examples:
  python -m workflow quality small-world
  python -m workflow quality results/data/small-world/quality.json --most 20"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `quality`.
    """
    parser = Parser(
        prog="python -m workflow quality",
        description="List the doubtful entries of a data set and how long its entries are.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "quality",
        metavar="DATASET",
        help="name of a data set of config.yaml, or the path of a quality.json; "
        "`snakemake --cores 1 results/data/DATASET/quality.json` makes one",
    )
    parser.add_argument(
        "--most", metavar="N", type=int, default=5, help="groups to quote per finding (default: 5)"
    )
    chosen = parser.parse_args(arguments)
    for line in show(_file(chosen.quality), max(chosen.most, 0)):
        print(line)


def _file(name: str) -> Path:
    """Find quality.json by its path, its folder or the name of its data set."""
    path = Path(name)
    tried = [path, path / "quality.json", Path("results/data") / name / "quality.json"]
    if found := next((path for path in tried if path.is_file()), None):
        return found
    made = sorted(path.parent.name for path in Path("results/data").glob("*/quality.json"))
    there = f"there are: {', '.join(made)}; " if made else ""
    raise UserError(
        f"no quality.json for {name!r}; {there}"
        f"`snakemake --cores 1 results/data/NAME/quality.json` makes that of a data set"
    )


def show(path: Path, most: int) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        path: quality.json; the splits are in the same folder.
        most: how many groups to quote per finding.
    """
    quality = read_quality(path, "near")
    counts = quality["entries"]
    splits = {name: _entries(path.with_name(f"{name}.json"), counts[name]) for name in SPLITS}
    yield f"{path.parent.name}: {sum(counts.values()):,} entries, " + ", ".join(
        f"{count:,} {name}" for name, count in counts.items()
    )
    yield f"Numbers count from 0; near duplicates are alike by {quality['near']:g}% or more."
    for finding in findings(quality):
        yield ""
        yield f"{finding.name}: {finding.count or 'none'}"
        for group, named in list(zip(finding.groups, finding.named, strict=True))[:most]:
            yield f"  {named}"
            for number in group:
                yield from _quoted(number, quality["where"], splits)
        if len(finding.groups) > most:
            yield f"  and {len(finding.groups) - most} more groups"
    for why, numbers in left_out(quality):
        places = [_place(number, quality["where"]) for number in numbers[:most]]
        more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
        yield from ("", f"Left out for {why}: {len(numbers)}", f"  {'; '.join(places)}{more}")
    yield from _token_lines(path)
    for text in TEXTS:
        for unit, found in quality["lengths"][text].items():
            yield from _bars(f"{text}, {unit}", found)


def _entries(path: Path, count: int) -> list[Entry]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; it is made with quality.json")
    entries = read_entries(path)
    if len(entries) != count:
        raise UserError(f"{path}: not the entries that quality.json counted; make both again")
    return entries


def _place(number: int, where: Mapping[str, Any]) -> str:
    """Return an entry's number and its place in the file it came from."""
    place = where[str(number)]
    line = f", line {place['line']}" if "line" in place else ""
    if place["entry"] == number and not line:
        return str(number)
    return f"{number} ({Path(place['file']).name}, entry {place['entry']}{line})"


def _quoted(
    number: int, where: Mapping[str, Any], splits: Mapping[str, list[Entry]]
) -> Iterator[str]:
    """Yield the texts of an entry, each shortened to one line."""
    place = where[str(number)]
    entry = splits[place["split"]][place["index"]]
    yield f"    {_place(number, where)}, {place['split']}"
    for text in TEXTS:
        if entry[text] or text == "output":
            line = " ".join(entry[text].split())
            room = WIDTH - 20
            yield f"      {text + ':':13}{line if len(line) <= room else line[: room - 1] + '…'}"


def _token_lines(path: Path) -> Iterator[str]:
    """Yield lengths in tokens and the entries that variants cut, if there are such results."""
    results, dataset = path.resolve().parent.parent.parent, path.resolve().parent.name
    files = sorted((results / "tokens").glob(f"*/{dataset}/*/*.npz"))
    for (tokenizer, prompt), lengths in token_lengths(files).items():
        yield from _bars(f"whole entry, tokens of {tokenizer} with {prompt}", histogram(lengths))
    if cuts := list(_cuts(results, files)):
        yield from ("", "Longer than a variant's max_length, by place in the split")
    for cut in cuts:
        places = "; ".join(
            f"{split} {', '.join(map(str, numbers))}" for split, numbers in cut.numbers.items()
        )
        yield f"  {cut.variant} ({cut.too_long} at {cut.max_length} tokens): {places}"


def _cuts(results: Path, files: list[Path]) -> Iterator[Truncation]:
    """Yield what each variant that was trained on these token files cut."""
    digests = {sha256_of(file) for file in files if file.stem == "train"}
    for path in sorted(results.glob("*/*/training.json")):
        training = read_training(path, *NEEDED)
        if training["inputs"].get("train") in digests and (
            cut := truncation_of(f"{path.parent.parent.name} / {path.parent.name}", training)
        ):
            yield cut


def _bars(title: str, found: Histogram) -> Iterator[str]:
    """Yield a histogram, one line per bin."""
    yield from ("", f"{title}: median {found['median']:g}, longest {found['longest']:,}")
    rows = bins(found)
    widest, highest = max(len(words) for words, _ in rows), max(count for _, count in rows)
    for words, count in rows:
        yield f"  {words:>{widest}}  {'█' * -(-count * BAR // highest):{BAR}} {count:,}"
