"""The verdicts on two responses, A and B, that a reply states.

Case counts for a letter alone, since "a" is an article; behind "response" it may be either.
"""

import re
from typing import Any

from workflow.lib.judge.reading import doubt
from workflow.lib.judge.reading.words import alone

_TURN = "first", "second"
_NOUN = (
    r"(?:(?:the )?(?:responses?|answers?|assistants?|options?|models?|outputs?|candidates?"
    r"|choices?)"
    r"|(?:die |der |das )?(?:antwort|modell)|(?:la |le )?(?:réponse|respuesta|risposta|resposta)"
    r"|ответ|응답|답변|답안|모델|回答|回复|答案|助手|模型|応答)"
)
# A response as it is named: A, Response A, Output (b), the first response.
_NAME = (
    rf"(?<![a-zA-Z0-9_'’&/+-])(?:(?:{_NOUN} ?)?\(?(?-i:(?P<letter{{n}}>[AB]))\)?"
    rf"(?![a-zA-Z0-9_'’&/+-])"
    rf"|{_NOUN} ?\(?(?P<low{{n}}>[ab])\)?(?![\w'’&/+-])"
    rf"|(?:the |die |la )?(?P<place{{n}}>first|second|erste|zweite|1st|2nd)"
    rf" (?:responses?|answers?|one|assistant|antwort)(?![\w'’])"
    rf"|(?P<korean{{n}}>첫|두) ?번째 (?:응답|답변))"
)
_TIE_WORD = (
    alone(r"tie|tied|draw|unentschieden|gleichstand|égalité|empate|pareggio|ничья|remis")
    + r"|무승부|동점|비김|비겼|平局|平手|引き分け|同点"
)
_TIE_ALONE = re.compile(
    rf"(?:{_TIE_WORD}|equal|both|same|neither)(?: ?(?:입니다|이다|です|だ))?", re.IGNORECASE
)
_FINAL = re.compile(
    alone(
        r"overall|final|finally|in conclusion|in summary|conclusion|ultimately|verdict|winner"
        r"|to sum up|correction|revised"
        r"|insgesamt|fazit|endgültig\w*|conclusión|finalement|globalement|verdikt|urteil|gewinner"
        r"|gagnant|ganador|veredicto"
    )
    + r"|최종|결론|종합|전반|승자|판정|最终|結論|结论|综合|総合|勝者|胜者|判定|最終",
    re.IGNORECASE,
)
_LABEL = (
    r"(?:(?:my |the |your )?(?:final |overall |revised )?(?:verdict|winner|answer|choice|decision"
    r"|preference|judge?ment|pick|selection|conclusion|result|vote|winning (?:response|answer)"
    r"|(?:better|best|preferred|stronger|superior|chosen) (?:response|answer|one|option|output"
    r"|assistant|model|choice)|better|best|preferred|overall|final|correction)"
    r"|gewinner|urteil|(?:die )?bessere antwort|entscheidung|antwort|gagnant"
    r"|(?:la )?meilleure réponse"
    r"|réponse|verdict|ganador|veredicto|(?:la )?mejor respuesta|respuesta|победитель"
    r"|лучший ответ|ответ"
    r"|승자|판정|최종 판정|정답|답|선택|결론|더 (?:나은|좋은) (?:응답|답변|것|쪽)"
    r"|最终判定|最终结论|胜者|获胜者|结论|判断|判定|选择|答案|更好的(?:回答|回复|是)?|较好的回答"
    r"|勝者|結論|答え|より良い回答)"
)
_IS = (
    r"(?: ?\([^()\n]{1,40}\))?"
    r"(?: ?(?::|=|->|→)| is| was| ist| est| es| –| -|은|는|이|是|为|は|が){1,2}"
)
_ADVERB = (
    r"(?:(?:clearly|slightly|much|far|significantly|marginally|definitely|somewhat|a bit|a little"
    r"|overall|therefore|thus|still|obviously|generally|the|considerably|even|also|a|on balance"
    r"|deutlich|etwas|klar|nettement|claramente|더|훨씬|조금|약간|明显|更|稍|より)[ ,]*){0,3}"
)
_GOOD = (
    r"(?:better(?: (?:response|answer|one|choice|option|overall))?|best(?: (?:response"
    r"|answer|one))?"
    r"|superior|preferable|preferred|stronger|winner|winning(?: (?:response|answer|one))?|besser"
    r"|meilleure?|supérieure?|mejor|superior|migliore|melhor|лучше|lepsza)"
)
# After a statement: the end of its clause, or a reason. "In style" would make it one aspect.
_END = (
    r"(?= ?(?:$|[.,;:!?。\n)\]\"'”’|]|–|-(?!\w)|\()| (?:because|since|as|due|for the following"
    r"|overall|weil|da|car|porque|and (?:is|the)|입니다|이다))"
)
_THAN = rf"(?: (?:than|to|over|als|que|di|do que) {_NAME.format(n=9)})?"

