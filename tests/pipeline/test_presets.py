"""Presets: the real ones plan the right jobs; their twins run offline into one report."""

import csv
import json
import re
from collections import Counter

import pytest
import yaml

from tests.support.paths import NANO, ROOT, SMALL_WORLD
from tests.support.project import SHAPE, Project
from tests.support.small_checkpoint import make_checkpoint
from workflow.lib.model.weights import load_trained_model

SIZES = {
    "gpt2-small-124M": "124M",
    "gpt2-medium-355M": "355M",
    "gpt2-large-774M": "774M",
    "gpt2-xl-1558M": "1558M",
}
MEDIUM = ["gpt2-medium-355M"]
EXERCISES = ["book", "phi3", "mask-prompt", "lora"]
TWINS = ["small-world-untuned", "small-world", "small-world-phi3", "small-world-mask-prompt",
         "small-world-lora"]  # fmt: skip
EXERCISES_HERE = "results/comparisons/small-world-exercises"


def preset(name: str) -> dict:
    return yaml.safe_load((ROOT / f"workflow/presets/{name}.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> dict:
    """Settings that take everything real from folders laid out as it is at its own address."""
    folder = tmp_path_factory.mktemp("mirror")
    for size in SIZES.values():
        make_checkpoint(folder / size, NANO, SHAPE)
    entries = (SMALL_WORLD / "instruction-data.json").read_bytes()
    for name in ("instruction-data.json", "alpaca_data.json"):
        (folder / name).write_bytes(entries)
    return {
        "datasets": {
            "instruction-data": {"url": str(folder / "instruction-data.json")},
            "alpaca-52k": {"url": str(folder / "alpaca_data.json")},
        },
        "tokenizers": {"gpt2": {"url": str(folder / "124M")}},
        "models": {name: {"url": str(folder / size)} for name, size in SIZES.items()},
    }


def planned(
    models: list[str],
    recipes: list[str],
    prompts: list[str],
    dataset: str = "instruction-data",
    tokenizer: str = "gpt2",
    judge: str = "llama3",
) -> set[str]:
    """All jobs of a comparison; what its variants share stands in it once."""
    jobs = {f"download_dataset {dataset} json", f"split {dataset}", f"quality {dataset}"}
    jobs |= {f"download_tokenizer {tokenizer}", "summary", "report", "scores"}
    for prompt in prompts:
        jobs |= {f"tokenize {tokenizer} {dataset} {prompt} {split}" for split in ("train", "val")}
    for model in models:
        jobs |= {f"download_gpt2 {model}", f"convert_gpt2 {model}"}
        for recipe in recipes:
            finetune = "finetune_lora" if recipe.endswith("lora") else "finetune"
            jobs |= {f"{job} {model} {recipe}" for job in (finetune, "plot_losses", "generate")}
            judging = ("judge",) if judge == "overlap" else ("check_judge", "judge")
            jobs |= {f"{job} {model} {recipe} {judge}" for job in judging}
    return jobs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("book", planned(MEDIUM, ["book"], ["alpaca"])),
        ("exercises", planned(MEDIUM, EXERCISES, ["alpaca", "phi3"])),
        ("model-sizes", planned(list(SIZES), ["book"], ["alpaca"])),
    ],
)
def test_a_real_preset_plans_these_jobs_and_no_others(mirror, tmp_path, name, expected):
    project = Project.create(tmp_path / "project", preset(name) | mirror)
    outcome = project.run("-n", f"results/comparisons/{name}/scores.csv")
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == expected
    # `jobs` is a set: a job that stood in the plan twice would show in its total.
    assert int(re.search(r"^total +(\d+)$", outcome.text, re.MULTILINE)[1]) == len(expected)


def test_the_alpaca_exercise_is_one_path_on_the_command_line(mirror, tmp_path):
    project = Project.create(tmp_path / "project", mirror)
    outcome = project.run("-n", "results/gpt2-medium-355M/alpaca-52k/llama3/scores.csv")
    assert outcome.code == 0, outcome.tail
    expected = planned(MEDIUM, ["alpaca-52k"], ["alpaca"], "alpaca-52k")
    unasked = {"summary", "report", "scores", "quality alpaca-52k"}
    assert outcome.jobs == expected - unasked - {"plot_losses gpt2-medium-355M alpaca-52k"}


