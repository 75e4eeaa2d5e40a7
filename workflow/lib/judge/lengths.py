"""The length of a response, the same for every model and in every script."""

import re

# Words and single marks: no tokenizer, so that the lengths of two variants can be compared.
_TOKEN = re.compile(r"\w+|[^\w\s]")


def response_length(response: str) -> int:
    """Return the number of words and punctuation marks."""
    return len(_TOKEN.findall(response))
