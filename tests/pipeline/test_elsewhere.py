"""The workflow runs from any folder: with --directory, and as a module of another workflow."""

import json
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.project import ROOT, Outcome, Project, one_error, run_command

SPLIT = "results/data/small-world/train.json"
TOKENS = "results/tokens/small-world/small-world/alpaca/train.npz"


def snakemake(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Outcome:
    """Run snakemake in a folder that is not the project's."""
    command = [sys.executable, "-m", "snakemake", "--quiet", "host", "--cores", "1", *arguments]
    return run_command(command, folder, environment)


def test_results_go_to_the_working_folder(tmp_path):
    """All that the workflow ships is found beside its Snakefile."""
    run = [f"--snakefile={ROOT / 'Snakefile'}", "--directory=there"]
    (tmp_path / "there").mkdir()
    planned = snakemake(tmp_path, *run, "-n", "results/scores.csv")
    assert planned.code == 0, planned.tail
    assert len(planned.jobs) == 29
    done = snakemake(tmp_path, *run, SPLIT, TOKENS)
    assert done.code == 0, done.tail
    assert {path.name for path in tmp_path.iterdir()} == {"there"}
    assert (tmp_path / "there" / SPLIT).exists()
    assert (tmp_path / "there" / TOKENS).exists()
    assert "Nothing to be done" in snakemake(tmp_path, *run, SPLIT, TOKENS).text


def test_a_named_comparison_is_made_in_the_working_folder(tmp_path):
    """By a preset, which is found where the command is given."""
    preset = ROOT / "workflow/presets/small-world-model-sizes.yaml"
    folder = tmp_path / "there"
    folder.mkdir()
    run = [f"--snakefile={ROOT / 'Snakefile'}", "--directory=there"]
    planned = snakemake(tmp_path, *run, "-n", "--configfile", str(preset))
    assert planned.code == 0, planned.tail
    assert "output: results/comparisons/small-world-model-sizes/scores.csv" in planned.text
    assert [*folder.glob("results/*")] == []


def test_files_of_the_working_folder_come_first(tmp_path):
    """Its config.yaml, and what local paths in it name."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    config["compare"]["models"] = ["nano-1M"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    own = tmp_path / config["datasets"]["small-world"]["url"]
    own.parent.mkdir(parents=True)
    entries = json.loads((ROOT / config["datasets"]["small-world"]["url"]).read_text("utf-8"))
    own.write_text(json.dumps(entries[:100]))
    run = f"--snakefile={ROOT / 'Snakefile'}"
    planned = snakemake(tmp_path, run, "-n", "results/scores.csv").jobs
    assert {job.split()[1] for job in planned if job.startswith("finetune ")} == {"nano-1M"}
    done = snakemake(tmp_path, run, SPLIT)
    assert "100 entries: 85 train" in done.text, done.tail


@pytest.mark.parametrize("name", ["two words", 'it\'s $HOME "(é; #1)" & more'])
def test_it_runs_in_a_folder_of_any_name(tmp_path, name):
    """With .venv inside, as `make scores` makes it."""
    project = Project.create(tmp_path / name, {})
    shutil.copy(ROOT / "Makefile", project.folder)
    venv = project.path(".venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "all.pth").write_text("\n".join(site.getsitepackages()))
    project.edit("Makefile", "results/scores.csv", SPLIT)
    resources = project.path("workflow/resources")
    shutil.copytree(ROOT / "workflow/resources", resources)
    for file in (".venv/ready", "overlay.yaml"):
        project.path(file).touch()
    outcome = run_command(["make", "scores"], project.folder)
    assert outcome.code == 0, outcome.tail
    assert project.path(SPLIT).exists()


def test_a_folder_whose_name_snakemake_cannot_take_is_refused(tmp_path):
    """A brace anywhere, a space where jobs are submitted: before anything runs."""
    braces = Project.create(tmp_path / "a{b}", {})
    braces.path("overlay.yaml").touch()
    line = one_error(braces.run("-n", "all"))
    assert line.startswith(f"error: {braces.folder}: Snakemake takes a brace")
    space = Project.create(tmp_path / "a b", {})
    space.path("workflow/resources").symlink_to(ROOT / "workflow/resources")
    space.path(".venv").symlink_to(Path(sys.executable).parents[1])
    command = [".venv/bin/python", "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    target = "results/nano-1M/small-world/model.pth"
    line = one_error(run_command([*command, "--jobs", "1", target], space.folder))
    assert line.startswith(f"error: {space.path('.venv/bin/python')}: jobs on other machines")
    assert not space.path("results").exists()


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"},
        {"TMPDIR": "/proc/none", "LC_ALL": "C", "LANG": "C"},
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_no_variable_of_the_machine_stops_a_plot(finished, tmp_path, variables):
    """A home that cannot be written, no folder for temporary files, Jupyter's matplotlib."""
    project = finished.copy(tmp_path / "project")
    plot = project.path("results/tiny-a/quick/loss.png")
    drawn = plot.read_bytes()
    plot.unlink()
    outcome = project.run("results/tiny-a/quick/loss.png", environment=variables)
    assert outcome.code == 0, outcome.tail
    assert plot.read_bytes() == drawn


def test_another_package_of_its_name_is_not_taken(finished, tmp_path):
    """By PYTHONPATH, in the Snakefile, in jobs, and by `python -m workflow`."""
    project = finished.copy(tmp_path / "project")
    other = tmp_path / "other/workflow/__init__.py"
    other.parent.mkdir(parents=True)
    other.write_text("raise SystemExit('the other one')")
    project.path("results/tiny-a/quick/loss.png").unlink()
    theirs = {"PYTHONPATH": str(tmp_path / "other")}
    outcome = project.run("results/tiny-a/quick/loss.png", environment=theirs)
    assert outcome.code == 0, outcome.tail
    command = [sys.executable, "-m", "workflow", "quality", "few"]
    outcome = run_command(command, project.folder, theirs)
    assert outcome.code == 0, outcome.tail


MODULE = """
module finetuning:
    snakefile: {snakefile}
    config: {config}

use rule * from finetuning as ft_*
"""


def test_another_workflow_uses_it_as_a_module(tmp_path):
    """The config that it gives is laid over config.yaml; a config.yaml of its own is not read."""
    snakefile = repr(str(ROOT / "Snakefile"))
    config = {"compare": {"recipes": ["fast"]}, "recipes": {"fast": {"extends": "small-world"}}}
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile, config=config))
    (tmp_path / "config.yaml").write_text("samples: [a, b]\n")
    planned = snakemake(tmp_path, "-n", "results/scores.csv")
    assert planned.code == 0, planned.tail
    assert {"ft_finetune pico-650K fast", "ft_report"} <= planned.jobs
    assert not [job for job in planned.jobs if "small-world-untuned" in job]
    done = snakemake(tmp_path, TOKENS)
    assert done.code == 0, done.tail
    assert "ft_tokenize small-world small-world alpaca train" in done.jobs
    assert (tmp_path / TOKENS).exists()


