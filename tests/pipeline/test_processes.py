"""Recipes that are computed by several processes, through Snakemake."""

import json
import re


def test_two_processes_make_the_results_of_one(project):
    responses = project.path("results/tiny-a/quick/responses.json")
    before = responses.read_bytes()
    project.change(recipes__quick__gpus=2, device="cpu", threads=2)
    wanted = "results/tiny-a/quick/responses.json"
    assert project.run("-n", wanted).jobs == set()
    outcome = project.run(wanted, "--forcerun", "finetune")
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"finetune tiny-a quick", "generate tiny-a quick"}
    assert responses.read_bytes() == before
    record = json.loads(project.path("results/tiny-a/quick/training.json").read_text())
    assert record["processes"] == 2
    log = project.path("results/logs/finetune/tiny-a/quick.log").read_text()
    assert log.count("Initial losses") == 1
    name = "tiny-a/quick | "
    said = [line for line in outcome.text.splitlines() if line.startswith(name)]
    for part in ("Device: ", "First validation entry, before training", "Training completed"):
        assert sum(part in line for line in said) == 1, said
    assert sum("Training completed" in line for line in log.splitlines()) == 1


def test_a_mistake_is_one_line_with_two_processes_too(project):
    project.change(
        recipes__quick__training={"epochs": 1, "learning_rate": 1e30},
        recipes__quick__gpus=2,
        device="cpu",
    )
    outcome = project.run("results/tiny-a/quick/model.pth")
    assert outcome.code != 0
    assert "Traceback" not in outcome.text, outcome.tail
    [line] = outcome.errors()
    assert "lower training.learning_rate" in line


def test_several_nodes_without_a_cluster_are_refused(project):
    project.change(recipes__quick__nodes=2)
    outcome = project.run("results/tiny-a/quick/model.pth", "--forcerun", "finetune")
    [line] = outcome.errors()
    assert line.startswith("error: nodes: 2 of the recipe, but this job has 1; ")


def test_each_of_several_nodes_is_asked_for_its_gpus_and_other_jobs_for_none(project):
    project.change(recipes__quick__nodes=2, recipes__quick__gpus=4)
    outcome = project.run(
        "-n", "results/tiny-a/quick/responses.json", "--forceall",
        "--default-resources", "gpu_model=a100",
    )  # fmt: skip
    assert outcome.code == 0, outcome.tail
    asked = dict(re.findall(r"^rule (\w+):\n(?: .*\n)*?    resources: (.*)$", outcome.text, re.M))
    for rule in ("finetune", "generate"):
        wanted = "gpu=8, processes=4, nodes=2, gres=gpu:a100:4, mpi=srun, tasks=2, tasks_per_gpu=0"
        assert wanted in asked[rule]
    assert "gpu" not in asked["convert_gpt2"]
    project.change(recipes__quick__nodes=1, device="cpu")
    one = project.run("-n", "results/tiny-a/quick/model.pth", "--forcerun", "finetune").text
    assert "gpu=0, processes=4, nodes=1, sharding=" in one
    project.change(recipes__quick__nodes=2)
    two = project.run("-n", "results/tiny-a/quick/model.pth", "--forcerun", "finetune").text
    assert "gpu=0, processes=4, nodes=2, mpi=srun, tasks=2, tasks_per_gpu=0" in two