_CJK_END = r"(?=$|[\s。，、,.!;])"
_KOREAN_END = (
    r"(?:습니다|합니다|납니다|아요|하다|다|(?:은|한|난)? ?(?:응답|답변|답|것|쪽)(?:입니다|이다)"
    rf"|(?:하다|다)고 (?:(?:생각|판단|평가)(?:합니다|됩니다)|봅니다)){_CJK_END}"
)

_TIES = [
    re.compile(pattern + _END, re.IGNORECASE)
    for pattern in (
        rf"(?<!\w){_LABEL}{_IS} ?[\"'“(]?(?:an? )?(?:{_TIE_WORD})",
        r"(?<!\w)(?:it is|it's|it’s|this is|das ist|c'est|es|i (?:would )?(?:call"
        r"|declare)(?: it| this)?"
        rf"|results? in|resulting in)(?: clearly| therefore)?(?: an?| un| ein)? (?:{_TIE_WORD})",
        alone(
            r"(?:(?:both|the two)(?: responses| answers)?|the responses"
            r"|they) are (?:equally (?:good|bad"
            r"|correct|wrong|valid|well)|equal|of equal quality|the same|identical|equivalent)"
        ),
        alone(r"neither(?: response| answer| one)?(?: is| was)(?: clearly| really)? better")
        + r"(?: than the other)?",
    )
]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("{NAME}", _NAME.format(n=0)), re.IGNORECASE)


