# Where data sets, tokenizers and base models come from, and where resources/ keeps them: by name, and by
# a key that stands for the source, so that two checkouts can share resources/.

from workflow.lib.model.source import model_source, split_url, vocabulary_names
from workflow.lib.runtime.files import local_path
from workflow.lib.settings.keys import key_of
from workflow.lib.settings.sources import Selection


@cache
def tokenizer_folder(name):
    """Return where the files of a tokenizer are kept."""
    source, names = defined("tokenizer", name), vocabulary_of(name).values()
    key = key_of([located(source.url), *map(located, source.mirrors)], names, sha256=source.sha256)
    return f"resources/tokenizers/{name}-{key}"


@cache
def model_folder(name):
    """Return where the files of a base model are kept."""
    model, source = defined("model", name), source_of_model(name)
    mirrors = [split_url(located(mirror))[0] for mirror in model.mirrors]
    shape = {"format": source.format, "n_heads": model.n_heads}
    key = key_of([source.folder, *mirrors], source.files, sha256=model.sha256, **shape)
    return f"resources/gpt2/{name}-{key}"


def weights_of(model):
    """Return the converted weights of a base model; those of a variant of this run are a result."""
    if SETTINGS.trained_first(model):
        return f"results/{model}/base.safetensors"
    return f"{model_folder(model)}/model.safetensors"


def refuse_other_source(folder, kept):
    """Refuse a folder of resources/ that is not that of the source in the config."""
    or_exit(choose, "folder", folder, {kept: None})


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


@cache
def raw_files_of(dataset):
    """Return the files of a data set as downloaded, by split, or one under the empty name."""
    return defined("dataset", dataset).raw(dataset, located)


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


def local_tokenizer(wildcards):
    """Return a tokenizer's files on this machine, so that editing them counts."""
    name = wildcards.tokenizer
    refuse_other_source(f"resources/tokenizers/{name}{wildcards.key}", tokenizer_folder(name))
    return local_files(defined("tokenizer", name), vocabulary_of(name).values())


def local_model_files(wildcards, names):
    """Return a base model's files on this machine, so that editing them counts.

    A path into results/ is absolute: a relative one would stand for a job of this run.
    """
    model = wildcards.model
    refuse_other_source(f"resources/gpt2/{model}{wildcards.key}", model_folder(model))
    folder = source_of_model(model).folder
    paths = [] if "://" in folder else [local_path(folder) / name for name in names]
    in_results = not Path(folder).is_absolute() and "results" in Path(folder).parts[:1]
    return [str(path.absolute() if in_results else path) for path in paths if path.is_file()]
