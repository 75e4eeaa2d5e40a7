"""Values that are slow to compute and the same every time, kept in a file between runs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from workflow.lib.runtime.files import replacing

_MOST = 1000  # values of a file; when there are more, those that were not used are dropped


class Kept:
    """Values by key, read from a file and added to it.

    The file only saves time: one that is missing, damaged or of another version counts as empty,
    and if it cannot be written, the values are computed again. If two processes write it at once,
    what one of them added is lost.
    """

    def __init__(self, file: Path | None = None, version: str = "") -> None:
        """Read the file.

        Args:
            file: written only if its folder exists; without one, values are kept in memory.
            version: of everything that the values depend on beside their keys.
        """
        self._file, self._version = file, version
        self._used: set[str] = set()
        self._is_new = False
        self._values: dict[str, Any] = {}
        if file is None:
            return
        try:
            digest, _, text = file.read_text("utf-8").partition("\n")
            content = json.loads(text) if digest == _sha256(text) else {}
        except (OSError, ValueError):
            return
        if content.get("version") == version:
            self._values = content["values"]

    def get(self, key: str) -> Any:
        """Return a value, None if it is not known."""
        self._used.add(key)
        return self._values.get(key)

    def add(self, key: str, value: Any) -> None:
        """Add a value that JSON can hold; `save` writes it."""
        self._values[key] = value
        self._is_new = True

    def save(self) -> None:
        """Write the file if a value is new and the folder can be written to."""
        if self._file is None or not self._is_new or not self._file.parent.is_dir():
            return
        if len(self._values) > _MOST:
            self._values = {k: v for k, v in self._values.items() if k in self._used}
        text = json.dumps({"version": self._version, "values": self._values})
        try:
            with replacing(self._file) as unfinished:
                unfinished.write_text(f"{_sha256(text)}\n{text}", "utf-8")
        except OSError:
            return
        self._is_new = False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
