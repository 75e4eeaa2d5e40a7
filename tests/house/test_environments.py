"""Requirements and profiles that are written down more than once agree."""

import re

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
        "requirements-dev.txt",
        "requirements-judge-model.txt",
    ):
        required = pins((ENVS / name).read_text())
        assert {n.lower(): v for n, v in required.items()}.items() <= lock.items()


def test_the_cluster_profile_keeps_what_the_default_one_sets():
    """Snakemake reads one of them, never both.

    Jobs on other machines need the cache of fetched workflows; the default one does not share it.
    """
    default, slurm = (
        yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())
        for name in ("default", "slurm")
    )
    assert "source-cache" not in default.pop("shared-fs-usage")
    assert default.items() <= slurm.items()
