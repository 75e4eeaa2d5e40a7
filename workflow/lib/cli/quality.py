"""Shows what is doubtful about a data set, with the entries.

python -m workflow.lib.cli.quality small-world
python -m workflow.lib.cli.quality results/data/small-world/quality.json --most 20
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow.lib.cli.program import Parser, run_program
from workflow.lib.data.entries import TEXTS, Entry, read_entries
from workflow.lib.data.quality.lengths import Histogram, bins, histogram
from workflow.lib.data.quality.measure import SPLITS
from workflow.lib.data.quality.truncation import Cut, entries_cut, token_lengths
from workflow.lib.data.quality.wording import findings, left_out
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, sha256_of

WIDTH = 100  # characters of a line
BAR = 40  # characters of the longest bar


def main(arguments: list[str] | None = None) -> None:
    """The program.

    Args:
        arguments: instead of those of the process.
    """
    parser = Parser(
        prog="python -m workflow.lib.cli.quality",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("quality", help="name of a data set, or its quality.json")
    parser.add_argument("--most", type=int, default=5, help="groups to quote of each (default 5)")
    chosen = parser.parse_args(arguments)
    for line in show(_file(chosen.quality), max(chosen.most, 0)):
        print(line)


def _file(name: str) -> Path:
    """quality.json, by its path, its folder or its data set."""
    path = Path(name)
    tried = [path, path / "quality.json", Path("results/data") / name / "quality.json"]
    if found := next((path for path in tried if path.is_file()), None):
        return found
    made = sorted(path.parent.name for path in Path("results/data").glob("*/quality.json"))
    there = f"there are: {', '.join(made)}; " if made else ""
    raise UserError(
        f"no quality.json of {name!r}; {there}"
        f"`snakemake --cores 1 results/data/NAME/quality.json` makes that of a data set"
    )


def show(path: Path, most: int) -> Iterator[str]:
    """The lines to print.

    Args:
        path: quality.json; the splits stand beside it.
        most: groups to quote of each finding.
    """
    quality = read_json(path)
    if not isinstance(quality, dict) or not {"where", "lengths", "entries"} <= quality.keys():
        raise UserError(f"{path}: not a quality.json of this version; make it again")
    counts = quality["entries"]
    splits = {name: _entries(path.with_name(f"{name}.json"), counts[name]) for name in SPLITS}
    yield f"{path.parent.name}: {sum(counts.values()):,} entries, " + ", ".join(
        f"{count:,} {name}" for name, count in counts.items()
    )
    yield f"Numbers count from 0; almost means alike by {quality['near']:g}% or more."
    for finding in findings(quality):
        yield ""
        yield f"{finding.name}: {len(finding.groups) or 'none'}"
        for group, named in list(zip(finding.groups, finding.named, strict=True))[:most]:
            yield f"  {named}"
            for number in group:
                yield from _quoted(number, quality["where"], splits)
        if len(finding.groups) > most:
            yield f"  and {len(finding.groups) - most} more"
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
    """An entry's number, and where it stands in its file."""
    place = where[str(number)]
    line = f", line {place['line']}" if "line" in place else ""
    if place["entry"] == number and not line:
        return str(number)
    return f"{number} ({Path(place['file']).name}, entry {place['entry']}{line})"


def _quoted(
    number: int, where: Mapping[str, Any], splits: Mapping[str, list[Entry]]
) -> Iterator[str]:
    """The texts of an entry, each cut to a line."""
    place = where[str(number)]
    entry = splits[place["split"]][place["index"]]
    yield f"    {_place(number, where)}, {place['split']}"
    for text in TEXTS:
        if entry[text] or text == "output":
            line = " ".join(entry[text].split())
            room = WIDTH - 20
            yield f"      {text + ':':13}{line if len(line) <= room else line[: room - 1] + '…'}"


def _token_lines(path: Path) -> Iterator[str]:
    """Lengths in tokens, and what variants cut, as far as there are such results."""
    results, dataset = path.resolve().parent.parent.parent, path.resolve().parent.name
    files = sorted((results / "tokens").glob(f"*/{dataset}/*/*.npz"))
    for (tokenizer, prompt), lengths in token_lengths(files).items():
        yield from _bars(f"whole entry, tokens of {tokenizer} with {prompt}", histogram(lengths))
    if cuts := list(_cuts(results, files)):
        yield from ("", "Longer than what a variant kept, by place in the split")
    for cut in cuts:
        places = "; ".join(
            f"{split} {', '.join(map(str, numbers))}" for split, numbers in cut.numbers.items()
        )
        yield f"  {cut.variant} ({cut.done} at {cut.most} tokens): {places}"


def _cuts(results: Path, files: list[Path]) -> Iterator[Cut]:
    """Of the variants that were trained on these very tokens."""
    digests = {sha256_of(file) for file in files if file.stem == "train"}
    for path in sorted(results.glob("*/*/training.json")):
        training = read_json(path)
        if training["inputs"].get("train") in digests and (
            cut := entries_cut(f"{path.parent.parent.name} / {path.parent.name}", training)
        ):
            yield cut


def _bars(what: str, found: Histogram) -> Iterator[str]:
    """A histogram, a line a bin."""
    yield from ("", f"{what}: median {found['median']:g}, longest {found['longest']:,}")
    rows = bins(found)
    widest, highest = max(len(words) for words, _ in rows), max(count for _, count in rows)
    for words, count in rows:
        yield f"  {words:>{widest}}  {'█' * -(-count * BAR // highest):{BAR}} {count:,}"


if __name__ == "__main__":
    run_program(main)