def test_a_mistake_in_the_config_of_a_module_is_one_line(tmp_path):
    snakefile = repr(str(ROOT / "Snakefile"))
    config = {"compare": {"models": ["pico-650"]}}
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile, config=config))
    outcome = snakemake(tmp_path, "-n")
    assert outcome.code != 0
    [line] = outcome.errors()
    assert "compare.models.0: models has no 'pico-650'; did you mean pico-650K?" in line


DEPLOYED = """
configfile: "config/config.yaml"

module finetuning:
    snakefile:
        github("someone/finetuning", path="workflow/Snakefile", tag="v1")
    config:
        config

use rule * from finetuning
"""


def test_it_runs_from_a_repository_as_snakedeploy_sets_it_up(tmp_path):
    """The Snakefile that `snakedeploy deploy-workflow` writes, with config/ as it copies it.

    Snakemake clones the repository; git is told to take a local one for it.
    """
    repository, deployed = tmp_path / "repository", tmp_path / "deployed"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("workflow", "config", "envs"):
        shutil.copytree(ROOT / name, repository / name, ignore=ignored)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, repository)
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"],
        ["tag", "v1"],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    (deployed / "workflow").mkdir(parents=True)
    (deployed / "workflow/Snakefile").write_text(DEPLOYED)
    shutil.copytree(ROOT / "config", deployed / "config")
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/someone/finetuning",
    }
    planned = snakemake(deployed, "-n", environment=environment)
    assert planned.code == 0, planned.tail
    assert len(planned.jobs) == 30  # with `all`
    done = snakemake(deployed, TOKENS, environment=environment)
    assert done.code == 0, done.tail
    assert (deployed / TOKENS).exists()
