"""One cluster for all tests of this folder; skipped with the reason where none can be started."""

import pytest

from tests.support.slurm import Cluster, missing, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A running Slurm of one node."""
    if reason := missing():
        pytest.skip(reason)
    with running_cluster() as cluster:
        yield cluster
