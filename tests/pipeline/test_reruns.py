"""What a change makes run again, and only that: the table of reruns, row by row."""

import base64
import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.support.project import Project
from workflow.lib.tokens.prompt_style import prompt_folder

AFTER_JUDGES = {"summary", "report", "scores"}
FROM_FINETUNE = {
    f"{job} {model} quick"
    for job in ("finetune", "plot_losses", "generate")
    for model in ("tiny-a", "tiny-b")
} | AFTER_JUDGES
COMPARISON = (
    "summary.csv", ".sha256/summary.csv.sha256", "summary.parquet", "report.html", "pairs.csv",
    "scores.csv", "scores.parquet", "config.yaml", "manifest.json",
)  # fmt: skip
ONE_JUDGE = {
    f"{job} {model} quick server"
    for job in ("check_judge", "judge")
    for model in ("tiny-a", "tiny-b")
} | AFTER_JUDGES
JUDGED = ONE_JUDGE | {"judge tiny-a quick overlap", "judge tiny-b quick overlap"}


def test_the_same_again_has_nothing_to_do(project):
    outcome = project.run()
    assert outcome.code == 0
    assert "Nothing to be done" in outcome.text


@pytest.mark.parametrize(
    "change",
    [
        {"judges__server__prompt": "reasons"},
        {"judges__server__model": "llama3:latest"},
        {"judges__server__options": {"seed": 7, "temperature": 0, "num_ctx": 2048}},
    ],
    ids=["prompt", "model", "options"],
)
def test_changing_a_judge_reruns_that_judge_and_the_report(project, change):
    before = project.contents()
    project.change(**change)
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == ONE_JUDGE
    made = {name for name in project.contents() if "server" in name} | {
        f"results/{name}" for name in COMPARISON
    }
    after = project.contents()
    assert {n: c for n, c in after.items() if n not in made} == {
        n: c for n, c in before.items() if n not in made
    }


def test_editing_a_judges_prompt_file_reruns_that_judge(project):
    project.edit("workflow/prompts/judge/integer.yaml", "from 0 to 100", "between 0 and 100")
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == ONE_JUDGE


def test_changing_a_prompt_style_reruns_from_the_tokens_of_that_recipe(project):
    before = project.contents()
    project.change(recipes__quick__prompt="phi3")
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    tokens = {f"tokenize small-world few phi3 {split}" for split in ("train", "val")}
    assert outcome.jobs == tokens | FROM_FINETUNE | JUDGED
    kept = [n for n in before if n.startswith(("resources/", "results/data/", "results/tokens/"))]
    after = project.contents()
    assert {n: after[n] for n in kept} == {n: before[n] for n in kept}


def test_changing_the_learning_rate_reruns_from_finetuning(project):
    project.change(recipes__quick__training={"epochs": 1, "learning_rate": 2e-3})
    assert project.run().jobs == FROM_FINETUNE | JUDGED


@pytest.mark.parametrize("fault", ["raise MemoryError", "return"], ids=["error", "no output"])
def test_a_job_that_fails_after_a_change_is_run_again_for_each_target(project, fault):
    """Its outputs are gone then; responses and scores of before the change are still there."""
    project.change(recipes__quick__training={"epochs": 1, "learning_rate": 5e-4})
    launching = "workflow/lib/parallel/launching/launch.py"
    line = "    if gpus * nodes == 1:\n"
    project.edit(launching, line, f"    {fault}\n{line}")
    target = "results/tiny-a/quick/overlap/scores.csv"
    assert project.run(target, "--latency-wait", "1").code != 0
    assert project.path(target).exists()
    assert not project.path("results/tiny-a/quick/model.pth").exists()
    project.edit(launching, f"    {fault}\n{line}", line)
    wanted = {"finetune tiny-a quick", "generate tiny-a quick", "judge tiny-a quick overlap"}
    assert project.run("-n", target).jobs == wanted


def test_changing_the_precision_reruns_from_finetuning(project):
    project.change(precision="bf16")
    assert project.run("-n", "results/scores.csv").jobs == FROM_FINETUNE | JUDGED


@pytest.mark.parametrize("values", [(4, 2), (2, 4)])
def test_no_change_of_settings_hides_behind_another(project, values):
    """Params are compared as a set of values: 8, 1 and 1, 8 must not look the same."""
    batch_size, every = values
    project.change(
        recipes__quick__training={"epochs": 1, "learning_rate": 1e-3, "batch_size": batch_size},
        recipes__quick__evaluation={"every": every},
    )
    assert "finetune tiny-a quick" in project.run("-n", "results/scores.csv").jobs


