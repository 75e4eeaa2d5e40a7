"""The jobs of a run on this machine, through Snakemake: forks of one process."""

import re

RESPONSES = "results/tiny-a/quick/responses.json"


def test_the_jobs_of_a_run_import_torch_once(project):
    outcome = project.run(
        RESPONSES, "--forcerun", "finetune", environment={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"finetune tiny-a quick", "generate tiny-a quick"}
    assert len(re.findall(r"\| +torch$", outcome.text, re.MULTILINE)) == 1


def test_a_job_that_the_system_kills_is_reported_and_leaves_nothing(project):
    project.edit(
        "workflow/scripts/generate_responses.py",
        "    shape = ",
        "    __import__('os').kill(__import__('os').getpid(), 9)\n    shape = ",
    )
    outcome = project.run(RESPONSES)
    assert outcome.code == 1
    assert "died with <Signals.SIGKILL: 9>" in outcome.text
    assert not project.path(RESPONSES).exists()


def test_a_job_has_the_variables_that_snakemake_sets_for_it(project):
    """The server has others; processes that a job starts read them, too."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "TMPDIR", "TEMP")
    project.edit(
        "workflow/scripts/generate_responses.py",
        "    shape = ",
        f"    print('has', *map(__import__('os').environ.get, {names}))\n    shape = ",
    )
    temporary = project.path("temporary")
    outcome = project.run(
        RESPONSES, "--cores", "2", "--set-threads", "generate=2",
        "--default-resources", f"tmpdir='{temporary}'", environment={"OMP_NUM_THREADS": "7"},
    )  # fmt: skip
    assert outcome.code == 0, outcome.tail
    assert f"has 2 2 2 {temporary} {temporary}" in outcome.text
