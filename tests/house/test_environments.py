"""Requirements and profiles that are written down more than once agree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

ENVS = ROOT / "envs"


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*-?\s*([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["pipeline.yaml", "convert.yaml"])
def test_conda_environments_have_the_pins_of_pip(name):
    environment = yaml.safe_load((ENVS / name).read_text())
    [packages] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    conda, pip = pins("\n".join(packages)), pins((ENVS / "requirements.txt").read_text())
    assert conda
    assert conda.items() <= pip.items()


def test_every_requirement_is_in_one_of_the_conda_environments():
    conda = "".join((ENVS / name).read_text() for name in ("pipeline.yaml", "convert.yaml"))
    required = pins((ENVS / "requirements.txt").read_text()).keys()
    assert required - pins(conda).keys() == {"snakemake"}  # which starts the environments


def test_the_lock_holds_every_requirement():
    lock = {n.lower(): v for n, v in pins((ENVS / "lock.txt").read_text()).items()}
    for name in (
        "requirements.txt",
        "requirements-slurm.txt",
        "requirements-cluster-generic.txt",
        "requirements-dev.txt",
        "requirements-judge-model.txt",
    ):
        required = pins((ENVS / name).read_text())
        assert {n.lower(): v for n, v in required.items()}.items() <= lock.items()


DOCKERFILE, APPTAINER = "Dockerfile", "apptainer.def"


def lines(name: str) -> list[str]:
    """The instructions of a container's definition."""
    text = (ENVS / name).read_text()
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]


def test_the_container_is_linted():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--no-color", ENVS / DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stdout, done.stdout


def test_the_container_has_the_pins_of_pip_and_the_python_of_conda():
    """It installs the requirements themselves, held to the lock, and nothing beside them."""
    base, copy, install = lines(DOCKERFILE)
    assert copy == "COPY requirements.txt lock.txt /opt/envs/"
    assert install.removeprefix("RUN ") == (
        "python -m pip install --no-cache-dir -r /opt/envs/requirements.txt -c /opt/envs/lock.txt"
    )
    python = re.fullmatch(r"FROM python:(\d+\.\d+)-slim-\w+", base)[1]
    for name in ("pipeline.yaml", "convert.yaml"):
        assert f"python={python}" in yaml.safe_load((ENVS / name).read_text())["dependencies"]
    lock = {n.lower(): v for n, v in pins((ENVS / "lock.txt").read_text()).items()}
    required = pins((ENVS / "requirements.txt").read_text())
    assert {n.lower(): v for n, v in required.items()}.items() <= lock.items()


def test_apptainer_builds_what_docker_builds():
    base, _, install = lines(DOCKERFILE)
    files = [f"envs/{name} /opt/envs/{name}" for name in ("requirements.txt", "lock.txt")]
    assert lines(APPTAINER) == [
        "Bootstrap: docker", base.replace("FROM", "From:"),
        "%files", *files, "%post", install.removeprefix("RUN "),
    ]  # fmt: skip
    assert all((ROOT / file.split()[0]).is_file() for file in files)


@pytest.mark.parametrize("name", [DOCKERFILE, APPTAINER])
def test_a_container_says_that_it_is_untested(name):
    assert "UNTESTED" in (ENVS / name).read_text()


@pytest.mark.parametrize("cluster", ["slurm", "cluster-generic"])
def test_the_cluster_profiles_keep_what_the_default_one_sets(cluster):
    """Snakemake reads one of them, never both.

    Jobs on other machines need the cache of fetched workflows; the default one does not share it.
    """
    default, other = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())
        for name in ("default", cluster)
    )
    assert "source-cache" not in default.pop("shared-fs-usage")
    assert default.items() <= other.items()
