"""generation.json, which tells of the responses beside it what their text does not."""

from collections.abc import Collection
from pathlib import Path

from workflow.lib.data.stored import Positive, Stored, Whole, read_stored
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_json

NAME = "generation.json"


class _Generation(Stored):
    responses_sha256: str
    max_new_tokens: Positive
    cut_off: list[Whole]


def write_generation(responses: Path, max_new_tokens: int, cut_off: Collection[int]) -> None:
    """Write generation.json beside a finished responses.json.

    Args:
        max_new_tokens: most tokens of a response.
        cut_off: numbers of the entries whose responses have that many and no end.
    """
    content = {
        "responses_sha256": sha256_of(responses),
        "max_new_tokens": max_new_tokens,
        "cut_off": sorted(cut_off),
    }
    write_json(responses.with_name(NAME), content, recorded=True)


def read_cut_off(responses: Path, count: int) -> set[int] | None:
    """Return the numbers of the entries whose responses ended for want of tokens.

    Args:
        responses: responses.json.
        count: its number of entries.

    Returns:
        None where that is not recorded: generation.json is missing, as in results of earlier
        versions, or is of other responses.

    Raises:
        UserError: it is damaged.
    """
    path = responses.with_name(NAME)
    if not path.exists():
        return None
    content = read_stored(path, _Generation)
    if content["responses_sha256"] != sha256_of(responses):
        return None
    if beyond := [number for number in content["cut_off"] if number >= count]:
        raise UserError(
            f"{path}: names entry {beyond[0]} of {count}, counted from 0; delete it and run again"
        )
    return set(content["cut_off"])
