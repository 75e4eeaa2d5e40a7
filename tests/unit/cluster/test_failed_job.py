"""A failed job's cause is one line, from what it said, what Slurm says or its last words."""

import pytest

from workflow.lib.cluster.failed_job import UNSAID, find_cause
from workflow.lib.runtime.errors import FINAL

STATUS = "SLURM-job '5' failed, SLURM status is: '{}'. Detailed failure reason unavailable."
SNAKEMAKE = """
[Fri Nov 27 08:39:20 2026]
Error in rule finetune:
    message: None
Shutting down, this might take some time.
Exiting because a job execution failed. Look above for error messages
Elapsed time: 0:00:13.711822
WorkflowError:
At least one job did not complete successfully.
srun: error: node1: task 0: Exited with exit code 1
"""
COMMAND = "CalledProcessError in file \"home.smk\", line 43:\nCommand 'python x.finetune.py' "


def test_what_the_job_said_itself_comes_first():
    own = "finetune small book\nerror: out of memory; lower batch_size\n"
    failure = find_cause(own, SNAKEMAKE, STATUS.format("FAILED"))
    assert (failure.cause, failure.final) == ("out of memory; lower batch_size", False)


def test_a_mistake_is_final():
    own = f"finetune small book\nerror: device: cuda is not available here\n{FINAL}\n"
    assert find_cause(own, "", STATUS.format("FAILED")).final


def test_the_error_of_a_run_that_was_refused_meanwhile_is_not_the_holders():
    """Both stand in the holder's log, and the last one counts; also whether it is final."""
    refused = f"finetune small book\nerror: results/small/book: ana trains here\n{FINAL}\n"
    assert find_cause(refused, "", "").final
    own = f"{refused}error: process 1 of 2 was ended by SIGKILL\n"
    failure = find_cause(own, "", "")
    assert (failure.cause, failure.final) == ("process 1 of 2 was ended by SIGKILL", False)


def test_a_defect_shows_the_end_of_its_traceback():
    own = "error: this is a defect, report it\nTraceback ...\n  File x\nKeyError: 'lr'"
    failure = find_cause(own, "", "")
    assert failure.cause == "this is a defect, report it (KeyError: 'lr')"
    assert not failure.final


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("TIMEOUT", "its time limit passed"),
        ("OUT_OF_MEMORY", "out of memory: it used more than it had requested"),
        ("CANCELLED", "it was cancelled"),
        ("NODE_FAIL", "its node failed"),
        ("BOOT_FAIL", "its node did not start"),
        ("DEADLINE", "its deadline passed"),
        ("PREEMPTED", "it was preempted by a job of higher priority"),
    ],
)
def test_a_state_of_slurm_says_more_than_a_job_that_it_interrupted(state, cause):
    own = "error: interrupted; run the same command again to go on"
    failure = find_cause(own, SNAKEMAKE, STATUS.format(state))
    assert (failure.cause, failure.final) == (cause, False)
    assert failure.counts == (state != "PREEMPTED")
    assert find_cause(own, SNAKEMAKE, STATUS.format("FAILED"), state).cause == cause


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=3.0", "out of memory: "),
        ("slurmstepd-n1: error: *** JOB 9 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***",
         "its time limit passed"),
        ("slurmstepd: error: *** STEP 9.0 ON n1 CANCELLED AT 2026 DUE TO NODE FAILURE, SEE LOG",
         "its node failed"),
        ("slurmstepd-n1: error: *** JOB 9 ON n1 CANCELLED AT 2026 ***", "it was cancelled"),
        (COMMAND + "died with <Signals.SIGKILL: 9>.",
         "it was ended by SIGKILL, perhaps because memory ran out"),
        (COMMAND + "died with <Signals.SIGSEGV: 11>.", "it was ended by SIGSEGV"),
        (COMMAND + "returned non-zero exit status 127.", "it ended with status 127"),
        ("srun: error: Unable to create step for job 4: Invalid generic resource (gres)",
         "Unable to create step for job 4: Invalid generic resource (gres)"),
        ("Traceback\n  File\nModuleNotFoundError: No module named 'torch'",
         "ModuleNotFoundError: No module named 'torch'"),
        ("MissingInputException in rule finetune:\n    affected files:\n        results/a.npz\n",
         "an input is missing: results/a.npz"),
        ("", UNSAID),
    ],
)  # fmt: skip
def test_the_output_tells_what_the_log_does_not(output, cause):
    failure = find_cause("", f"{output}\n{SNAKEMAKE}", STATUS.format("FAILED"))
    assert failure.cause.startswith(cause)
    assert not failure.final
    assert failure.in_output


def test_a_workflow_that_is_refused_on_the_node_is_final():
    failure = find_cause("", f"error: config.yaml: no such recipe\n{SNAKEMAKE}", "")
    assert (failure.cause, failure.final) == ("config.yaml: no such recipe", True)


@pytest.mark.parametrize(
    ("said", "final"),
    [("Invalid account or account/partition combination specified", True),
     ("Requested node configuration is not available", True),
     ("Socket timed out on send/recv operation", False)],
)  # fmt: skip
def test_what_slurm_refuses_is_quoted(said, final):
    message = (
        "SLURM sbatch failed. The error message was 'sbatch: error: Batch job submission failed: "
        f"{said}'.\n    sbatch call:\n        sbatch --parsable"
    )
    failure = find_cause("", "", message)
    assert failure.cause.endswith(said)
    assert "\n" not in failure.cause
    assert failure.final == final


def test_a_line_has_no_end():
    assert len(find_cause(f"error: {'x' * 9999}", "", "").cause) < 500
