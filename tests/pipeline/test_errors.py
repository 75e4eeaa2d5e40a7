"""What a user can get wrong ends in one clear line, early, and loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.support.judge_servers import ollama_server, running
from tests.support.project import one_error


def test_a_mistake_in_the_config_stops_before_anything(project):
    project.change(recipes__quick__trainin={"epochs": 1})
    outcome = project.run()
    assert outcome.code != 0
    assert outcome.text.splitlines()[-1] == (
        "error: overlay.yaml: recipes.quick.trainin: unknown key; did you mean training?"
    )


def test_a_key_that_stands_twice_in_a_file_over_the_config_stops_before_anything(project):
    with project.path("overlay.yaml").open("a", encoding="utf-8") as file:
        file.write("device: cpu\ndevice: cpu\n")
    assert "'device' appears twice, first in line " in one_error(project.run())


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/tiny-c/quick/loss.png", "unknown model 'tiny-c'; did you mean tiny-b?"),
        ("results/tiny-a/qick/loss.png", "unknown recipe 'qick'; did you mean quick?"),
        ("results/tiny-a/quick/overlp/scores.csv", "unknown judge 'overlp'; did you mean overlap?"),
        ("results/data/fwe/train.json", "unknown dataset 'fwe'; did you mean few?"),
    ],
)
def test_an_unknown_name_in_a_target_suggests_the_nearest(project, target, said):
    assert one_error(project.run(target)) == f"error: {said}"


def test_an_unknown_prompt_style_suggests_the_nearest(project):
    project.change(recipes__quick__prompt="alpacca")
    assert "unknown prompt style 'alpacca'; did you mean alpaca" in one_error(project.run())


def test_a_local_path_that_is_not_there_is_named(project):
    project.change(datasets__more={"url": "no/such.json"})
    line = one_error(project.run("results/data/more/train.json"))
    assert "datasets.more" in line
    assert "no/such.json" in line


def test_without_network_the_ways_on_are_named(project):
    project.change(models__away={"url": "http://127.0.0.1:9/gpt2", "tokenizer": "small-world"})
    line = one_error(project.run(f"{project.keyed('gpt2/away')}/model.safetensors"))
    for words in ("http://127.0.0.1:9/gpt2", "models.away", "url", "mirror", "offline"):
        assert words in line, line


def test_a_bad_data_set_is_refused_where_it_is_split(project):
    path = project.folder / "bad.json"
    path.write_text(json.dumps([{"instruction": "a", "input": ""}] * 20))
    project.change(datasets__bad={"url": "bad.json"})
    line = one_error(project.run("results/data/bad/train.json"))
    assert "no entry has 'output'; there are: 'instruction', 'input'" in line
    assert not project.path("results/data/bad/train.json").exists()


def test_a_checkpoint_that_was_cut_off_is_refused(project):
    folder = project.folder / "cut"
    shutil.copytree(project.kept("gpt2/tiny-a"), folder)
    data = folder / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    project.change(models__cut={"url": "cut", "tokenizer": "small-world"})
    target = f"{project.keyed('gpt2/cut')}/model.safetensors"
    assert "damaged or truncated" in one_error(project.run(target))


def test_a_missing_judge_is_noticed_before_training(project):
    """Nothing is finetuned for a judge that cannot be asked."""
    project.change(
        recipes__quick__training={"epochs": 1, "learning_rate": 2e-3},
        judges__server__url="http://127.0.0.1:9",
        judges__server__transport={"retries": 0},
    )
    before = project.path("results/tiny-a/quick/model.pth").read_bytes()
    outcome = project.run()
    line = one_error(outcome)
    assert "127.0.0.1:9" in line
    assert "ollama serve" in line
    assert not any(job.startswith("finetune") for job in outcome.jobs)
    assert project.path("results/tiny-a/quick/model.pth").read_bytes() == before


def test_a_judge_without_its_model_is_noticed_too(project):
    with running(ollama_server("phi3:latest")) as other:
        project.change(
            judges__server__url=other.address,
            recipes__quick__training={"epochs": 1, "learning_rate": 2e-3},
        )
        assert "ollama pull llama3" in one_error(project.run())


def test_a_results_folder_that_cannot_be_written_is_named(finished, tmp_path):
    """A file stands where the folder should be: that stops root too."""
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.path("results"))
    project.path("results").write_text("in the way")
    line = one_error(project.run())
    assert line == "error: results is a file where a folder should be; move it away"
    assert project.path("results").read_text() == "in the way"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_with_the_same_command(project, how):
    """Ctrl-C and kill -9 while finetuning.

    No output is left half-written, and the next run goes on from the last checkpoint.
    """
    project.change(
        recipes__quick__training={"epochs": 60, "learning_rate": 1e-3}, checkpoint_every=5
    )
    log = project.path("results/logs/finetune/tiny-a/quick.log")
    log.unlink()
    run = subprocess.Popen(
        project.command(),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (log.exists() and "Step 000010" in log.read_text()):
        assert time.monotonic() < deadline, "finetuning did not start"
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.1)
    os.killpg(run.pid, how)
    printed = run.communicate(timeout=60)[0]
    assert run.returncode != 0
    assert "Traceback" not in printed, printed
    assert not project.path("results/tiny-a/quick/model.pth").exists()
    if how == signal.SIGKILL:
        assert project.run("--unlock", "results/scores.csv").code == 0
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert {"finetune tiny-a quick", "scores"} <= outcome.jobs
    record = json.loads(project.path("results/tiny-a/quick/training.json").read_text())
    assert record["resumed_at"][0] >= 10
    assert not project.path("results/tiny-a/quick/checkpoint.pt").exists()
    leftovers = [p for p in project.path("results").rglob(".*") if p.is_file()]
    assert leftovers == []
