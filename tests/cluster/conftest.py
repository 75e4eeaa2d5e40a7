"""Clusters for all tests of this folder; skipped with the reason where none can be started."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.running import missing, running_cluster


def _running(accounting: bool) -> Iterator[Cluster]:
    if reason := missing(accounting):
        pytest.skip(reason)
    with running_cluster(accounting) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running Slurm of several nodes without accounting."""
    yield from _running(accounting=False)


@pytest.fixture(scope="session")
def accounted() -> Iterator[Cluster]:
    """The same with accounting, in place of `cluster` where a test needs it."""
    yield from _running(accounting=True)


@pytest.fixture
def shared_folder(cluster) -> Path:
    """A folder of the test's own that all nodes see; its temporary one is on no node."""
    folder = Path(tempfile.mkdtemp(dir=cluster.shared))
    folder.chmod(0o755)
    return folder
