"""Whole runs of snakemake, shared between tests where they only look or copy."""

import pytest

from tests.support.judge_servers import ollama_server, running
from tests.support.project import Project, tiny_overlay


@pytest.fixture(scope="session")
def ollama():
    """An Ollama server on loopback that has llama3 and scores by what it is asked."""
    with running(ollama_server("llama3:latest")) as server:
        yield server


@pytest.fixture(scope="session")
def finished(tmp_path_factory, ollama) -> Project:
    """A project whose comparison has run to its end; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    project = Project.create(folder / "project", tiny_overlay(folder / "sources", ollama.address))
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to change and run again."""
    return finished.copy(tmp_path / "project")
