"""A reply as plain text: one form of digits, dashes and spaces, no markup, lower case."""

import re
import unicodedata

from workflow.lib.judge.reading.words import LABEL


class _Characters(dict[int, str | None]):
    """The plain form of each character, found when it first occurs."""

    def __missing__(self, code: int) -> str | None:
        self[code] = plain = self._plain(chr(code))
        return plain

    @staticmethod
    def _plain(character: str) -> str | None:
        match unicodedata.category(character):
            case "Nd":
                return str(unicodedata.decimal(character))
            case "No" | "Cc" | "Zs" | "Zl" | "Zp":  # "No" holds ² and ①, which are no scores
                return "\n" if character in "\n\r\v\f\x85\u2028\u2029" else " "
            case "Cf" | "Cs" | "Co":  # zero-width marks among them
                return None
            case "Pd" | "Sm" if character in "\u2010\u2011\u2212\ufe63\uff0d":
                return "-"
            case "Pd" if character != "-":
                return "–"
        return character


_CHARACTERS = _Characters()
_LATEX = (
    (re.compile(r"\\(?:text|mathbf|mathrm|textbf|mathit)\s?\{([^{}\n]{0,200})\}"), r"\1"),
    (re.compile(r"\\[dt]?frac\s?\{\s?([\d.]{1,9})\s?\}\s?\{\s?([\d.]{1,9})\s?\}"), r"\1/\2"),
    (re.compile(r"\\[()\[\]]|\\(?=%)"), " "),
    (re.compile(r"\$([^$\n]{1,80})\$"), r"\1"),
    (re.compile(r"\\boxed\s?\{([^{}\n]{0,80})\}"), r"\nfinal score: \1\n"),
)
# Quoted sentences of a response, with the full stops in them.
_QUOTED = re.compile(r"(?<![\w\"])[\"“][^\"“”\d\n]{1,60} [^\"“”\d\n]{1,140}[\"”](?!\s?:)")
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")
# Asterisks with a space on both sides multiply.
_EMPHASIS = re.compile(r"`+|(?<! )\*+|\*+(?! )|(?<![^\W_])_+|_+(?![^\W_])")
_TAG = re.compile(r"<(/?)([a-z][\w -]{0,30})\s?/?>")
_INLINE = {"b", "strong", "i", "em", "u", "span", "code", "mark", "sup", "sub"}
_LINE_START = re.compile(r"^[ \t]*(?:[#>|•·●–*+-]+[ \t]+)+", re.MULTILINE)
_DOUBLE_BRACKETS = re.compile(r"\[\[ ?([^\[\]\n]{1,20}) ?\]\]")


def plain_characters(reply: str) -> str:
    """Return a reply with one form of digits, dashes and spaces, and without zero-width marks."""
    return unicodedata.normalize("NFKC", reply.translate(_CHARACTERS))


def plain_text(reply: str) -> str:
    """Return a reply, from `plain_characters`, without markup, in lower case."""
    text = reply.lower()
    # First of all: no pattern below asks for how many spaces, so each takes linear time.
    text = re.sub(r" {2,}", " ", text.replace("\t", " "))
    text = re.sub(r" ?\n[ \n]*", "\n", text).strip()
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    text = _QUOTED.sub('""', _STRUCK.sub("", text))
    text = _EMPHASIS.sub("", text)
    text = _TAG.sub(_without_tag, text)
    text = _DOUBLE_BRACKETS.sub(r"\nscore: \1\n", text)
    text = re.sub(r" {2,}", " ", _LINE_START.sub("", text))
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


def _without_tag(tag: re.Match[str]) -> str:
    closes, name = tag[1], tag[2].strip()
    if name in _INLINE:
        return ""
    words = name.replace("_", " ").replace("-", " ")
    return f"\n{words}: " if not closes and re.search(LABEL, words) else "\n"
