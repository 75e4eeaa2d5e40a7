"""The chapter's own file of a finetuned model, by the chapter's own name (end of section 7.7)."""

import os
import re
import shutil
from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import replacing


def chapter_file_name(model: str) -> str:
    """`gpt2-medium355M-sft.pth` for gpt2-medium-355M, which the chapter calls gpt2-medium (355M).

    Args:
        model: name in config.yaml; one without a size at its end is taken as it is.
    """
    chosen = re.sub(r"-(\d+(?:\.\d+)?[KMB])$", r" (\1)", model)
    return f"{re.sub(r'[ ()]', '', chosen)}-sft.pth"


def check_chapter_file_name(model: str, recipe: str, name: str) -> None:
    """Refuse any other name.

    Raises:
        UserError: names the right file.
    """
    if name != (right := chapter_file_name(model)):
        raise UserError(
            f"results/{model}/{recipe}/{name}: the chapter's file of this model is "
            f"results/{model}/{recipe}/{right}"
        )


def write_chapter_file(model: Path, output: Path) -> None:
    """Give the saved model a second name; a copy where the file system knows no hard links."""
    with replacing(output) as unfinished:
        unfinished.unlink(missing_ok=True)
        try:
            os.link(model, unfinished)
        except OSError:
            shutil.copyfile(model, unfinished)
