"""The environment variables that jobs inherit."""

import os

from tests.support.paths import ROOT
from workflow.lib.runtime.environment import prepare_environment


def test_this_project_comes_first_on_the_path_of_jobs(monkeypatch):
    """Once, and before what the user has there."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/theirs", "", str(ROOT), "/more"]))
    for _ in range(2):
        prepare_environment()
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/theirs", "/more"]


def test_nothing_else_is_on_it_without_the_users(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    prepare_environment()
    assert os.environ["PYTHONPATH"] == str(ROOT)
