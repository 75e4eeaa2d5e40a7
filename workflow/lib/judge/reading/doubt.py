"""What keeps a statement of a verdict from being one: denial, doubt, quotation, correction."""

import re

from workflow.lib.judge.reading.words import ASPECT, alone

_NOT = re.compile(
    alone(
        r"not|never|no|neither|nor|if|whether|unless|why|how|would have|could have|n't|hardly"
        r"|cannot|be (?:wrong|false|incorrect|unfair)|(?:wrong|false|incorrect) (?:to|that)"
        r"|doubt\w*|unclear|tempting|hard to|difficult to|ignore|far from|without"
        r"|(?:some|one|you|many|people|others|users?|they) (?:\w+ )?(?:could|might|may|would|can)"
        r"|at first|first glance|initial(?:ly)?|reasons"
        r"|nicht|kein\w*|kaum|nie|niemals|wenn|falls|ob|falsch|zunächst"
        r"|pas|si|sino|no es|tampoco|nunca|jamais|faux|falso"
    )
    + r"|n['’]t(?!\w)|만약|如果|不|没|別|もし|아니|지 않",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n|。")
_CONTRAST = re.compile(
    alone("but|however|although|though|while|whereas|yet|so|aber|mais|pero") + "|지만",
    re.IGNORECASE,
)
_HEDGED = re.compile(alone("seems|appears|looks"), re.IGNORECASE)
# What a response says of itself is no verdict of the judge.
_SAID = re.compile(
    alone(
        r"says|said|saying|claims?|claimed|claiming|asserts?|insists?|suggests?"
        r"|mentions|states|writes|implies"
    )
    + "[^,;:]{0,60}:? ?$",
    re.IGNORECASE,
)
# "In terms of style, A is better" is one aspect; "based on accuracy" weighs all of it.
_ONE_ASPECT = re.compile(
    rf"(?:{ASPECT}|{alone('stylistically|grammatically|in terms of|second|less|least')})"
    r"[^,:;]{0,30}[,:]? ?$",
    re.IGNORECASE,
)
_WEIGHED = re.compile(
    alone(
        r"based on|considering|given|because of|due to|owing to|overall|final\w*|while|although"
        r"|though|despite"
    ),
    re.IGNORECASE,
)
# The answer to the task rather than the verdict on the responses.
_OF_THE_TASK = re.compile(alone("correct|right|expected|reference|true|actual") + " $", re.I)
_CLAUSE = re.compile(r"^, (?:which|that|as stated|as both)(?!\w)", re.IGNORECASE)
# "Vitamin A is better" names no response: before a letter alone stand only such words.
_BEFORE_LETTER = re.compile(
    r"(?:^ ?|[^\w ] ?|(?<!\w)(?:think|that|so|and|but|hence|thus|therefore|believe|say|find|feel"
    r"|because|since|as|overall|although|though|while|conclude|consider|clearly|dass|que|then"
    r"|judge|argue|case|here|is) )$",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"(?:^|[.!?;\n]|[.…] ?) ?(?:oh |hmm,? |no,? )?(?:wait|actually|scratch that|on closer"
    r"|on second thoughts?|on reflection|looking closer|no[,.:]|hmm|sorry)(?!\w)",
    re.IGNORECASE,
)
_MARK_DENIED = re.compile(
    rf"(?:{alone('not|never|cannot|between|either')}|n['’]t)(?: \w+){{0,2}}[ :\"'(]*$",
    re.IGNORECASE,
)
_MARK_EXPLAINED = re.compile(
    r"^[\"'). ]*(?:\?|(?:if|when|for a tie|means|is (?:wrong|not|incorrect))(?!\w))",
    re.IGNORECASE,
)


def is_doubted(before: str, statement: str, after: str) -> bool:
    """Return whether the rest of its sentence takes a statement back, or makes it another's.

    Args:
        before, after: from `around`.
        statement: text that states a verdict.
    """
    return bool(
        after.endswith("?")
        or _NOT.search(before)
        or _SAID.search(before)
        or (_ONE_ASPECT.search(before) and not _WEIGHED.search(before + statement))
        or _OF_THE_TASK.search(before)
        or _CLAUSE.search(after)
        or (_HEDGED.search(statement) and _CONTRAST.search(after))
        or (re.match(r"[AB] ", statement) and not _BEFORE_LETTER.search(before))
        or re.search(r"(?:^|\s)[\"“‘'][^\"”’]*$", before)
    )


def turns(after: str) -> bool:
    """Return whether a sentence goes on to prefer one response after all."""
    return bool(_CONTRAST.search(after))


def last_correction(text: str) -> int:
    """Return the place of the last words that take back what was said before; -1 for none."""
    return max((found.start() for found in _CORRECTION.finditer(text)), default=-1)


def mark_is_doubted(text: str, mark: re.Match[str]) -> bool:
    """Return whether a marked verdict is denied, or shown as the form to answer in."""
    before, after = around(text, mark)
    return bool(_MARK_DENIED.search(before) or _MARK_EXPLAINED.search(after))


def around(text: str, match: re.Match[str]) -> tuple[str, str]:
    """Return the rest of the sentence in front of a statement, and behind it with its end."""
    before = text[max(0, match.start() - 100) : match.start()]
    start = max((m.end() for m in _SENTENCE.finditer(before)), default=0)
    after = text[match.end() : match.end() + 100]
    end = _SENTENCE.search(after)
    return before[start:], after[: end.end()] if end else after
