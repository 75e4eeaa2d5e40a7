"""What can be launched: a script's work, in one process or in several."""

from typing import Any, Protocol

from workflow.lib.runtime.processes import Worker
from workflow.lib.settings.computing import Computing


class Job(Protocol):
    """The work of a script, as a pydantic model that can be passed to other processes as JSON."""

    @property
    def computing(self) -> Computing: ...

    def run(self, worker: Worker) -> None: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...