_STATEMENTS = [
    # The winner is A. Answer: B, because ...
    _pattern(rf"(?<![\w]){_LABEL}{_IS} ?[\"'“(]?{{NAME}}[\"'”)]?(?:입니다|이다|です|だ)?{_END}"),
    # Response A is better than Response B.
    _pattern(
        rf"{{NAME}}(?: is|'s|’s| was| seems(?: to be)?| appears(?: to be)?| looks| ist| est| es"
        rf"| è| é) "
        rf"{_ADVERB}{_GOOD}{_THAN}{_END}"
    ),
    _pattern(
        rf"{{NAME}} (?:{_ADVERB})(?:wins|gewinnt|gagne|gana|vince)(?: over [^.\n]{{1,20}})?{_END}"
    ),
    # I prefer A.
    _pattern(
        rf"(?<!\w)(?:(?:i|i'd|i’d|i would|i'll|i will|we|ich|je|yo) {_ADVERB})(?:prefer|choose"
        rf"|pick|select"
        rf"|favou?r|vote for|go with|wähle|bevorzuge|préfère|choisis|prefiero|elijo) {{NAME}}"
        rf"(?: over {_NAME.format(n=9)})?{_END}"
    ),
    # 응답 A가 응답 B보다 더 좋습니다. 回答A比回答B更好。 回答Aの方が良い
    _pattern(
        rf"{{NAME}}(?:가|이|쪽이|의 응답이) ?(?:{_NAME.format(n=9)}보다 ?)?(?:더|훨씬)[ 더]*"
        rf"(?:좋|낫|나은|나아|우수|뛰어|적절|정확){_KOREAN_END}"
    ),
    _pattern(r"(?:{NAME})(?:가|이) (?:승리했습니다|승리입니다|이겼습니다|이깁니다)"),
    _pattern(
        rf"(?<!(?<!相)比)(?<!(?<!相)比 ){{NAME}} ?(?:比 ?{_NAME.format(n=9)} ?)?"
        rf"(?:明显|稍微|略|要)?(?:更好|更佳|更优|较好|胜出|获胜|胜)(?:的(?:回答|回复))?{_CJK_END}"
    ),
    _pattern(r"(?:选择?|我选) ?{NAME}(?=$|[\s。，,.!])"),
    _pattern(
        rf"{{NAME}} ?の(?:方|ほう)が ?(?:より)?(?:[良よい]い|優れてい(?:る|ます))(?:です)?"
        rf"(?:と(?:思います|考えます|判断します|思う))?{_CJK_END}"
    ),
]
_ALONE = _pattern(
    r"[\s\"'“”‘’«»(\[{|*#>`:=<]*{NAME}(?:입니다|이다|です|だ)?[\s\"'“”‘’«»)\]}|*`.!>]*"
)
_BARE_END = _pattern(
    r"(?:^|[,:;.!?\n(–-] ?|(?<!\w)(?:so|no|wait|is|be|hmm|thus|therefore|hence|actually|leaning) "
    r"|(?:따라서|그러므로|所以|因此) ?)"
    r"(?:{NAME}|(?:an? )?(?P<tie>tie))[).]*(?: overall)?[.!]*(?= ?$|\n|[.!] )"
)
_REASONED = _pattern(r"{NAME},?(?: because| since| as it| as the) .*")
_MARKED = re.compile(
    r"\[\[ ?([^\[\]\n]{1,20}) ?\]\]|\\boxed\s?\{(?:\\text\s?\{)?([^{}\n]{1,40})\}?\}"
    r"|<(?:answer|winner|verdict|choice|preference|decision|result"
    r"|better)>\s?([^<>]{1,40})\s?</\w+>",
    re.IGNORECASE,
)
_GREATER = re.compile(r"(?-i:([AB]) ?(>{1,2}|<{1,2}|={1,2}|≈) ?([AB]))")
_KEY = re.compile(
    r"(?:the |my |your )?(?:final |overall )?(?:winner|verdict|better|best|preferred"
    r"|preference|choice"
    r"|answer|decision|result|judge?ment|pick|selection|vote|better (?:response|answer|one|option)"
    r"|preferred (?:response|answer)|winning (?:response|answer)|chosen)(?: (?:response|answer))?"
    r"|승자|판정|선택|결과|답|胜者|结论|选择|判断|勝者|判定"
)
_EMPHASIS = re.compile(r"[*`#]+|(?<![^\W])_+|_+(?![^\W])")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathbf|mathrm)\s?\{([^{}\n]{0,40})\}")
_MOST_MARKS = 1_000  # in different surroundings; a text with more is not a verdict
_LONGEST = 20_000  # characters; longer text is not a verdict on two responses


def json_verdicts(found: Any) -> list[str | None]:
    """Return the verdicts in a JSON value, from `split_json`; None for one that is unclear."""
    verdicts: list[str | None] = []
    for key, value in found if isinstance(found, list) else ():
        name = re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key)).strip().lower()
        if isinstance(value, str) and _KEY.fullmatch(name):
            verdicts.append(_alone(_without_markup(value), any_case=True))
    return verdicts


