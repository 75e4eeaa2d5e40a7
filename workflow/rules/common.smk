# Shared by all rules: the checked settings, and what names in wildcards refer to.

import re
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

from workflow.lib.cli.inputs import located as located_from
from workflow.lib.cli.inputs import missing_inputs, used_by
from workflow.lib.export.chapter_file import check_chapter_file_name
from workflow.lib.judge.identity import judge_identity
from workflow.lib.model.shape import CHECKPOINT_FILES, shape_of_source
from workflow.lib.runtime import provenance
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.environment import prepare_environment
from workflow.lib.runtime.errors import or_exit
from workflow.lib.runtime.event_files import check_library
from workflow.lib.runtime.files import check_folder
from workflow.lib.runtime.folders import check_results
from workflow.lib.runtime.names import choose
from workflow.lib.settings.load import load_settings, refuse
from workflow.lib.settings.root import compared
from workflow.lib.tokens.prompt_style import load_style, prompt_folder

prepare_environment()
PIPELINE_ENV = "../../envs/pipeline.yaml"
provenance.keep_in(Path(".snakemake/code.json"))
located = partial(located_from, home=HOME)
# Cached, as all that is read from a file here, because thousands of jobs may ask for the same.
code_digest = cache(partial(or_exit, provenance.code_digest))


SETTINGS = or_exit(load_settings, config, LAYERS)
COMPARED = compared(SETTINGS)
RUNS = [run for runs in SETTINGS.variants.values() for run in runs]
or_exit(check_folder, Path("results"))
or_exit(check_folder, Path("resources"))
or_exit(
    check_results,
    Path("results"),
    {
        name
        for kind in ("dataset", "tokenizer", "model", "recipe", "judge")
        for name in getattr(SETTINGS, f"{kind}s")
    },
)
if SETTINGS.tensorboard and not workflow.deployment_settings.deployment_method:
    or_exit(check_library)


@cache
def refuse_what_is_missing():
    """Refuse all that the targets need and that is not there, at once and before the first job.

    The targets are known from the moment when Snakemake looks for the first job. Those of another
    workflow that has this one as a module are not ours.
    """
    if workflow.is_main_process and not IS_MODULE:
        used = used_by(map(str, workflow.dag_settings.targets), SETTINGS)
        or_exit(refuse, missing_inputs(SETTINGS, used, config["recipes"], HOME), LAYERS)


def defined(kind, name):
    """Return the definition that a wildcard names, for example of kind `model` or `recipe`."""
    if workflow.dag_settings is not None:
        refuse_what_is_missing()
    return or_exit(choose, kind, name, getattr(SETTINGS, f"{kind}s"))


def recipe_of(wildcards):
    return defined("recipe", wildcards.recipe)


def regex_of(names):
    """Return a regular expression for names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


# Recipes that train adapters.
LORA_RECIPES = regex_of(n for n, recipe in SETTINGS.recipes.items() if recipe.training.lora)


def tokenizer_of(wildcards):
    """Return the files of the tokenizer that a model reads."""
    return tokenizer_files(defined("model", wildcards.model).tokenizer)


def tokenizer_files(name):
    """Return the two files of a tokenizer."""
    return [f"{tokenizer_folder(name)}/{file}" for file in ("encoder.json", "vocab.bpe")]


def tokens_of(wildcards, split):
    """Return the file with the token ids of one split, as this model and recipe read it."""
    tokenizer, recipe = defined("model", wildcards.model).tokenizer, recipe_of(wildcards)
    return f"results/tokens/{tokenizer}/{recipe.dataset}/{prompt_folder(recipe.prompt)}/{split}.npz"


def finetune_inputs(wildcards):
    """Return the inputs of a finetuning.

    This is one function, because Snakemake calls each for each job, hundreds in a sweep.
    """
    return {
        "weights": weights_of(wildcards.model),
        "train": tokens_of(wildcards, "train"),
        "val": tokens_of(wildcards, "val"),
        "val_entries": f"results/data/{recipe_of(wildcards).dataset}/val.json",
        "tokenizer": tokenizer_of(wildcards),
    }


def style_in(folder):
    """Return the prompt style whose tokens a folder of results/tokens holds."""
    styles = {prompt_folder(recipe.prompt): recipe.prompt for recipe in SETTINGS.recipes.values()}
    return style_of(styles.get(folder, folder))


@cache
def style_of(name):
    """Return a prompt style's templates, so that a changed file counts as a changed param."""
    return asdict(or_exit(load_style, name))