def test_a_new_variant_runs_its_own_jobs(project):
    before = project.contents()
    project.change(
        recipes__quicker={"extends": "quick", "training": {"epochs": 0}},
        compare__recipes=["quick", "quicker"],
    )
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {job.replace(" quick", " quicker") for job in FROM_FINETUNE | JUDGED}
    after = project.contents()
    replaced = [f"results/{name}" for name in COMPARISON]
    assert {n: after[n] for n in before if n not in replaced} == {
        n: c for n, c in before.items() if n not in replaced
    }


def test_nothing_reruns_for_settings_that_change_no_result(project):
    """Log paths, threads, resources, timeouts, retries, concurrency, device, processes."""
    project.edit("workflow/rules/finetune.smk", "results/logs/finetune/", "results/logs/tune/")
    project.edit(
        "workflow/rules/finetune.smk", "gpu=of_recipe(all_gpus),", "gpu=2,\n        disk_mb=900,"
    )
    project.edit("workflow/rules/finetune.smk", "threads: cores_of", "threads: 2")
    project.change(
        judges__server__transport={"concurrency": 3, "timeout": 9, "retries": 1},
        threads=1,
        device="cpu",
        recipes__quick__gpus=2,
        recipes__quick__nodes=2,
        recipes__quick__sharding="full",
    )
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert "Nothing to be done" in outcome.text, outcome.jobs


def rewrite(project: Project, pattern: str, replacement: str, folder: str = "") -> None:
    """Replace a regular expression in every Python file and rule of a folder of workflow/."""
    changed = 0
    for path in sorted(project.path(f"workflow/{folder}").rglob("*")):
        if path.suffix in (".py", ".smk"):
            text = path.read_text("utf-8")
            edited = re.sub(pattern, replacement, text, flags=re.MULTILINE)
            path.write_text(edited, "utf-8")
            changed += text != edited
    assert changed, f"nothing in workflow/{folder} matches {pattern}"


def edit_what_changes_no_result(project: Project) -> None:
    """Edit every text that is only read, all code that is left out, and move modules."""
    rewrite(project, r"\Z", "# A comment.\n")
    rewrite(project, r'^( *)"""(?=[A-Z])', r'\1"""Reworded. ')  # docstrings
    rewrite(project, r'\b(log\.\w+\(\s*)"', r'\1"reworded ')
    rewrite(project, r'\b(raise \w+Error\(\s*f?)"', r'\1"reworded ')
    for package in ("runtime", "cli", "cluster", "parallel/launching"):
        rewrite(project, r"\Z", "\nCHANGED = True\n", f"lib/{package}")
    rewrite(project, '^VERSION = "', 'VERSION = "9.', "lib/runtime")
    rewrite(project, r"^START_MINUTES = \d+", "START_MINUTES = 99", "lib/cluster")
    rewrite(project, r"\bMB = 10\*\*6", "MB = 10**5", "lib/cluster")
    for old, new in (("tokens/collate", "fast/a_collate"), ("report/summary", "data/summary")):
        project.path(f"workflow/lib/{old}.py").rename(project.path(f"workflow/lib/{new}.py"))
        rewrite(project, rf"\bworkflow\.lib\.{old.replace('/', '.')}\b",
                f"workflow.lib.{new.replace('/', '.')}")  # fmt: skip


def test_nothing_reruns_for_code_that_changes_no_result(project):
    edit_what_changes_no_result(project)
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert "Nothing to be done" in outcome.text, outcome.jobs


def test_a_half_finished_training_goes_on_after_such_an_edit(project):
    """It is killed, all that changes no result is edited, and it goes on from its checkpoint."""
    project.change(
        recipes__long={"extends": "quick", "training": {"epochs": 20}}, checkpoint_every=2
    )
    target, folder = "results/tiny-a/long/losses.csv", project.path("results/tiny-a/long")
    run = subprocess.Popen(
        project.command(target),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.pt").exists():
        assert time.monotonic() < deadline, "finetuning did not start"
        assert run.poll() is None, "finetuning ended before it was killed"
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (folder / "losses.csv").exists()

    edit_what_changes_no_result(project)
    assert project.run("--unlock", target).code == 0
    outcome = project.run(target)
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"finetune tiny-a long"}
    assert "Resumed after" in outcome.text
    assert json.loads((folder / "training.json").read_text())["resumed_at"][0] >= 1


