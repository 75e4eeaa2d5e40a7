"""The pretraining text: the facts of the small world, stated but never asked for.

Two sorts of documents. Loose ones state a few unrelated facts. Binding ones first name one to four
things and then say something about each in that order, which is what makes a model answer about
the thing it was asked about.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from workflow.lib.runtime.files import read_json
from workflow.lib.tokens.tokenizer import END_OF_TEXT
from workflow.small_world.dataset import sentences_to_rewrite
from workflow.small_world.facts import (
    Fact,
    capitalised,
    fill,
    random_rewriting,
    remembered_facts,
    wordings,
)


def write_corpus(path: Path, dataset: Path, documents: int, seed: int) -> None:
    """Write the corpus, every document ended by <|endoftext|> and a newline.

    Args:
        path: the text file to write.
        dataset: the data set, whose sentences are left out, so that rewriting them has to be
            understood and cannot be remembered.
        documents: how many; one has about 100 tokens.
        seed: fixes every choice.
    """
    left_out = sentences_to_rewrite(read_json(dataset))
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        for document in make_documents(documents, seed, left_out):
            file.write(document + END_OF_TEXT + "\n")


def read_documents(path: Path) -> list[str]:
    """The documents of a corpus file, without their ends."""
    text = Path(path).read_text(encoding="utf-8")
    return text.split(END_OF_TEXT + "\n")[:-1]


def make_documents(count: int, seed: int, left_out: set[str]) -> Iterator[str]:
    """Make documents one by one.

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
    """Different facts, of one kind if it is given and of any kind otherwise."""
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
    """Name one to four things, then speak of each in the order in which they were named."""
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
    # Without a statement around it, what a sentence should become is only known from the title.
    if mixed or random.random() < 0.5:
        body = random.choice((" ", "\n")).join(_statement(fact, random) for fact in facts)
    else:
        body = _answers(facts, random)
    return header + separator + body


def _header(title: str, keys: list[str], separator: str, random: Random) -> str:
    quoted = [f"'{key}'" if " " not in key else f'"{key}"' for key in keys]
    style = random.randrange(6)
    if style == 0:
        return f"{capitalised(title)}: {_listed(quoted)}"
    if style == 1:
        return f"This is about {title}, {_listed(keys)}"
    if style == 2:
        return f"{capitalised(title)}{separator}" + separator.join(keys)
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
    """The items with commas, and before the last one `and`."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))