@cache
def identity_of(name):
    """Return what a judge's scores depend on, as params."""
    return or_exit(judge_identity, defined("judge", name))


def check_of(wildcards):
    """Return the file that says that a judge's server is ready; none without a server."""
    if defined("judge", wildcards.judge).needs_server:
        return f"results/{wildcards.model}/{wildcards.recipe}/{wildcards.judge}/ready.json"
    return []


def judge_code(script, wildcards):
    """Return the digest of a script and of its judge's backend, which it imports by name."""
    backend = defined("judge", wildcards.judge).backend
    return code_digest(script, f"workflow/lib/judge/backends/{backend}.py")


def judge_slots_of(wildcards):
    """Return how many `judge_slots` of the profile a judging takes: one with a server, else none."""
    return int(defined("judge", wildcards.judge).needs_server)


def cores_of(wildcards):
    """Return all cores, so that two heavy jobs never share a machine.

    Jobs of a small model run side by side, with one core for each process.
    """
    shape = shape_of_model(wildcards.model)
    cores = workflow.resource_settings.cores or 1  # None where all jobs are submitted
    small = shape and SETTINGS.takes_one_thread(shape.parameters)
    return min(recipe_of(wildcards).gpus, cores) if small else cores


SHAPES = {}  # of base models, as far as they are known


def shape_of_model(model):
    """Return the shape of a base model, None if it is not known before the download."""
    if model not in SHAPES:
        if earlier := SETTINGS.trained_first(model):
            return shape_of_model(earlier[0])
        url = located(defined("model", model).url)
        if not (shape := shape_of_source(url, Path(model_folder(model)))):
            return None
        SHAPES[model] = shape
    return SHAPES[model]


def of_variants(file):
    """Return a file of every run of every compared variant."""
    return [f"results/{m}/{r}/{file}" for m in SETTINGS.compare.models for r in RUNS]


def of_tokens():
    """Return the token ids that the compared variants are trained and validated on."""
    variants = [SimpleNamespace(model=m, recipe=r) for m in SETTINGS.compare.models for r in RUNS]
    return sorted({tokens_of(v, split) for v in variants for split in ("train", "val")})


def of_judged(file, pairwise=False):
    """Return a file of every run and every judge that scores, or of every pairwise one."""
    judges = [n for n in SETTINGS.compare.judges if SETTINGS.judges[n].pairwise == pairwise]
    return [f"{folder}{judge}/{file}" for folder in of_variants("") for judge in judges]


def tables_so_far(name, wildcards):
    """Return digests of a variant's scores or wins by path: new ones count as a changed param.

    They are no inputs, so that an export never starts a judge.
    """
    tables = Path("results", wildcards.model, wildcards.recipe).glob(f"*/{name}")
    return {str(table): sha256_of(table) for table in sorted(tables)}


def model_for_chapter(wildcards):
    """Return the state dict to save under the chapter's name, if the name asked for is that one."""
    name = f"{wildcards.chapter}-sft.pth"
    or_exit(check_chapter_file_name, wildcards.model, wildcards.recipe, name)
    return f"results/{wildcards.model}/{wildcards.recipe}/model.pth"


wildcard_constraints:
    dataset=r"[^/]+?",
    format="json|jsonl|csv|parquet",
    judge=r"[^/]+",
    key="(-[0-9a-f]{8})?",
    model=r"[^/]+?",
    prompt=r"[^/]+",
    recipe=r"[^/]+",
    split="train|val|test",
    tokenizer=r"[^/]+?",
