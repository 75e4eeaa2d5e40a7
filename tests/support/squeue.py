"""A command named squeue that gives answers made up by a test."""

from collections.abc import Callable
from pathlib import Path

import pytest


def fake_squeue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes squeue print these texts, one at each call, and then nothing.

    The options that it was called with are in the file `asked` of the folder.
    """

    def answer(*texts: str, code: int = 0, error: str = "") -> None:
        for number, text in enumerate(texts):
            (folder / f"{number}.answer").write_text(text)
        script = folder / "squeue"
        script.write_text(
            f"#!/bin/sh\ncd {folder}\necho \"$@\" >> asked\necho '{error}' >&2\n"
            'for f in *.answer; do [ -e "$f" ] && cat "$f" && rm "$f"; break; done\n'
            f"exit {code}\n"
        )
        script.chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return answer
