"""rating.html: the page on which people rate the answers of the compared variants, blind.

Beside it the key, which says whose answers they are. Neither the page nor the files that it saves
do.
"""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow.lib.data.entries import TEXTS, read_responses
from workflow.lib.judge.ratings import COLUMNS, answer_of
from workflow.lib.runtime.files import replacing, write_json
from workflow.lib.runtime.printable import visible

TEMPLATES = Path(__file__).resolve().parents[2] / "report/rating"


@dataclass(frozen=True)
class _Question:
    """A test entry, with the different responses to it.

    Args:
        number: of the entry in its test set, from 0.
        entry: instruction, input and output, the reference.
        responses: text of each, by its digest.
        variants: those that gave it, by the same digest.
    """

    number: int
    entry: Mapping[str, str]
    responses: dict[str, str] = field(default_factory=dict)
    variants: dict[str, list[str]] = field(default_factory=dict)


def write_rating_page(
    responses: Sequence[Path], entries: int | None, seed: int, page: Path, key: Path
) -> None:
    """Write the page and its key; the same bytes from the same files.

    Args:
        responses: files results/{model}/{recipe}/responses.json of the variants.
        entries: how many of each test set to draw; None: all.
        seed: of the draw, and of the order of entries and of the answers to each.
        page: HTML file to write; it needs no other file.
        key: JSON file to write.
    """
    questions, test_sets = _read(responses)
    drawn = _draw(test_sets, entries, seed)
    order = {digest: _shuffled(questions[digest].responses, f"{seed} {digest}") for digest in drawn}
    answers = sorted(f"{digest} {response}" for digest in drawn for response in order[digest])
    name = hashlib.sha256("\n".join(answers).encode()).hexdigest()[:12]
    shown, whose = [], []
    for digest in drawn:
        question = questions[digest]
        texts: dict[str, str] = {text: visible(question.entry[text]) for text in TEXTS}
        about = {"entry": question.number, "entry_sha256": digest}
        shown.append(
            {
                **about,
                **texts,
                "answers": [
                    {"sha256": response, "text": visible(question.responses[response])}
                    for response in order[digest]
                ],
            }
        )
        whose.append(
            {
                **about,
                "answers": [
                    {"response_sha256": response, "variants": question.variants[response]}
                    for response in order[digest]
                ],
            }
        )
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = {"page": name, "columns": COLUMNS, "entries": shown}
    with replacing(page) as unfinished:
        html = environment.get_template("page.html.j2").render(content=content)
        unfinished.write_text(html, "utf-8")
    write_json(key, {"page": name, "entries": whose})


def _read(responses: Sequence[Path]) -> tuple[dict[str, _Question], list[list[str]]]:
    """Return the questions by the digest of their entry, and the digests of each test set."""
    questions: dict[str, _Question] = {}
    test_sets = []
    for path in responses:
        variant = "/".join(path.parent.parts[-2:])
        digests = []
        for number, entry in enumerate(read_responses(path)):
            digest, response = answer_of(entry)
            question = questions.setdefault(digest, _Question(number, entry))
            question.responses[response] = entry["model_response"]
            variants = question.variants.setdefault(response, [])
            if variant not in variants:  # an entry may be in the test set twice
                variants.append(variant)
            digests.append(digest)
        if (different := list(dict.fromkeys(digests))) not in test_sets:
            test_sets.append(different)
    return questions, test_sets


def _draw(test_sets: Sequence[Sequence[str]], entries: int | None, seed: int) -> list[str]:
    """Return the entries of the page in a random order, so that those rated first are a sample."""
    drawn: dict[str, None] = {}
    for digests in test_sets:
        count = min(entries or len(digests), len(digests))
        drawn |= dict.fromkeys(random.Random(seed).sample(digests, count))
    return _shuffled(drawn, str(seed))


def _shuffled(digests: Iterable[str], seed: str) -> list[str]:
    """Return digests in an order that depends on them and the seed alone."""
    ordered = sorted(digests)
    random.Random(seed).shuffle(ordered)
    return ordered