def test_any_recipe_of_adapters_makes_an_adapter_and_no_other(tmp_path):
    """Also one that extends it; a recipe that trains all weights has no such file."""
    recipes = {
        "longer": {"extends": "small-world-lora", "training": {"epochs": 3}},
        "longer-full": {"extends": "longer", "training": {"lora": None}},
    }
    project = Project.create(tmp_path / "project", {"recipes": recipes})
    project.path("workflow/resources").symlink_to(SMALL_WORLD.parent)
    outcome = project.run("-n", "results/nano-1M/longer/adapter.safetensors")
    assert outcome.code == 0, outcome.tail
    assert "finetune_lora nano-1M longer" in outcome.jobs
    outcome = project.run("-n", "results/nano-1M/longer-full/adapter.safetensors")
    assert outcome.code != 0
    assert "No rule to produce" in outcome.text


@pytest.fixture(scope="module")
def twins(tmp_path_factory) -> tuple[Project, set[str]]:
    """The twin of the exercises, run to its end on a tenth of the entries, and its jobs."""
    sources = tmp_path_factory.mktemp("sources")
    entries = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))[::10]
    (sources / "entries.json").write_text(json.dumps(entries))
    short = {"generation": {"max_new_tokens": 16}}
    overlay = preset("small-world-exercises") | {
        "datasets": {"small-world": {"url": str(sources / "entries.json")}},
        "recipes": dict.fromkeys(TWINS, short),
    }
    project = Project.create(tmp_path_factory.mktemp("twins") / "project", overlay)
    project.path("workflow/resources").symlink_to(SMALL_WORLD.parent)
    outcome = project.run(f"{EXERCISES_HERE}/scores.csv")
    assert outcome.code == 0, outcome.tail
    assert f"Report: {EXERCISES_HERE}/report.html" in outcome.text
    return project, outcome.jobs


def test_the_twins_share_what_they_can(twins):
    _, jobs = twins
    world = ("small-world", "small-world", "overlap")
    assert jobs == planned(["nano-1M"], TWINS, ["alpaca", "phi3"], *world)


