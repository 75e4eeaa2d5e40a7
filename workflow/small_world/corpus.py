"""The pretraining text: statements of the small world's facts, without any instruction.

A document has two kinds of parts. A loose part states a few unrelated facts. A binding part first
names one to four things and then states a fact about each, in that order: from it a model learns to
answer about the thing that was named.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.runtime.files import read_json
from workflow.small_world.dataset import sentences_to_rewrite
from workflow.small_world.facts import (
    Fact,
    capitalized,
    fill,
    random_rewriting,
    remembered_facts,
    wordings,
)


def write_corpus(path: Path, dataset: Path, documents: int, seed: int) -> None:
    """Write the corpus, with <|endoftext|> and a newline after each document.

    Args:
        path: the text file to write.
        dataset: the data set. The sentences to rewrite in it are left out, so that a model cannot
            know their answers by heart.
        documents: how many; one has about 100 tokens.
        seed: fixes every choice.
    """
    left_out = sentences_to_rewrite(read_json(dataset))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in make_documents(documents, seed, left_out):
            file.write(document + END_OF_TEXT + "\n")


def read_documents(path: Path) -> list[str]:
    """Read the documents of a corpus file, without <|endoftext|>."""
    text = path.read_text(encoding="utf-8")
    return text.split(END_OF_TEXT + "\n")[:-1]


def make_documents(count: int, seed: int, left_out: set[str]) -> Iterator[str]:
    """Yield documents.

    Args:
        count: how many.
        seed: fixes every choice.
        left_out: sentences that must not occur as the subject of a rewriting.
    """
    random = Random(seed)
    for _ in range(count):
        parts = [_binding_part(random, left_out)]
        if random.random() < 0.6:
            parts.append(_binding_part(random, left_out))
        loose_facts = _facts(random, random.randint(1, 4), left_out)
        loose = random.choice((" ", "\n")).join(_statement(fact, random) for fact in loose_facts)
        parts.insert(random.randint(0, len(parts)), loose)
        yield random.choice(("\n", "\n\n")).join(parts)


def _facts(random: Random, count: int, left_out: set[str], kind: str | None = None) -> list[Fact]:
    """Draw different facts, all of one kind if it is given."""
    facts: dict[str, Fact] = {}
    while len(facts) < count:
        of_kind = kind or random.choice(list(wordings()))
        if of_kind in remembered_facts():
            fact = random.choice(remembered_facts()[of_kind])
        else:
            fact = random_rewriting(of_kind, random)
        if fact.key not in left_out:
            facts[fact.key] = fact
    return list(facts.values())


def _statement(fact: Fact, random: Random) -> str:
    return fill(random.choice(wordings()[fact.kind].statements), fact, random)


def _binding_part(random: Random, left_out: set[str]) -> str:
    """Return a text that names one to four things, then states a fact about each in that order."""
    count = random.randint(1, 4)
    mixed = random.random() < 0.3
    if mixed:
        facts = _facts(random, count, left_out)
        title = "different things"
    else:
        kind = random.choice(list(wordings()))
        facts = _facts(
            random, count if kind in remembered_facts() else min(count, 2), left_out, kind
        )
        title = wordings()[kind].title
    separator = random.choice(("\n", "\n\n"))
    header = _header(title, [fact.key for fact in facts], separator, random)
    # Without statements, only the title says what becomes of a sentence.
    if mixed or random.random() < 0.5:
        body = random.choice((" ", "\n")).join(_statement(fact, random) for fact in facts)
    else:
        body = _answers(facts, random)
    return header + separator + body


def _header(title: str, keys: list[str], separator: str, random: Random) -> str:
    quoted = [f"'{key}'" if " " not in key else f'"{key}"' for key in keys]
    style = random.randrange(6)
    if style == 0:
        return f"{capitalized(title)}: {_listed(quoted)}"
    if style == 1:
        return f"This is about {title}, {_listed(keys)}"
    if style == 2:
        return f"{capitalized(title)}{separator}" + separator.join(keys)
    if style == 3:
        return "\n".join(keys)
    if style == 4:
        return f"Now come {title} for {_listed(quoted)}."
    return f"Notes on {title}{separator}{_listed(keys)}"


def _answers(facts: list[Fact], random: Random) -> str:
    values = [fact.value for fact in facts]
    style = random.randrange(4)
    if style == 0:
        return _listed(values)
    if style == 1:
        return "\n".join(values)
    if style == 2:
        return "\n".join(f"{fact.key}: {fact.value}" for fact in facts)
    return _listed([f"'{value}'" if " " not in value else f'"{value}"' for value in values])


def _listed(items: list[str]) -> str:
    """Join items with commas, and the last one with `and`."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))
