"""Recipes that are computed by several processes, through Snakemake."""

import json


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