def marked_verdicts(text: str) -> tuple[list[str | None], str]:
    """Return the verdicts in brackets, boxes and tags, and the text without them."""
    verdicts: list[str | None] = []
    seen = set[tuple[str, ...]]()
    for mark in _MARKED.finditer(text):
        before = text[max(0, mark.start() - doubt.REACH) : mark.start()]
        window = before, mark[0], text[mark.end() : mark.end() + doubt.REACH]
        if window in seen:  # a model that repeats itself without end
            continue
        seen.add(window)
        if len(seen) > _MOST_MARKS:
            verdicts.append(None)
            break
        said = next(group for group in mark.groups() if group)
        if doubt.mark_is_doubted(text, mark):
            continue
        if mark[1] and said.strip() in ("C", "c"):  # as MT-bench has its judges mark a tie
            verdicts.append("tie")
        else:
            verdicts.append(_alone(_without_markup(said), any_case=True))
    return verdicts, _MARKED.sub(" ", text)


def stated_verdicts(text: str) -> list[str | None]:
    """Return the verdicts that a text states, or those that it calls final.

    Args:
        text: from `plain_characters`, without what is marked.
    """
    text = _without_markup(text)
    if len(text) > _LONGEST:
        return []
    if whole := _alone(text, any_case=True):
        return [whole]
    found: dict[tuple[int, str], bool] = {}  # place and verdict, and whether it is final
    lines = text.split("\n")
    start = 0
    for number, line in enumerate(lines):
        if number in (0, len(lines) - 1) and (said := _alone(line)):
            found[start, said] = False
        start += len(line) + 1
    if (reasoned := _REASONED.fullmatch(lines[0])) and (said := _named(reasoned)):
        found[0, said] = False
    for statement in [m for pattern in _STATEMENTS for m in pattern.finditer(text)]:
        before, after = doubt.around(text, statement)
        if said := None if doubt.is_doubted(before, statement[0], after) else _named(statement):
            found[statement.start(), said] = bool(_FINAL.search(before + statement[0] + after))
    for tie in [m for pattern in _TIES for m in pattern.finditer(text)]:
        before, after = doubt.around(text, tie)
        if not (doubt.is_doubted(before, tie[0], after) or doubt.turns(after)):
            found[tie.start(), "tie"] = bool(_FINAL.search(before))
    corrected = doubt.last_correction(text)
    if any(place < corrected for place, _ in found):
        found = {at: final for at, final in found.items() if at[0] > corrected}
    finals = [said for (_, said), final in found.items() if final]
    stated = [*(finals or [said for _, said in found])]
    last = max((place for place, said in found if said in stated), default=len(text))
    return [*stated, *(said for end in _BARE_END.finditer(text, last + 1) if (said := _bare(end)))]


def _bare(end: re.Match[str]) -> str | None:
    """Return the verdict that stands alone at the end of a line or sentence."""
    return "tie" if end["tie"] else _named(end)


def _without_markup(text: str) -> str:
    """Return a text without emphasis, with single spaces and no empty lines."""
    text = _EMPHASIS.sub("", _LATEX_TEXT.sub(r"\1", text)).replace("$", "")
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


def _alone(text: str, any_case: bool = False) -> str | None:
    """Return the verdict that a text of nothing else states."""
    bare = text.strip(" \"'“”‘’«»()[]{}|.!:")
    if _TIE_ALONE.fullmatch(bare):
        return "tie"
    if any_case and bare.lower() in ("a", "b"):
        return _TURN["ab".index(bare.lower())]
    if compared := _GREATER.fullmatch(bare):
        one, sign, other = compared.groups()
        if one == other:
            return None
        if sign[0] in "=≈":
            return "tie"
        return _TURN["AB".index(one if sign[0] == ">" else other)]
    match = _ALONE.fullmatch(text)
    return _named(match) if match else None


def _named(match: re.Match[str]) -> str | None:
    """Return the response that a statement names."""
    groups = match.groupdict()
    if letter := groups["letter0"] or groups["low0"]:
        return _TURN["ab".index(letter.lower())]
    if place := groups["place0"] or groups["korean0"]:
        return _TURN[place.lower() not in ("first", "erste", "1st", "첫")]
    return None
