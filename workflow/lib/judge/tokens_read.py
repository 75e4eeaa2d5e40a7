"""Compares the tokens that a server says it read with the text that was sent.

Servers cut long questions silently, and a wrong chat template can swallow a question whole. Both
show in the number of tokens, counted here against bytes: 3 to 5 bytes a token are usual in every
script, while characters a token differ from script to script.
"""

import re

# Tokenizers have single tokens for long runs of one character, so runs count as shorter ones.
_RUN = re.compile(r"(.)\1{15,}", re.DOTALL)

# How newer servers, and llama.cpp inside them, refuse a question that is too long.
_REFUSED = re.compile(
    r"exceed\w* (?:the )?(?:available )?context (?:size|length|window)(?: \((\d+) tokens)?"
)

_USUAL = 3.0  # the fewest bytes a token of ordinary text
_CUT = 5.5  # bytes a token; ordinary text has fewer
_CUT_AT_HALF = 4.5  # the same, if the count is that of a question cut to half the context
_IMPLAUSIBLE = 10.0  # bytes a token; the server did not read most of the text


def was_cut(question: str, tokens: int, context: int) -> bool:
    """Return whether a server read only part of a question.

    Args:
        question: text that was sent.
        tokens: length that the server reports.
        context: tokens that the model can take. Ollama cuts to all of them (up to 0.29), to one
            less (0.30.10) or to about half (from 0.30.11: 1,037 of 2,048).
    """
    if tokens >= context - 1:
        return True
    size = _size(question)
    at_half = 0.49 * context <= tokens <= 0.525 * context
    return (at_half and size > _CUT_AT_HALF * tokens) or (
        size > _USUAL * context and size > _CUT * tokens
    )


def is_implausible(question: str, tokens: int | None) -> bool:
    """Return whether a server reports far too few tokens for a question; it may not count them."""
    return bool(tokens) and _size(question) > _IMPLAUSIBLE * (tokens or 1)


def refused_for_length(text: str) -> str | None:
    """Return what to do about a server's refusal, if the question is too long for it."""
    refused = _REFUSED.search(text)
    return does_not_fit(refused[1] or "the context's") if refused else None


def does_not_fit(context: int | str) -> str:
    """Return the message for a question that is longer than a context of that many tokens."""
    return (
        f"the question does not fit into {context} tokens; raise options.num_ctx, up to the "
        "model's context length"
    )


def _size(text: str) -> int:
    return len(_RUN.sub(lambda run: run[1] * 16, text).encode("utf-8", "replace"))
