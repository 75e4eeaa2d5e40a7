"""The facts of the small world and how they are put into words.

Twelve kinds are facts to remember (`words.yaml`), three are rewritings of sentences over a closed
vocabulary. `kinds.yaml` holds the wordings of both.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

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
    """How one kind is spoken about: statements of the corpus and tasks of the data set."""

    title: str
    statements: tuple[str, ...]
    tasks: tuple[dict[str, str], ...]


@cache
def wordings() -> dict[str, Wording]:
    """The wordings of every kind, in the order of `kinds.yaml`."""
    kinds = yaml.safe_load((HERE / "kinds.yaml").read_text(encoding="utf-8"))
    return {
        kind: Wording(entry["title"], tuple(entry["statements"]), tuple(entry["tasks"]))
        for kind, entry in kinds.items()
    }


@cache
def remembered_facts() -> dict[str, tuple[Fact, ...]]:
    """The facts that have to be known by heart, by kind."""
    return {
        kind: tuple(Fact(kind, key, value) for key, value in facts.items())
        for kind, facts in _words().items()
        if kind != "sentences"
    }


def rewriting_kinds() -> list[str]:
    """The kinds whose facts are made from sentences instead of remembered."""
    return [kind for kind in wordings() if kind not in remembered_facts()]


def random_rewriting(kind: str, random: Random) -> Fact:
    """A sentence of the closed vocabulary, and what it becomes.

    Args:
        kind: `passive`, `question` or `negation`.
        random: where the choices come from.

    Returns:
        A fact whose key is an active statement, such as "The girl paints the fence."
    """
    sentences = _words()["sentences"]
    person, verb, thing = (random.choice(sentences[part]) for part in ("people", "verbs", "things"))
    past = random.random() < 0.5
    active = _past(verb) if past else _third_person(verb)
    key = f"{capitalised(person)} {active} the {thing}."
    if kind == "passive":
        value = f"The {thing} {'was' if past else 'is'} {_past(verb)} by {person}."
    elif kind == "question":
        value = f"{'Did' if past else 'Does'} {person} {verb} the {thing}?"
    else:
        value = f"{capitalised(person)} {'did' if past else 'does'} not {verb} the {thing}."
    return Fact(kind, key, value)


def fill(template: str, fact: Fact, random: Random) -> str:
    """Put a fact into a wording.

    Args:
        template: a text of `kinds.yaml`.
        fact: what replaces {key}, {value} and their forms.
        random: picks the person of {who} and {Who}, which are the same one.
    """
    who = random.choice(_words()["sentences"]["people"]) if "{who}" in template.lower() else ""
    return template.format(
        key=fact.key,
        value=fact.value,
        a_key=with_article(fact.key),
        A_key=capitalised(with_article(fact.key)),
        a_value=with_article(fact.value),
        who=who,
        Who=capitalised(who),
    )


def with_article(noun: str) -> str:
    """The noun after a or an, by its first letter ("uniform" and "hour" do not occur here)."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def capitalised(text: str) -> str:
    """The text with its first letter as a capital and the rest as it was."""
    return text[:1].upper() + text[1:]


@cache
def _words() -> dict:
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
