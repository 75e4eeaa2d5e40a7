"""Options and fixtures of all tests."""

import os
import signal
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support")

# The models of the tests are so small that a second thread only costs time.
os.environ["OMP_NUM_THREADS"] = "1"

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


@pytest.fixture(scope="session")
def real_data(request) -> Path:
    """The folder of real files."""
    folder = request.config.getoption("--real-data")
    if folder is None:
        pytest.skip("needs real files: pytest --real-data=FOLDER")
    if not folder.is_dir():
        pytest.fail(f"--real-data {folder}: no such folder")
    return folder.resolve()
