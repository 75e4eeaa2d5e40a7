"""An entry of a data set, as the chapter prints it, or the prompt made of it (section 7.2)."""

from collections.abc import Iterator
from pathlib import Path
from pprint import pformat

from workflow.lib.data.entries import read_entries
from workflow.lib.data.quality.measure import SPLITS
from workflow.lib.data.quality.record import read_origins
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import AGAIN
from workflow.lib.tokens.prompt_style import PromptStyle

DATA = Path("results/data")


def entry_lines(dataset: str, number: int, style: PromptStyle | None) -> Iterator[str]:
    """Yield the lines to print of an entry.

    Args:
        dataset: its name in config.yaml.
        number: of the entry in the data set, from 0.
        style: prints the formatted prompt and the response; None: the entry itself.

    Raises:
        UserError: there is no such data set or entry.
    """
    folder = DATA / dataset
    if not (folder / "origins.json").is_file():
        made = f"there are: {', '.join(split_datasets())}; " if split_datasets() else ""
        raise UserError(
            f"no data set {dataset!r} in {DATA}; {made}"
            f"`snakemake --cores 1 {folder}/train.json` makes it"
        )
    origins = read_origins(folder / "origins.json")
    places = {entry: (s, index) for s in SPLITS for index, entry in enumerate(origins[s])}
    if number not in places:
        raise UserError(
            f"{dataset}: has no entry {number}; its {len(places)} entries have the numbers "
            f"{min(places)} to {max(places)}, from which `limit` and `checks` may have taken some"
        )
    split, index = places[number]
    entries = read_entries(folder / f"{split}.json")
    if len(entries) != len(origins[split]):
        raise UserError(
            f"{folder / f'{split}.json'}: has {len(entries)} entries, and origins.json beside it "
            f"numbers {len(origins[split])}; {AGAIN}"
        )
    entry = entries[index]
    if style:
        yield style.prompt(entry) + style.completion(entry)
    else:
        yield f"entry {number} of {dataset}, entry {index} of {split}.json:"
        yield pformat(entry, sort_dicts=False, width=100)


def sole_dataset() -> str:
    """Return the name of the only data set that is split here."""
    found = split_datasets()
    if len(found) == 1:
        return found[0]
    there = f"name one of {', '.join(found)}" if found else "run the pipeline first"
    raise UserError(f"{DATA} holds {len(found)} data sets; {there}")


def split_datasets() -> list[str]:
    """Return the names of the data sets that are split here."""
    return sorted(path.parent.name for path in DATA.glob("*/origins.json"))
