"""rating.html: the page on which people rate the answers of the compared variants, blind.

It asks for a score of each answer, or which of two is better, that of a variant or that of a
baseline.

Beside it the key, which says whose answers they are. Neither the page nor the files that it saves
do.
"""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow.lib.data.entries import TEXTS, read_responses
from workflow.lib.judge.pairs import response_pairs
from workflow.lib.judge.ratings import COLUMNS, PAIR_COLUMNS, answer_of, pair_of
from workflow.lib.judge.scores import text_sha256
from workflow.lib.judge.wins import same_text
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing, write_json
from workflow.lib.runtime.printable import visible
from workflow.lib.settings.judges import REFERENCE

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
    """Write the page that asks for scores, and its key; the same bytes from the same files.

    Args:
        responses: files results/{model}/{recipe}/responses.json of the variants.
        entries: how many of each test set to draw; None: all.
        seed: of the draw, and of the order of entries and of the answers to each.
        page: HTML file to write; it needs no other file.
        key: JSON file to write.
    """
    questions, test_sets = _read(responses)
    drawn = _draw(test_sets, entries, seed)
    shown = [
        (questions[digest], digest, _shuffled(questions[digest].responses, f"{seed} {digest}"))
        for digest in drawn
    ]
    answers = sorted(f"{digest} {response}" for _, digest, order in shown for response in order)
    _write({"kind": "score", "columns": COLUMNS}, shown, answers, page, key)


def write_pairs_page(
    baselines: Mapping[Path, Path | None], entries: int | None, seed: int, page: Path, key: Path
) -> None:
    """Write the page that asks which of two answers is better, and its key.

    The pairs stand in random order, so that the answer of the baseline, which is in all of them,
    does not stand out. Two answers of the same text are not shown; the page holds them, because
    they are ties only as far as the entries around them are rated.

    Args:
        baselines: responses.json of the baseline by that of each variant; None for the reference,
            which the page then does not show beside the answers.
        entries, seed, page, key: as for `write_rating_page`.

    Raises:
        UserError: there is no pair of different texts.
    """
    questions, test_sets = _read([*dict.fromkeys(filter(None, chain(*baselines.items())))])
    pairs: dict[tuple[str, ...], tuple[str, str]] = {}
    for path, baseline in baselines.items():
        if path == baseline:
            continue
        own = read_responses(path)
        for entry, pair in zip(own, response_pairs(own, path, baseline), strict=True):
            digest, *_ = name = pair_of(entry, pair)
            pairs[name] = pair
            if baseline is None:
                questions[digest].responses[text_sha256(pair[1])] = pair[1]
                whose = questions[digest].variants.setdefault(text_sha256(pair[1]), [])
                whose += [] if REFERENCE in whose else [REFERENCE]
    drawn = {*_draw(test_sets, entries, seed)}
    names = {" ".join(name): name for name in pairs if name[0] in drawn}
    if all(same_text(*pairs[name]) for name in names.values()):
        raise UserError(
            "the answers of all variants are those of the baseline, so people have nothing to "
            "compare; compare other recipes, or name another baseline"
        )
    shown = []
    for text in _shuffled(names, str(seed)):
        digest, *both = names[text]
        order = [*both]
        random.Random(f"{seed} {text}").shuffle(order)
        shown.append((questions[digest], digest, order))
    content = {"kind": "pairwise", "columns": PAIR_COLUMNS}
    _write(content, shown, [*names], page, key, None not in baselines.values())


def _write(
    content: Mapping[str, Any],
    shown: Sequence[tuple[_Question, str, Sequence[str]]],
    answers: Sequence[str],
    page: Path,
    key: Path,
    reference: bool = True,
) -> None:
    """Write page and key.

    Args:
        content: what the page is told beside its entries.
        shown: questions with the digests of their entry and of the answers, in order.
        answers: all that is rated, which gives the page its name.
        reference: whether to show the reference answers.
    """
    name = hashlib.sha256("\n".join(sorted(answers)).encode()).hexdigest()[:12]
    entries: list[dict[str, Any]] = []
    whose = []
    for question, digest, order in shown:
        texts: dict[str, str] = {text: visible(question.entry[text]) for text in TEXTS}
        if not reference:
            del texts["output"]
        about = {"entry": question.number, "entry_sha256": digest}
        answered = [question.responses[response] for response in order]
        entries.append(
            {
                **about,
                **texts,
                "answers": [
                    {"sha256": response, "text": visible(text)}
                    for response, text in zip(order, answered, strict=True)
                ],
            }
        )
        if content["kind"] == "pairwise":
            entries[-1]["same"] = same_text(answered[0], answered[-1])
        whose.append(
            {
                **about,
                "answers": [
                    {"response_sha256": response, "variants": question.variants[response]}
                    for response in order
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
    told = {"page": name, **content, "entries": entries}
    with replacing(page) as unfinished:
        html = environment.get_template("page.html.j2").render(content=told)
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
