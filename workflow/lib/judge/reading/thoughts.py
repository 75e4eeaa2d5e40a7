"""A judge's final answer, without the thoughts that some servers leave in front of it."""

import re

_NAMES = (
    r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|internal_monologue"
    r"|rationale|seed:think|ant_?thinking"
)
# <think>, </think>, [THINK], <|begin_of_thought|>, <|END_THINKING|>, ◁think▷
_MARK = re.compile(
    rf"<(?P<xml>/?)(?:{_NAMES})\s?>|\[(?P<square>/?)think\]|◁(?P<kimi>/?)think▷"
    rf"|<\|(?P<piped>/|end_(?:of_)?|start_|begin_(?:of_)?)?(?:{_NAMES})\|>",
    re.IGNORECASE,
)
# The channels of gpt-oss as it writes them, and what is left where a server drops their marks.
_CHANNEL = re.compile(r"<\|channel\|>\s?(?P<name>\w*)[^<]{0,80}(?:<\|message\|>|(?=<)|$)")
_BARE_FINAL = "assistantfinal"
_BARE_THOUGHTS = re.compile(r"\s?(?:analysis|commentary)(?=[A-Z가-힣\u4e00-\u9fff])")
_SPECIAL_TOKEN = re.compile(r"<\|[^<|>\n]{1,40}\|>")


def final_answer(reply: str) -> str | None:
    """Return what a judge wrote after its thoughts; None if it never came to an answer."""
    answer = _final_channel(reply)
    if answer is not None:
        answer = _outside_marks(answer)
    return None if answer is None else _SPECIAL_TOKEN.sub("\n", answer)


def _final_channel(reply: str) -> str | None:
    """Return the last final channel; the whole reply if it has no channels."""
    channels = list(_CHANNEL.finditer(reply))
    if channels:
        finals = [channel for channel in channels if channel["name"] == "final"]
        if not finals:
            return None
        return re.split(
            r"<\|(?:end|return|start|channel)\|>", reply[finals[-1].end() :], maxsplit=1
        )[0]
    _, mark, after = reply.rpartition(_BARE_FINAL)
    if mark:
        return after
    return None if _BARE_THOUGHTS.match(reply) else reply


def _outside_marks(reply: str) -> str | None:
    """Return the text outside marked thoughts; None if the last ones do not end.

    A closing mark without an opening one ends thoughts that began with the reply: chat templates
    may hold the opening mark themselves.
    """
    outside, place, thinking = "", 0, False
    for mark in _MARK.finditer(reply):
        closes = (mark["xml"] or mark["square"] or mark["kimi"] or mark["piped"] or "").lower()
        if closes.startswith(("/", "end")):
            outside = outside if thinking else ""
            place, thinking = mark.end(), False
        elif not thinking:
            outside += reply[place : mark.start()] + "\n"
            thinking = True
    return None if thinking else outside + reply[place:]
