"""What keeps a statement of a verdict from being one: denial, doubt, quotation, correction."""

import re

from workflow.lib.judge.reading.words import ASPECT, alone

REACH = 100  # characters on both sides of a statement that are read with it
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
# The answer that a response gives to the task, as to one of multiple choice.
_RESPONSE = (
    r"(?<![\w'’])(?:(?:the )?(?:responses?|answers?|assistants?|options?|models?|outputs?"
    r"|candidates?|antwort|modell|réponse|respuesta|risposta|resposta|응답|답변|답안|모델|回答|回复"
    r"|答案|助手|模型|応答) ?\(?(?-i:[AB])\)?|(?-i:[AB])|(?:the )?(?:first|second)"
    r" (?:response|answer|one|assistant)|(?:첫|두) ?번째 (?:응답|답변))"
)
_GIVES = (
    r"(?:gives?|gave|giving|has|had|provides?|provided|picks?|picked|chooses|chose|selects?"
    r"|selected|outputs?|states?|stated|writes|wrote|answers|answered|offers?|offered|returns?"
    r"|returned|contains?|contained|produces|produced|responds|responded|replies|replied|reaches"
    r"|reached|arrives|arrived|ends|ended|concludes|concluded|goes|went|got|gets|gibt|hat|donne"
    r"|dit|da|dice)"
)
_SUBJECT = rf"(?:{_RESPONSE}|(?<!\w)(?:it|they|(?:the|this) (?:user|student|model|response)))"
_OF_A_RESPONSE = re.compile(
    rf"(?:{_RESPONSE}['’]s|(?<!here)(?<!that)(?<!let)(?<!\bit)(?<!what)['’]s|(?<!\w)(?:its|their|his|her)"
    rf"|{_RESPONSE} ?(?:의|的|の)"
    rf"|{_SUBJECT} (?:\w+ly |also |just |then )?{_GIVES}"
    rf"|^\s*(?:(?:in|for|by|from) )?{_RESPONSE} ?[:,–-]?)"
    r"(?: (?:as|at|with|by|on|an?|the|its|their|own|final|given|stated|wrong|incorrect|correct"
    r"|right|same|that|answer|choice|selection|option|is|was|of))*[ :\"'“(]*$",
    re.IGNORECASE,
)
_WRONG = re.compile(alone("wrong|incorrect"), re.IGNORECASE)
_IN_BRACKETS = re.compile(rf"[^(:]*\((?:of |by |from |in |for )?{_RESPONSE}\)", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?:the |an? )?(?:final |overall )?(?:answer|choice|selection|decision|result|conclusion|pick"
    r"|antwort|réponse|respuesta|ответ|정답|답|선택|결론|答案|选择|结论|答え|結論)",
    re.IGNORECASE,
)
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
        or _is_of_a_response(before, statement)
        or _CLAUSE.search(after)
        or (_HEDGED.search(statement) and _CONTRAST.search(after))
        or (re.match(r"[AB] ", statement) and not _BEFORE_LETTER.search(before))
        or re.search(r"(?:^|\s)[\"“‘'][^\"”’]*$", before)
    )


def _is_of_a_response(before: str, statement: str) -> bool:
    """Return whether an answer is that of a response to its task, such as "B's answer: A"."""
    return bool(
        _ANSWER.match(statement)
        and (_OF_A_RESPONSE.search(before) or _IN_BRACKETS.match(statement))
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
    return bool(
        _MARK_DENIED.search(before)
        or _MARK_EXPLAINED.search(after)
        or _mark_is_of_a_response(before, mark[0])
    )


def _mark_is_of_a_response(before: str, mark: str) -> bool:
    """Return whether a mark is around the answer of a response to its task.

    Two brackets are what judges are asked to write, so they are a verdict where the words in front
    of them speak for the same response.
    """
    if not (owner := _OF_A_RESPONSE.search(before)):
        return False
    named = re.findall(r"(?<!\w)[AB](?!\w)", owner[0])
    other = named != re.findall(r"(?<!\w)[AB](?!\w)", mark)
    return not mark.startswith("[[") or other != bool(_WRONG.search(owner[0])) or not named


def around(text: str, match: re.Match[str]) -> tuple[str, str]:
    """Return the rest of the sentence in front of a statement, and behind it with its end."""
    before = text[max(0, match.start() - REACH) : match.start()]
    start = max((m.end() for m in _SENTENCE.finditer(before)), default=0)
    after = text[match.end() : match.end() + REACH]
    end = _SENTENCE.search(after)
    return before[start:], after[: end.end()] if end else after