def test_every_twin_is_in_one_report(twins):
    project, _ = twins
    with project.path(f"{EXERCISES_HERE}/summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe"] for row in rows] == TWINS
    assert {row["entries"] for row in rows} == {"11"}
    assert all(int(row["scored"]) + int(row["empty"]) == 11 for row in rows)
    with project.path(f"{EXERCISES_HERE}/scores.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 11 * len(TWINS)
    page = project.path(f"{EXERCISES_HERE}/report.html").read_text("utf-8")
    training = page[page.index('<section id="training">') : page.index('<section id="scores">')]
    for name in TWINS:
        shown = f' title="nano-1M / {name}">{name}</span>'
        assert shown in page, name
        curve = f'<figcaption><span class="variant"{shown}</figcaption><svg'
        assert (curve in training) == (name != "small-world-untuned"), name


def test_each_twin_did_what_its_name_says(twins):
    project, _ = twins
    folders = {name: project.path(f"results/nano-1M/{name}") for name in TWINS}
    records = {n: json.loads((f / "training.json").read_text()) for n, f in folders.items()}
    assert records["small-world-untuned"]["steps"] == 0
    assert {records[name]["steps"] for name in TWINS[1:]} == {2 * (93 // 8)}
    book, phi3, masked, lora = (records[name] for name in TWINS[1:])
    assert phi3["inputs"]["train"] != book["inputs"]["train"]
    assert masked["inputs"] == lora["inputs"] == book["inputs"]
    assert masked["initial_losses"]["val"] != pytest.approx(book["initial_losses"]["val"], abs=0.1)
    assert lora["initial_losses"] == pytest.approx(book["initial_losses"], abs=1e-4)
    assert lora["trainable_parameters"] < lora["parameters"] == book["trainable_parameters"]
    assert {n for n, f in folders.items() if (f / "adapter.safetensors").exists()} == {TWINS[-1]}
    folder = folders["small-world-lora"]
    assert (folder / "adapter.safetensors").stat().st_size < (folder / "model.pth").stat().st_size
    load_trained_model(folder / "model.pth", folder / "training.json")


def test_another_size_costs_its_own_jobs_alone(twins, tmp_path):
    """The twin of the sizes, where the exercises have run: only the other model is left to do."""
    project = twins[0].copy(tmp_path / "project")
    preset_of_sizes = preset("small-world-model-sizes")
    sizes = preset_of_sizes["compare"]
    project.change(**preset_of_sizes)
    outcome = project.run("-n", "results/comparisons/small-world-model-sizes/scores.csv")
    assert outcome.code == 0, outcome.tail
    world = ("small-world", "small-world", "overlap")
    [new] = set(sizes["models"]) - {"nano-1M"}
    own = planned([new], sizes["recipes"], ["alpaca"], *world)
    shared = planned([], [], ["alpaca"], *world) - {"summary", "report", "scores"}
    assert outcome.jobs == own - shared
    assert f"{EXERCISES_HERE}/" not in outcome.text


STUDY = "results/comparisons/small-world-study"


def test_the_study_plans_two_sizes_three_recipes_and_three_seeds(tmp_path):
    study = preset("small-world-study")
    project = Project.create(tmp_path / "project", study)
    project.path("workflow/resources").symlink_to(SMALL_WORLD.parent)
    outcome = project.run("-n", f"{STUDY}/scores.csv")
    assert outcome.code == 0, outcome.tail
    finetuned = {job for job in outcome.jobs if job.startswith("finetune ")}
    runs = {
        f"finetune {model} {recipe} {seed}"  # of a run named RECIPE,seed=SEED
        for model in ("pico-650K", "nano-1M")
        for recipe in ("chapter", "phi3-prompt", "masked-prompt")
        for seed in (1, 2, 3)
    }
    assert len(runs) == 18
    models = ("pico-650K", "nano-1M")
    assert finetuned == runs | {f"finetune {m} small-world-untuned" for m in models}  # baselines
    assert len([job for job in outcome.jobs if job.startswith("judge_pairs ")]) == 18


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Project:
    """One recipe of the study, run to its end on a tenth of the entries; not to be changed."""
    sources = tmp_path_factory.mktemp("sources")
    entries = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))[::10]
    (sources / "entries.json").write_text(json.dumps(entries))
    overlay = preset("small-world-study")
    overlay["compare"]["recipes"] = ["chapter"]
    overlay["datasets"] = {"small-world": {"url": str(sources / "entries.json")}}
    overlay["recipes"]["small-world"] = {"generation": {"max_new_tokens": 16}}
    project = Project.create(tmp_path_factory.mktemp("study") / "project", overlay)
    project.path("workflow/resources").symlink_to(SMALL_WORLD.parent)
    outcome = project.run(f"{STUDY}/scores.csv")
    assert outcome.code == 0, outcome.tail
    return project


def responses_of(project: Project, run: str) -> list[dict[str, str]]:
    """The test entries of a run with the model's responses."""
    return json.loads(project.path(f"results/{run}/responses.json").read_text("utf-8"))


def nearness(entry: dict[str, str], response: str) -> float:
    """The pairwise judge's known preference, from the description in docs/judging.md."""
    if response.strip() == entry["output"].strip():
        return 100
    instruction, given_input, wanted, written = (
        re.findall(r"[a-z0-9']+", text.lower())
        for text in (entry["instruction"], entry["input"], entry["output"], response)
    )
    if written == given_input:
        return 0
    new = [[w for w in of if w not in instruction + given_input] for of in (wanted, written)]
    wanted, written = new if any(new) else (wanted, written)
    common = sum((Counter(wanted) & Counter(written)).values())
    f1 = 2 * common / (len(wanted) + len(written)) if common else 0
    one, other = (
        {float(number) for number in re.findall(r"[0-9]+(?:[.][0-9]+)?", text)}
        for text in (entry["output"], response)
    )
    return round(70 * f1 * (len(one & other) / len(one | other) if one | other else 1))


@pytest.mark.parametrize("model", ["pico-650K", "nano-1M"])
def test_win_rates_of_the_study_follow_from_the_responses_alone(study, model):
    baseline = responses_of(study, f"{model}/small-world-untuned")
    rates = []
    for seed in (1, 2, 3):
        run = f"{model}/chapter,seed={seed}"
        won = []
        for entry, other in zip(responses_of(study, run), baseline, strict=True):
            ours, theirs = (nearness(entry, e["model_response"]) for e in (entry, other))
            won.append(1 if ours > theirs else 0 if ours < theirs else 0.5)
        with study.path(f"results/{run}/overlap-pairs/wins.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["outcome"]) for row in rows] == won, run
        assert {row["baseline"] for row in rows} == {f"{model}/small-world-untuned"}
        rates.append(100 * sum(won) / len(won))
    assert max(rates) > 60  # finetuning helps, so the preference is put to the test
