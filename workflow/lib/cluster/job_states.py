"""What Slurm says about a run's jobs, in the words that Snakemake's executor acts on.

The executor waits for ever for a job that is PREEMPTED or CANCELLED "by" somebody, and with
`--requeue` for one whose node failed: it leaves them to Slurm, which may not start them again.
"""

from collections.abc import Callable, Mapping

from workflow.lib.runtime.slurm import states_of_job

LEFT_TO_SLURM = ("PREEMPTED", "NODE_FAIL")
AGAIN = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING")
ON_ITS_WAY = ("COMPLETING", "STAGE_OUT", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT")
SECONDS_A_JOB = 0.3  # between two questions, for each job that goes on: 30 s for 100 jobs
PATIENCE = 60.0  # seconds that squeue may take


def ask_controller(job: str) -> str | None:
    """Return the state that the controller gives for a job: "" if unknown, None if it is silent."""
    states = states_of_job(job, PATIENCE)
    return None if states is None else "\n".join(states)


def silence(program: str) -> str:
    """Return the line on squeue or sacct without an answer."""
    other = "; without accounting, set `slurm-status-command: squeue` in the profile"
    said = f"{program} does not answer; it is asked again until it does"
    return said if program == "squeue" else said + other


class JobStates:
    """The states of a run's jobs, and what became of those that are lost.

    Args:
        ask: gives the controller's state of one job.
    """

    def __init__(self, ask: Callable[[str], str | None] = ask_controller) -> None:
        self.ask = ask
        self.lost: dict[str, str] = {}  # by job, the state that the executor would wait in
        self.started_again: list[str] = []  # jobs that Slurm put back into its queue, until told
        self._going: set[str] = set()
        self._ran: set[str] = set()
        self._missed: set[str] = set()
        self._asked = float("-inf")

    def submitted(self, job: str) -> None:
        """Take note of a job that Slurm accepted."""
        self._going.add(job)

    def pause(self, now: float) -> float:
        """Return the seconds to wait before Slurm is asked; the question counts as asked then."""
        seconds = max(0.0, self._asked + SECONDS_A_JOB * len(self._going) - now)
        self._asked = now + seconds
        return seconds

    def read(self, answer: Mapping[str, str], complete: bool) -> dict[str, str]:
        """Return a state for each job of an answer, in the executor's words.

        A lost job is FAILED. A job that Slurm has forgotten is UNKNOWN: the executor looks whether
        its outputs are there.

        Args:
            answer: states by job.
            complete: whether Slurm names every job that it knows, as squeue does at once.
        """
        states = {job: self._state(job, said) for job, said in answer.items()}
        running = {job for job, state in states.items() if state == "RUNNING"}
        self.started_again += sorted(job for job in self._ran if states.get(job) == "PENDING")
        self._ran = (self._ran - set(self.started_again)) | running
        missing = {job for job in self._going if complete and job not in states}
        states |= dict.fromkeys(missing & self._missed, "UNKNOWN")
        self._missed = missing - self._missed
        self._going -= {job for job, state in states.items() if not _goes_on(state)}
        return states

    def _state(self, job: str, said: str) -> str:
        """Return a job's state as the executor understands it."""
        state = said.split()[0] if said.strip() else said
        if job in self.lost:
            return "FAILED"
        if state not in LEFT_TO_SLURM:
            return state
        now = self.ask(job)
        if now is None or (now and now not in LEFT_TO_SLURM):
            return now or "COMPLETING"  # it is asked again
        self.lost[job] = state
        return "FAILED"


def _goes_on(state: str) -> bool:
    return state in AGAIN or state in ON_ITS_WAY
