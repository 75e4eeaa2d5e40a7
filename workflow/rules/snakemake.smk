# Where Snakemake itself is changed, because no setting of it does what this workflow needs; each function
# says why. They were written for the version in envs/requirements.txt. See cluster.smk and attempts.smk for
# jobs that are submitted, and profiles/ for the reading of --configfile.

import gc
import sys
from functools import cache
from subprocess import CalledProcessError
from tempfile import gettempdir

import snakemake.common
import snakemake.rules
import snakemake.sourcecache
from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase
from snakemake.script import PythonScript

from workflow.lib.runtime.script_server import ScriptServer


def quote_interpreter():
    """Have Snakemake quote the path of Python in the shell command of a job, and run it in the shell's place.

    It quotes that of the script only, so a .venv in a folder with a space would not be found. An
    older shell that stays would end by the signal that a scheduler sends to all processes of a job,
    and Snakemake would not wait until the script has written its checkpoint.
    """
    execute = PythonScript._execute_cmd

    def quoted(self, command, **names):
        return execute(self, command.replace("{py_exec} ", "exec {py_exec:q} "), **names)

    PythonScript._execute_cmd = quoted


def import_once_for_all_jobs():
    """Have Snakemake run scripts in forks of a process that has imported what they need.

    It starts a Python for each, which imports everything again: half the time of the default run.
    """
    execute, server = PythonScript.execute_script, ScriptServer()

    def execute_in_fork(self, script, **options):
        if self.conda_env or self.container_img or self.env_modules or self.bench_record:
            return execute(self, script, **options)
        tmpdir = str(self.resources.get("tmpdir", gettempdir()))
        environment = dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), tmpdir)
        for library in ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR"):
            name = "MAXIMUM" if library == "VECLIB" else "NUM"
            environment[f"{library}_{name}_THREADS"] = str(self.threads)
        if code := server.run(script, environment):
            raise CalledProcessError(code, f"python {script}")

    PythonScript.execute_script = execute_in_fork


def plan_faster():
    """Have Snakemake compute once what it computes again for each job, a fifth of the time of planning.

    That is which parameters a function has, and which parts the path of a script has.
    """
    for module, name in (
        (snakemake.common, "get_function_params"),
        (snakemake.rules, "get_function_params"),
        (snakemake.sourcecache, "parse_uri"),
    ):
        if hasattr(module, name):  # else it is a version that no longer has it
            setattr(module, name, cache(getattr(module, name)))


def compare_what_is_recorded():
    """Have Snakemake compare a job's params and inputs with the records of any of its outputs.

    It compares nothing if one output has no record. So it would miss the changes of a recipe that
    becomes LoRA, which adds an output, and of results of a version that made fewer files.
    """

    def has_metadata(self, job):
        return any(self.metadata(path) is not None for path in job.output)

    PersistenceBase.has_metadata = has_metadata


def record_only_what_succeeded():
    """Have Snakemake keep the records of a job's earlier outputs when the job fails.

    It would record the new params as those of the outputs, which it then deletes; or no params at all
    if outputs are missing. After that a target further down that is still there, such as scores, would
    count as up to date.
    """
    postprocess, finished = Job.postprocess, PersistenceBase.finished
    failed = set()

    async def postprocess_noting_failure(self, *args, error=False, **options):
        (failed.add if error else failed.discard)(self)
        await postprocess(self, *args, error=error, **options)

    async def finished_unless_failed(self, job):
        if job not in failed:
            await finished(self, job)

    Job.postprocess, PersistenceBase.finished = postprocess_noting_failure, finished_unless_failed
    PersistenceBase.cleanup = lambda self, job: None


quote_interpreter()
# A submitted job runs one script. Other systems than Linux do not fork safely with these libraries.
if workflow.is_main_process and not IS_MODULE and sys.platform == "linux":
    import_once_for_all_jobs()
plan_faster()
compare_what_is_recorded()
record_only_what_succeeded()
# What is loaded by now stays to the end, and so does nearly all that planning makes. Looking through it
# for garbage again and again takes a fifth of the time of planning hundreds of runs.
gc.freeze()
gc.set_threshold(100_000, 10, 10)
