"""The small world's instruction data set: 1,100 entries in the chapter's schema (section 7.2)."""

from pathlib import Path
from random import Random

from workflow.lib.runtime.files import write_json
from workflow.small_world.facts import (
    Fact,
    fill,
    random_rewriting,
    remembered_facts,
    rewriting_kinds,
    wordings,
)

# The chapter's 85 / 10 / 5 split in file order, of 1,100 entries: training, test, validation.
SPLIT_SIZES = {"train": 935, "test": 110, "val": 55}


def write_dataset(path: Path, seed: int) -> None:
    """Write the data set as readable JSON, training entries first, then test, then validation.

    Args:
        path: the JSON file to write.
        seed: fixes which facts are asked about, in which words and in which order.
    """
    write_json(path, make_dataset(seed))


def make_dataset(seed: int) -> list[dict[str, str]]:
    """Return entries about 1,100 different facts, all kinds about equally often in each split.

    Args:
        seed: as in `write_dataset`.

    Returns:
        Entries with instruction, input, output and kind. Each fact is asked about once, so the
        training entries hold no answer of a test or validation entry.
    """
    random = Random(seed)
    kinds = list(wordings())
    counts = _counts_by_kind(kinds)
    splits: dict[str, list[dict[str, str]]] = {split: [] for split in SPLIT_SIZES}
    for kind in kinds:
        wanted = counts[kind]
        tasks = list(wordings()[kind].tasks)
        facts = iter(_different_facts(kind, sum(wanted.values()), random))
        for split, count in wanted.items():
            # Within a split every wording of a kind is used about equally often.
            offset = random.randrange(len(tasks))
            for number in range(count):
                task = tasks[(offset + number) % len(tasks)]
                splits[split].append(_entry(task, next(facts), random))
    for entries in splits.values():
        random.shuffle(entries)
    return [entry for entries in splits.values() for entry in entries]


def sentences_to_rewrite(entries: list[dict[str, str]]) -> set[str]:
    """Return the sentences to rewrite in a data set, which the corpus leaves out.

    They are the inputs of its rewriting entries, or quoted in their instructions.

    Args:
        entries: as `make_dataset` returns them.
    """
    kinds = rewriting_kinds()
    return {
        entry["input"] or entry["instruction"].split('"')[1]
        for entry in entries
        if entry["kind"] in kinds
    }


def _counts_by_kind(kinds: list[str]) -> dict[str, dict[str, int]]:
    """Divide each split's size among the kinds; remainders go to different kinds."""
    counts: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    start = 0
    for split, size in SPLIT_SIZES.items():
        share, leftover = divmod(size, len(kinds))
        for place, kind in enumerate(kinds):
            extra = (place - start) % len(kinds) < leftover
            counts[kind][split] = share + extra
        start += leftover
    return counts


def _different_facts(kind: str, count: int, random: Random) -> list[Fact]:
    if kind in remembered_facts():
        return random.sample(remembered_facts()[kind], count)
    facts: dict[str, Fact] = {}
    while len(facts) < count:
        fact = random_rewriting(kind, random)
        facts[fact.key] = fact
    return list(facts.values())


def _entry(task: dict[str, str], fact: Fact, random: Random) -> dict[str, str]:
    # The three texts are filled in together, so that they name the same person.
    joined = "\0".join((task["instruction"], task.get("input", ""), task["output"]))
    instruction, entry_input, output = fill(joined, fact, random).split("\0")
    return {
        "instruction": instruction,
        "input": entry_input,
        "output": output,
        "kind": fact.kind,
    }
