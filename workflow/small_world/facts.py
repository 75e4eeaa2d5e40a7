"""The facts of the small world, and the wordings that state them and ask for them.

Twelve kinds of facts have to be remembered (`words.yaml`); three kinds rewrite sentences of a
closed vocabulary. `kinds.yaml` holds the wordings of all.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Fact:
    """One thing the small world knows.

    Args:
        kind: its family, such as `antonym` or `passive`.
        key: what it is about; for a rewriting, the sentence to rewrite.
        value: the answer.
    """

    kind: str
    key: str
    value: str


@dataclass(frozen=True)
class Wording:
    """The wordings of one kind: statements for the corpus and tasks for the data set."""

    title: str
    statements: tuple[str, ...]
    tasks: tuple[dict[str, str], ...]


@cache
def wordings() -> dict[str, Wording]:
    """Return the wordings of every kind, in the order of `kinds.yaml`."""
    kinds = yaml.safe_load((HERE / "kinds.yaml").read_text(encoding="utf-8"))
    return {
        kind: Wording(entry["title"], tuple(entry["statements"]), tuple(entry["tasks"]))
        for kind, entry in kinds.items()
    }


@cache
def remembered_facts() -> dict[str, tuple[Fact, ...]]:
    """Return the facts that have to be remembered, by kind."""
    return {
        kind: tuple(Fact(kind, key, value) for key, value in facts.items())
        for kind, facts in _words().items()
        if kind != "sentences"
    }


def rewriting_kinds() -> list[str]:
    """Return the kinds whose facts are rewritten sentences."""
    return [kind for kind in wordings() if kind not in remembered_facts()]


def random_rewriting(kind: str, random: Random) -> Fact:
    """Draw a sentence of the closed vocabulary, with its rewriting as the value.

    Args:
        kind: `passive`, `question` or `negation`.

    Returns:
        A fact whose key is an active statement, such as "The girl paints the fence."
    """
    sentences = _words()["sentences"]
    person, verb, thing = (
        random.choice(sentences[part]) for part in ("persons", "verbs", "things")
    )
    past = random.random() < 0.5
    active = _past(verb) if past else _third_person(verb)
    key = f"{capitalized(person)} {active} the {thing}."
    if kind == "passive":
        value = f"The {thing} {'was' if past else 'is'} {_past(verb)} by {person}."
    elif kind == "question":
        value = f"{'Did' if past else 'Does'} {person} {verb} the {thing}?"
    else:
        value = f"{capitalized(person)} {'did' if past else 'does'} not {verb} the {thing}."
    return Fact(kind, key, value)


def fill(template: str, fact: Fact, random: Random) -> str:
    """Put a fact into a wording.

    Args:
        template: a text of `kinds.yaml`.
        fact: what replaces {key}, {value} and their forms.
        random: picks the person of {who} and {Who}, which are the same one.
    """
    who = random.choice(_words()["sentences"]["persons"]) if "{who}" in template.lower() else ""
    return template.format(
        key=fact.key,
        value=fact.value,
        a_key=with_article(fact.key),
        A_key=capitalized(with_article(fact.key)),
        a_value=with_article(fact.value),
        who=who,
        Who=capitalized(who),
    )


def with_article(noun: str) -> str:
    """Return a noun after a or an, by its first letter: no noun here is like uniform or hour."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def capitalized(text: str) -> str:
    """Return a text with its first letter in upper case and the rest unchanged."""
    return text[:1].upper() + text[1:]


@cache
def _words() -> dict[str, Any]:
    return yaml.safe_load((HERE / "words.yaml").read_text(encoding="utf-8"))


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x")) else "s")


def _past(verb: str) -> str:
    # The verbs of the sentences are regular; these double their last letter.
    if verb in ("wrap", "label"):
        return {"wrap": "wrapped", "label": "labelled"}[verb]
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + ("d" if verb.endswith("e") else "ed")
