"""Whole runs of snakemake, shared between tests where they only look or copy."""

from pathlib import Path

import pytest

from tests.support.judge_servers import ollama_server, running
from tests.support.project import Project, tiny_overlay
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def ollama():
    """An Ollama server on loopback that has llama3 and scores by what it is asked."""
    with running(ollama_server("llama3:latest")) as server:
        yield server


@pytest.fixture(scope="session")
def finished(tmp_path_factory, ollama) -> Project:
    """A project whose comparison has run to its end; not to be changed."""

    def make(folder: Path) -> None:
        overlay = tiny_overlay(folder / "sources", ollama.address)
        run_to_the_end(Project.create(folder / "project", overlay))

    made = Project(made_once(tmp_path_factory, "finished", make) / "project")
    project = made.copy(tmp_path_factory.mktemp("finished") / "project")
    # The server is each worker's own. Its address counts: another worker judges again.
    project.change(judges__server__url=ollama.address)
    run_to_the_end(project)
    return project


def run_to_the_end(project: Project) -> None:
    outcome = project.run()
    assert outcome.code == 0, outcome.tail


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to change and run again."""
    return finished.copy(tmp_path / "project")
