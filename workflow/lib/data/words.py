"""What counts as a word, in every script.

Chinese, Japanese, Thai, Lao, Khmer and Burmese have no spaces between words, so that a whole
sentence would count as one; each of their characters counts as a word, with the marks above or
below it. Korean has spaces.
"""

_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"  # Han
    "\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
    "\u0e00-\u0e7f\u0e80-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff"  # Burmese, Khmer
)
_MARKS = (
    "\u3099\u309a\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074"
    "\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd"
)


def word_pattern(inside: str = "") -> str:
    """Return a pattern for a word: letters and digits, or one character of a script without spaces.

    Args:
        inside: other characters that belong to a word.
    """
    others = "".join(f"|{character}" for character in inside)
    return rf"(?=[{_UNSPACED}])[^\W_][{_MARKS}]*|(?:(?![{_UNSPACED}])[^\W_]{others})+"
