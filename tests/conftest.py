"""Options and fixtures of all tests."""

import os
import pickle
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.project import Outcome, Project

TESTS = Path(__file__).parent

# The models of the tests are so small that a second thread only costs time.
os.environ["OMP_NUM_THREADS"] = "1"
pytest.register_assert_rewrite("tests.support")

# A program started in the background is deaf to control-C, and so is what it starts. Here what the
# tests start must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--real-data",
        type=Path,
        help="folder with instruction-data.json, gpt2-tokenizer/ and judge-agreement/: runs "
        "tests/real, which cannot be shipped",
    )
    parser.addoption(
        "--variants",
        type=int,
        default=4,
        help="how many variants tests/cluster compares by way of Slurm: 4, or a larger even number",
    )


# The folders whose tests take longest come first, so that short ones fill the gaps at the end.
FOLDERS = ("real_judge", "cluster", "real", "pipeline", "docs", "gpu", "unit", "house")
# What makes a test slow, so that `make check` leaves it out, besides the mark itself: these folders
# start snakemake or a language model, and this fixture is for finetuning.
SLOW_FOLDERS = ("real_judge", "cluster", "real", "pipeline")
SLOW_FIXTURES = {"files"}
# Files whose tests share nothing of their own are handed out test by test, others as a whole.
ONE_BY_ONE = (
    "tests/pipeline/test_bad_input.py",
    "tests/pipeline/test_cluster_ready.py",
    "tests/pipeline/test_errors.py",
    "tests/pipeline/test_processes.py",
    "tests/pipeline/test_reruns.py",
    "tests/unit/parallel/test_launch.py",
    "tests/unit/training/test_checkpoint.py",
)


@pytest.hookimpl(optionalhook=True)  # a machine lent for its GPU may lack pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        """What the workers of pytest-xdist are given next."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file in ONE_BY_ONE else file

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    folders = {item: item.path.relative_to(TESTS).parts[0] for item in items}
    for item, folder in folders.items():
        if folder in SLOW_FOLDERS or SLOW_FIXTURES & {*item.fixturenames}:
            item.add_marker("slow")
    items.sort(key=lambda item: FOLDERS.index(folders[item]))


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr) for report in skipped]  # a folder's name is a keyword too
    if count := sum("needs CUDA" in reason for reason in reasons):
        terminalreporter.write_line(f"{count} tests marked gpu were skipped: they need CUDA")


@pytest.fixture(scope="session")
def real_data(request) -> Path:
    """The folder of real files."""
    folder = request.config.getoption("--real-data")
    if folder is None:
        pytest.skip("needs real files: pytest --real-data=FOLDER")
    if not folder.is_dir():
        pytest.fail(f"--real-data {folder}: no such folder")
    return folder.resolve()


@pytest.fixture(scope="session")
def default_run(tmp_path_factory) -> "tuple[Project, Outcome]":
    """A copy of the project in which `make scores` has run, and its outcome; not to be changed."""
    # Not above: quick tests need no torch.
    from tests.support.project import Project, copy_project, run_command
    from tests.support.shared import made_once

    def make(folder: Path) -> None:
        copy_project(folder / "project")
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "results/scores.csv"]
        outcome = run_command(command, folder / "project", {"NO_COLOR": "1", "COLUMNS": "100"})
        assert outcome.code == 0, outcome.tail
        (folder / "outcome").write_bytes(pickle.dumps(outcome))

    folder = made_once(tmp_path_factory, "default-run", make)
    return Project(folder / "project"), pickle.loads((folder / "outcome").read_bytes())
