"""The pages of the documentation, as their code blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block.

    Args:
        page: where it stands.
        language: what stands behind the opening fence.
        body: its text.
        lead: the paragraph before it, in one line.
    """

    page: Path
    language: str
    body: str
    lead: str

    @property
    def file(self) -> str | None:
        """The file that its lead says to create with it."""
        found = re.search(r"[Cc]reate `([^`]+)`:$", self.lead)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text, found, end = page.read_text("utf-8"), [], 0
    for match in FENCE.finditer(text):
        before = text[end : match.start()].strip().rpartition("\n\n")[2]
        found.append(Block(page, match[1], match[2], " ".join(before.split())))
        end = match.end()
    return found


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))
