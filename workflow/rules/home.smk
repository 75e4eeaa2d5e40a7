# Where this workflow's own files are, which need not be the working folder: it may be run with
# `--directory`, or be a module of another workflow. Only results/ and resources/ are made there.

import gc
import os
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import snakemake.common
import snakemake.rules
import snakemake.sourcecache
from snakemake.script import PythonScript


def unpacked(source):
    """Return a folder with the whole repository of a Snakefile that is read from GitHub or GitLab.

    Snakemake fetches such a workflow file by file, so Python would not find what scripts import.
    """
    repository = source.hosted_repo.repo
    folder = source.cache_path / "unpacked" / repository.commit(source.ref).hexsha
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            archive, files = Path(temporary, "archive.tar"), Path(temporary, "files")
            repository.git.archive(source.ref, format="tar", output=archive)
            with tarfile.open(archive) as opened:
                opened.extractall(files, filter="data")
            try:
                os.rename(files, folder)
            except OSError:  # another process has done it meanwhile
                assert folder.exists()
    return folder


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


quote_interpreter()
plan_faster()
# What is loaded by now stays to the end, and so does nearly all that planning makes. Looking through it
# for garbage again and again takes a fifth of the time of planning hundreds of runs.
gc.freeze()
gc.set_threshold(100_000, 10, 10)
IS_MODULE = not workflow.modifier.is_main_snakefile()
HOME = (
    Path(workflow.current_basedir).parents[1]
    if workflow.current_basedir.is_local
    else unpacked(workflow.current_basedir)
)
sys.path.insert(0, str(HOME))  # before another package named `workflow`
if "{" in str(HOME) or "}" in str(HOME):
    sys.exit(
        f"error: {HOME}: Snakemake takes a brace in the path of a script for a wildcard; move the "
        "workflow to a folder without one"
    )
# A config.yaml in the working folder comes first, unless it is that of the workflow with the module.
CONFIG_FILE = (
    Path("config.yaml") if Path("config.yaml").exists() and not IS_MODULE else HOME / "config.yaml"
)
