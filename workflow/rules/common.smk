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
from workflow.lib.model.source import model_source, split_url, vocabulary_names
from workflow.lib.runtime import provenance
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.environment import prepare_environment
from workflow.lib.runtime.errors import or_exit
from workflow.lib.runtime.event_files import check_library
from workflow.lib.runtime.files import check_folder, local_path
from workflow.lib.runtime.folders import check_results
from workflow.lib.runtime.names import choose
from workflow.lib.settings.load import load_settings, refuse
from workflow.lib.settings.root import compared
from workflow.lib.settings.sources import Selection
from workflow.lib.tokens.prompt_style import load_style, prompt_folder

prepare_environment()
PIPELINE_ENV = "../../envs/pipeline.yaml"
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


# A regular expression for recipes that train adapters; it matches nothing if there are none.
LORA_RECIPES = (
    "|".join(re.escape(n) for n, recipe in SETTINGS.recipes.items() if recipe.training.lora)
    or "(?!)"
)


def tokenizer_of(wildcards):
    """Return the files of the tokenizer that a model reads."""
    name = defined("model", wildcards.model).tokenizer
    return [f"resources/tokenizers/{name}/{file}" for file in ("encoder.json", "vocab.bpe")]


def tokens_of(wildcards, split):
    """Return the file with the token ids of one split, as this model and recipe read it."""
    tokenizer, recipe = defined("model", wildcards.model).tokenizer, recipe_of(wildcards)
    return f"results/tokens/{tokenizer}/{recipe.dataset}/{prompt_folder(recipe.prompt)}/{split}.npz"


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


def shape_of_model(model):
    """Return the shape of a base model, None if it is not known before the download."""
    if earlier := SETTINGS.trained_first(model):
        return shape_of_model(earlier[0])
    url = located(defined("model", model).url)
    return shape_of_source(url, Path("resources/gpt2", model))


def source_params(source):
    """Return where files come from, as params of a download."""
    values = source.model_dump(include={"url", "mirrors", "sha256"})
    return values | {"url": located(source.url), "mirrors": list(map(located, source.mirrors))}


@cache
def source_of_model(name):
    """Return which files make a base model."""
    model = SETTINGS.models[name]
    in_run = SETTINGS.trained_first(name) is not None
    url = model.url if in_run else located(model.url)
    return or_exit(model_source, f"models.{name}", model, url, in_run)


def weights_to_import(name):
    """Return the files of a base model: in place if this run makes them, else as downloaded."""
    source = source_of_model(name)
    in_run = SETTINGS.trained_first(name) is not None
    folder = Path(source.folder if in_run else f"resources/gpt2/{name}/source")
    return [str(folder / file) for file in source.files]


def local_model_file(name, file):
    """Return a base model's file on this machine, so that editing it counts; none of an address.

    The path is absolute: a relative one into results/ would stand for a job of this run.
    """
    folder = source_of_model(name).folder
    path = local_path(folder).absolute() / file
    return [str(path)] if "://" not in folder and path.is_file() else []


def model_source_params(name):
    """Return where the files of a base model come from, as params of a download."""
    params = source_params(defined("model", name))
    mirrors = [split_url(mirror)[0] for mirror in params["mirrors"]]
    return params | {"url": source_of_model(name).folder, "mirrors": mirrors}


def vocabulary_of(tokenizer):
    """Return what encoder.json and vocab.bpe are called where a tokenizer comes from."""
    return vocabulary_names(located(defined("tokenizer", tokenizer).url))


def tokenizer_source_params(name):
    """Return where a tokenizer's files come from, with digests by the names they have there."""
    params = source_params(defined("tokenizer", name))
    names = vocabulary_of(name)
    return params | {"sha256": {names[ours]: digest for ours, digest in params["sha256"].items()}}


def raw_files_of(dataset):
    """Return the files of a data set as downloaded, by split, or one under the empty name."""
    return defined("dataset", dataset).raw(dataset)


def source_of_raw_file(dataset, path):
    """Return where one of the files of a data set comes from."""
    definition = defined("dataset", dataset)
    sources = {kept: definition.parts()[part] for part, kept in raw_files_of(dataset).items()}
    return or_exit(choose, f"file of dataset {dataset}:", path, sources)


def selection_of(dataset):
    """Return what is taken of a data set's files, as params."""
    return defined("dataset", dataset).model_dump(include=set(Selection.model_fields))


def local_files(source, names=("",)):
    """Return the files of a source that is a local path, so that editing them counts.

    Missing files are reported by the download rule.
    """
    url = located(source.url)
    files = [] if "://" in url else [Path(url).expanduser() / name for name in names]
    return [str(file) for file in files if file.is_file()]


def of_variants(file):
    """Return a file of every run of every compared variant."""
    return expand(f"results/{{m}}/{{r}}/{file}", m=SETTINGS.compare.models, r=RUNS)


def of_tokens():
    """Return the token ids that the compared variants are trained and validated on."""
    variants = [SimpleNamespace(model=m, recipe=r) for m in SETTINGS.compare.models for r in RUNS]
    return sorted({tokens_of(v, split) for v in variants for split in ("train", "val")})


def of_judged(file, pairwise=False):
    """Return a file of every run and every judge that scores, or of every pairwise one."""
    judges = [n for n in SETTINGS.compare.judges if SETTINGS.judges[n].pairwise == pairwise]
    return [f"{folder}{judge}/{file}" for folder in of_variants("") for judge in judges]


def scores_so_far(wildcards):
    """Return digests of a variant's scores by path, so that new ones count as a changed param.

    They are no inputs, so that an export never starts a judge.
    """
    tables = Path("results", wildcards.model, wildcards.recipe).glob("*/scores.csv")
    return {str(table): sha256_of(table) for table in sorted(tables)}


def model_for_chapter(wildcards):
    """Return the state dict to save under the chapter's name, if the name asked for is that one."""
    name = f"{wildcards.chapter}-sft.pth"
    or_exit(check_chapter_file_name, wildcards.model, wildcards.recipe, name)
    return f"results/{wildcards.model}/{wildcards.recipe}/model.pth"


wildcard_constraints:
    dataset=r"[^/]+",
    format="json|jsonl|csv|parquet",
    judge=r"[^/]+",
    model=r"[^/]+",
    prompt=r"[^/]+",
    recipe=r"[^/]+",
    split="train|val|test",
    tokenizer=r"[^/]+",
