"""The weights under the file name that the chapter gives them (end of section 7.7)."""

import re
from pathlib import Path

from workflow.lib.runtime.digests import check_sums
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import link_or_copy, replacing


def chapter_file_name(model: str) -> str:
    """Return the chapter's file name: gpt2-medium355M-sft.pth for the model gpt2-medium-355M.

    Args:
        model: name in config.yaml, with or without a size at its end.
    """
    chosen = re.sub(r"-(\d+(?:\.\d+)?[KMB])$", r" (\1)", model)
    return f"{re.sub(r'[ ()]', '', chosen)}-sft.pth"


def check_chapter_file_name(model: str, recipe: str, name: str) -> None:
    """Refuse a file name that is not the chapter's.

    Raises:
        UserError: another name; says the right one.
    """
    if name != (right := chapter_file_name(model)):
        raise UserError(
            f"results/{model}/{recipe}/{name}: the chapter's name for this file is "
            f"results/{model}/{recipe}/{right}"
        )


def write_chapter_file(model: Path, output: Path) -> None:
    """Link the weights to their second name, or copy them where hard links are impossible.

    Raises:
        UserError: the weights are damaged.
    """
    check_sums(model)
    with replacing(output) as unfinished:
        unfinished.unlink(missing_ok=True)
        link_or_copy(model, unfinished)
