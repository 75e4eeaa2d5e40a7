"""Ctrl-C and SIGTERM while training: the step is finished and a checkpoint written first."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from workflow.lib.runtime.log import log

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 1.0  # seconds after which a second Ctrl-C is meant as one


class Interruption:
    """Whether this process was asked to end.

    A second Ctrl-C ends it at once; a second SIGTERM does not, because launchers and schedulers
    send both, or one twice, and SIGKILL where it takes too long.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.doing = ""

    @property
    def asked(self) -> bool:
        """True once a signal came."""
        return self.since is not None

    @contextmanager
    def awaited(self, doing: str) -> Iterator[None]:
        """Note the signals instead of ending at once.

        Args:
            doing: what is done before the end, for the line that reports the first signal.
        """
        self.doing = doing
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.since is None:
            self.since = now
            log.info("Interrupted; %s", self.doing)
        elif number == signal.SIGINT and now - self.since > PATIENCE:
            raise KeyboardInterrupt
