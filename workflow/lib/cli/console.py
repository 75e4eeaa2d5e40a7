"""The console of the commands: rich's, which no text can steer."""

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from workflow.lib.runtime.printable import printable


class SafeConsole(Console):
    """A console of rich whose styles reach the terminal, but no control characters of texts."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def open_console() -> SafeConsole:
    """Return the console of a command."""
    return SafeConsole(
        file=getattr(sys.stdout, "stream", sys.stdout), highlight=False, markup=False, emoji=False
    )
