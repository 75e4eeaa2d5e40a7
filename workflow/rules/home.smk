# Where this workflow's own files are, which need not be the working folder: it may be run with
# `--directory`, or be a module of another workflow. Only results/ and resources/ are made there.

import os
import sys
import tarfile
import tempfile
from pathlib import Path


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
