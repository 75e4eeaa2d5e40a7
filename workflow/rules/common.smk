# What all rules share: the checked settings, and what a variant's names stand for.

import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from workflow.lib.export.chapter_file import check_chapter_file_name
from workflow.lib.settings.load import compared, load_settings
from workflow.lib.runtime.environment import prepare_environment
from workflow.lib.runtime.errors import or_exit
from workflow.lib.runtime.files import check_folder, sha256_of
from workflow.lib.judge.identity import judge_identity
from workflow.lib.runtime.names import choose
from workflow.lib.report.console import outcome_lines
from workflow.lib.tokens.prompt_style import load_style, prompt_folder
from workflow.lib.runtime.provenance import code_digest
from workflow.lib.settings.sources import Selection
from workflow.lib.model.shape import CHECKPOINT_FILES, shape_of_source

BEGAN = time.time()
prepare_environment()
PIPELINE_ENV = "../../envs/pipeline.yaml"


SETTINGS = or_exit(load_settings, config)
or_exit(check_folder, Path("results"))
or_exit(check_folder, Path("resources"))


COMPARED = compared(SETTINGS)


def defined(kind, name):
    """The definition a wildcard names, for example kind `model` or `recipe`."""
    return or_exit(choose, kind, name, getattr(SETTINGS, f"{kind}s"))


def recipe_of(wildcards):
    return defined("recipe", wildcards.recipe)


# Recipes that train adapters, as a regular expression; one that nothing matches if there are none.
LORA_RECIPES = (
    "|".join(re.escape(n) for n, recipe in SETTINGS.recipes.items() if recipe.training.lora)
    or "(?!)"
)


def tokenizer_of(wildcards):
    """Files of the tokenizer that a model reads."""
    name = defined("model", wildcards.model).tokenizer
    return [f"resources/tokenizers/{name}/{file}" for file in ("encoder.json", "vocab.bpe")]


def tokens_of(wildcards, split):
    """Token ids of one split, as this model and recipe read it."""
    tokenizer, recipe = defined("model", wildcards.model).tokenizer, recipe_of(wildcards)
    return f"results/tokens/{tokenizer}/{recipe.dataset}/{prompt_folder(recipe.prompt)}/{split}.npz"


def style_in(folder):
    """The prompt style whose tokens a folder of results/tokens holds."""
    styles = {prompt_folder(recipe.prompt): recipe.prompt for recipe in SETTINGS.recipes.values()}
    return style_of(styles.get(folder, folder))


def style_of(name):
    """A prompt style's templates: a changed file counts as a changed param."""
    return or_exit(load_style, name).as_dict()


def identity_of(name):
    """What a judge's scores depend on."""
    return or_exit(judge_identity, defined("judge", name))


def check_of(wildcards):
    """What a judge with a server must have passed."""
    if defined("judge", wildcards.judge).backend == "overlap":
        return []
    return f"results/{wildcards.model}/{wildcards.recipe}/{wildcards.judge}/ready.json"


def judge_slots_of(wildcards):
    """A judging with a server takes one of `judge_slots`, which the profile says how many are."""
    return int(defined("judge", wildcards.judge).backend != "overlap")


def cores_of(wildcards):
    """Every core, so that two heavy jobs never share a machine; one a process of a small model."""
    source = defined("model", wildcards.model)
    shape = shape_of_source(source.url, Path("resources/gpt2", wildcards.model))
    cores = workflow.resource_settings.cores or 1  # none is named where all jobs are submitted
    small = shape and SETTINGS.spares_threads(shape.parameters)
    return min(recipe_of(wildcards).gpus, cores) if small else cores


def source_of(kind, name):
    """Where files come from, as params of a download."""
    return defined(kind, name).model_dump(include={"url", "mirrors", "sha256"})


def part_of(dataset, path):
    """Where the file of a data set comes from that is kept at a path."""
    definition = defined("dataset", dataset)
    paths = {kept: definition.parts()[part] for part, kept in definition.raw(dataset).items()}
    return or_exit(choose, f"file of dataset {dataset}:", path, paths)


def raw_of(dataset):
    """The files of a data set as they came, by split, or one under the empty name."""
    return defined("dataset", dataset).raw(dataset)


def selection_of(dataset):
    """What is taken of a data set's files, as params."""
    return defined("dataset", dataset).model_dump(include=set(Selection.model_fields))


def local_files(source, names=("",)):
    """A source that is a local path: its files, so that editing them reruns what follows.

    What is not there is left for the download to report.
    """
    files = [] if "://" in source.url else [Path(source.url).expanduser() / n for n in names]
    return [str(file) for file in files if file.is_file()]


def of_variants(file):
    """A file of every compared variant."""
    names = SETTINGS.compare
    return expand(f"results/{{m}}/{{r}}/{file}", m=names.models, r=names.recipes)


def of_tokens():
    """The token ids that the compared variants are trained and validated on."""
    names = SETTINGS.compare
    variants = [SimpleNamespace(model=m, recipe=r) for m in names.models for r in names.recipes]
    return sorted({tokens_of(v, split) for v in variants for split in ("train", "val")})


def of_judged(file):
    """A file of every compared variant and judge."""
    names = SETTINGS.compare
    return [of for path in of_variants("") for of in expand(f"{path}{{j}}/{file}", j=names.judges)]


def scores_so_far(wildcards):
    """Digests of the scores there are, by path: new ones count as a changed param.

    Not inputs, so that an export never starts a judge.
    """
    tables = Path("results", wildcards.model, wildcards.recipe).glob("*/scores.csv")
    return {str(table): sha256_of(table) for table in sorted(tables)}


def model_for_chapter(wildcards):
    """The state dict that gets the chapter's name, if that is the name asked for."""
    name = f"{wildcards.chapter}-sft.pth"
    or_exit(check_chapter_file_name, wildcards.model, wildcards.recipe, name)
    return f"results/{wildcards.model}/{wildcards.recipe}/model.pth"


def print_outcome():
    """The chapter's two lines for every variant, and where the report is, if this run made them."""
    summary, report, scores = map(
        Path, ("results/summary.csv", "results/report.html", "results/scores.csv")
    )
    made = scores.exists() and scores.stat().st_mtime >= BEGAN
    if made and summary.exists() and report.exists():
        notes = {name: judge.note for name, judge in SETTINGS.judges.items()}
        print("", *outcome_lines(summary, report, notes), sep="\n", file=sys.stderr)


wildcard_constraints:
    dataset=r"[^/]+",
    format="json|jsonl|csv|parquet",
    judge=r"[^/]+",
    model=r"[^/]+",
    prompt=r"[^/]+",
    recipe=r"[^/]+",
    split="train|val|test",
    tokenizer=r"[^/]+",
