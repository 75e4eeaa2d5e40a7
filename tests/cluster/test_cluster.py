"""The cluster of these tests: nothing is left of one whose process is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster.machine import wait_for
from tests.support.cluster.running import folders, missing, remove_leftovers
from tests.support.paths import ROOT


def processes_of(folder: Path) -> list[str]:
    """Return the processes that were started with files of a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_nothing_is_left_of_a_cluster_whose_process_is_killed(tmp_path):
    if reason := missing():
        pytest.skip(reason)
    prefix = tmp_path.name.replace("-", "_")
    command = [sys.executable, "-m", "tests.support.cluster", "up", "--prefix", prefix]
    with (tmp_path / "said.txt").open("w") as output:
        up = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    wait_for(lambda: up.poll() is not None or "up: " in (tmp_path / "said.txt").read_text())
    [(folder, owner)] = folders(prefix)
    assert owner == up.pid
    assert processes_of(folder)
    up.send_signal(signal.SIGKILL)
    up.wait()
    wait_for(lambda: not processes_of(folder))
    assert folder.exists()
    remove_leftovers()
    assert not folder.exists()