def test_touching_files_reruns_nothing(project):
    touched = [
        "workflow/scripts/finetune.py",
        project.kept("gpt2/tiny-a") / "model.safetensors",
        project.kept("datasets/few"),
        "results/tiny-a/quick/model.pth",
        "results/tiny-b/quick/responses.json",
    ]
    for name in touched:
        os.utime(project.path(name))
    outcome = project.run()
    assert outcome.code == 0
    assert "Nothing to be done" in outcome.text, outcome.jobs


@pytest.mark.parametrize(
    ("module", "jobs"),
    [
        ("fast/packing.py", FROM_FINETUNE | JUDGED),  # the loss
        ("generation/responses.py", {"generate tiny-a quick", "generate tiny-b quick"} | JUDGED),
        (
            "judge/backends/overlap.py",
            {"judge tiny-a quick overlap", "judge tiny-b quick overlap"} | AFTER_JUDGES,
        ),
        (
            "report/plots/losses.py",
            {"plot_losses tiny-a quick", "plot_losses tiny-b quick", "report", "scores"},
        ),
    ],
)
def test_a_changed_module_reruns_the_rules_that_import_it(project, module, jobs):
    path = project.path(f"workflow/lib/{module}")
    path.write_text(path.read_text("utf-8") + "\n_UNUSED = 1\n", "utf-8")
    assert project.run("-n", "results/scores.csv").jobs == jobs


def test_a_changed_data_set_reruns_what_reads_it(project):
    """The url is a local path: editing that file counts, as it does for any input."""
    source = project.folder / "own.json"
    source.write_bytes(project.kept("datasets/few").read_bytes())
    project.change(datasets__few__url="own.json")
    project.run("--touch", "results/scores.csv")
    source.write_text(source.read_text().replace("?", "!", 1))
    jobs = project.run("-n", "results/scores.csv").jobs
    assert {"download_dataset few json", "split few", "finetune tiny-a quick"} <= jobs


@pytest.mark.parametrize(
    "change",
    [
        {"datasets__few__limit": 70},
        {"datasets__few__split": {"train": 0.8, "test": 0.1}},
        {"datasets__few__split": {"shuffle": 1}},
        {"datasets__few__fields": {"input": None}},
        {"datasets__few__checks": {"duplicates": "drop"}},
    ],
    ids=["limit", "shares", "shuffle", "fields", "checks"],
)
def test_what_is_taken_of_a_data_set_reruns_from_the_split(project, change):
    """Nothing is downloaded again."""
    project.change(**change)
    tokens = {f"tokenize small-world few alpaca {split}" for split in ("train", "val")}
    expected = {"split few", "quality few"} | tokens | FROM_FINETUNE | JUDGED
    assert project.run("-n", "results/scores.csv").jobs == expected


def test_another_limit_of_likeness_reruns_quality_and_the_report(project):
    project.change(datasets__few__near=90)
    outcome = project.run()
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"quality few", "summary", "report", "scores"}


def test_editing_a_style_of_ones_own_reruns_its_tokens(project):
    own = project.path("own/style.yaml")
    own.parent.mkdir()
    own.write_text(project.path("workflow/prompts/phi3.yaml").read_text())
    project.change(recipes__quick__prompt="own/style.yaml")
    assert "finetune tiny-a quick" in project.run("-n", "results/scores.csv").jobs
    target = f"results/tokens/small-world/few/{prompt_folder('own/style.yaml')}/train.npz"
    assert project.run(target).code == 0
    assert project.run("-n", target).jobs == set()
    project.edit("own/style.yaml", "user", "asker")
    [job] = project.run("-n", target).jobs
    assert job.startswith("tokenize ")


def test_a_recipe_that_becomes_lora_is_finetuned_again(project):
    """It makes a file more, of which there is no record."""
    project.change(recipes__quick__training__lora={"rank": 2})
    jobs = project.run("-n", "results/tiny-a/quick/responses.json").jobs
    assert jobs == {"finetune_lora tiny-a quick", "generate tiny-a quick"}


def test_a_changed_setting_counts_for_results_of_a_version_that_made_fewer_files(project):
    """Here generation.json, of which neither the file nor a record is there."""
    made = project.path("results/tiny-a/quick/generation.json")
    made.unlink()
    for record in project.path(".snakemake/metadata").iterdir():
        name = base64.b64decode(record.name, altchars=b"-_").decode()
        if name == "results/tiny-a/quick/generation.json":
            record.unlink()
    assert "Nothing to be done" in project.run("-n", "results/tiny-a/quick/responses.json").text
    project.change(recipes__quick__generation__temperature=1.0)
    assert "generate tiny-a quick" in project.run("-n", "results/tiny-a/quick/responses.json").jobs
