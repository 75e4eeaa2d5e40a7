"""Why a submitted job failed, in one line: its own words, Slurm's, or the last of its output."""

import re
from dataclasses import dataclass

from workflow.lib.runtime.errors import FINAL
from workflow.lib.runtime.printable import printable

CAUSES = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "it was cancelled",
    "DEADLINE": "its deadline passed",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "out of memory: it used more than it had requested",
    "PREEMPTED": "it was preempted by a job of higher priority",
    "TIMEOUT": "its time limit passed",
}
# What Slurm writes into a job's output, most telling first: "cancelled" stands in most of them.
SIGNS = {
    "OUT_OF_MEMORY": r"oom[-_ ]?kill|out of memory handler|exceeded (?:job |step )?memory limit",
    "TIMEOUT": r"CANCELLED AT .* DUE TO TIME LIMIT",
    "PREEMPTED": r"CANCELLED AT .* DUE TO PREEMPTION",
    "NODE_FAIL": r"CANCELLED AT .* DUE TO NODE FAILURE",
    "CANCELLED": r"(?:JOB|STEP) \S+ ON \S+ CANCELLED AT",
}
OWN = "error: "  # begins our own line about what a user can put right
UNSAID = "it ended before it could say why"
# Lines that say nothing about the cause.
NOISE = re.compile(
    r"\[\w{3} \w{3} |Elapsed time|Shutting down|Complete log|Exiting because|Will exit after"
    r"|WorkflowError:?$|At least one job did not complete|Storing output in storage"
    r"|srun: (?:Job step aborted|cluster configuration|Terminating|error: .*Exited with)"
    r"|Trying to restart|\s|$"
)
EXCEPTION = re.compile(r"(?!CalledProcess|Workflow|Rule)[\w.]+(?:Error|Exception)(?:: .*)?")
OF_SLURM = re.compile(r"(?:srun|slurmstepd|slurmd)(?:-\S+)?: (?:error|fatal): (.*)")
ENDED = re.compile(
    r"Command .* (?:died with <Signals\.(\w+)|returned non-zero exit status (\d+)).*"
)
MISSING = re.compile(r"(?:affected files|Missing files after [^:]*):\s*(\S[^\n]*)")
HINT = re.compile(r"SLURM status is: '([A-Z_]+)")
REFUSED = re.compile(r"sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)
# Answers of sbatch that stay the same on each attempt.
WRONG = re.compile(
    "invalid|not available|not permitted|unrecognized|more processors|cannot be satisfied", re.I
)
LONGEST = 400  # characters


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Args:
        cause: one line.
        final: every further attempt would end like this one.
        counts: as one of the attempts, which request more each time.
        in_output: the job's output holds more about it, not the rule's log.
    """

    cause: str
    final: bool = False
    counts: bool = True
    in_output: bool = False

    def line(self, name: str, number: str | None, attempt: int, attempts: int, log: str) -> str:
        """Return the console's line on an attempt.

        Args:
            name: rule and wildcards.
            number: the scheduler's, None if it did not take the job.
            attempt: from 1.
            attempts: how many there may be.
            log: to look into, "" if there is none.
        """
        tried = f"attempt {attempt} of {attempts}" if self.counts else "submitted again"
        if self.final:
            tried = "not tried again"
        details = "; ".join(filter(None, [f"job {number}" if number else "", tried, log]))
        return f"error: {name}: {self.cause} [{details}]"


def find_cause(own: str, output: str, message: str, state: str = "") -> Failure:
    """Return why a job failed.

    Args:
        own: what this attempt wrote to the rule's log.
        output: what the scheduler kept of the job's output.
        message: the executor's.
        state: Slurm's, if it is not that of the message.
    """
    if refused := REFUSED.search(message):
        said = _short(refused[1].strip().splitlines()[-1] if refused[1].strip() else "no reason")
        return Failure(f"Slurm did not take it: {said}", final=bool(WRONG.search(said)))
    hint = HINT.search(message)
    state = state or (hint[1] if hint else "")
    if state not in CAUSES and (line := _own_line(own)):
        return Failure(line, final=FINAL in _own_error(own))
    if state not in CAUSES:
        state = next((s for s, sign in SIGNS.items() if re.search(sign, output, re.I)), state)
    if state in CAUSES:
        return Failure(CAUSES[state], counts=state != "PREEMPTED", in_output=True)
    # The workflow itself is refused on the node, before the rule's log begins.
    if not own and (line := _own_line(output)):
        return Failure(line, final=True, in_output=True)
    return Failure(_last_words(output), in_output=True)


def _own_error(text: str) -> list[str]:
    """Return our last line that says what is wrong, and the lines after it, if there is one.

    The lines of other runs may stand before it, which were refused because this one was at work.
    """
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith(OWN)]
    return lines[places[-1] :] if places else []


def _own_line(text: str) -> str:
    """Return our line that says what is wrong, with the last line of a traceback."""
    if not (lines := _own_error(text)):
        return ""
    found, last = lines[0].removeprefix(OWN), lines[-1]
    return _short(f"{found} ({last})" if EXCEPTION.fullmatch(last) else found)


def _last_words(output: str) -> str:
    """Return what a job's output says last of how it ended."""
    if missing := MISSING.search(output):
        return _short(f"an input is missing: {missing[1]}")
    lines = [line for line in output.splitlines() if not NOISE.match(line)]
    for line in reversed(lines):
        if EXCEPTION.fullmatch(line):
            return _short(line)
    for line in reversed(lines):
        if ended := ENDED.fullmatch(line):
            name, status = ended.groups()
            perhaps = ", perhaps because memory ran out" if name == "SIGKILL" else ""
            return f"it was ended by {name}{perhaps}" if name else f"it ended with status {status}"
    for line in reversed(lines):
        if said := OF_SLURM.fullmatch(line):
            return _short(said[1])
    return UNSAID


def _short(line: str) -> str:
    line = printable(line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
