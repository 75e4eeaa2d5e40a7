"""Where the files of a base model lie and what they are, without reading the weights."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workflow.lib.model.shape import CHECKPOINT_FILES
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import local_path
from workflow.lib.settings.sources import Model, ModelFormat

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"  # of Hugging Face
_WEIGHTS = (".pth", ".pt", ".bin", ".safetensors")


@dataclass(frozen=True)
class ModelSource:
    """The files of a base model.

    Args:
        format: what they are.
        folder: https or http address, or local path.
        files: their names in the folder.
    """

    format: ModelFormat
    folder: str
    files: tuple[str, ...]


def model_source(key: str, model: Model, url: str, in_run: bool) -> ModelSource:
    """Return which files make a base model.

    Args:
        key: of the model in config.yaml, for messages.
        model: its settings.
        url: its address, or local path as found: the folder, or the file with the weights.
        in_run: whether it is a variant that the same run makes, so that the files need not exist.

    Raises:
        UserError: the number of heads is missing where it is needed, or given where it is not.
    """
    folder, weights = split_url(url)
    named = {*_names_in(folder)}
    form = model.format or _recognize(folder, weights, named, in_run)
    if form == "chapter" and model.n_heads is None:
        raise UserError(
            f"{key}.n_heads: a .pth file does not tell the number of attention heads, so it is "
            "required; GPT-2 has 12 (124M), 16 (355M), 20 (774M) or 25 (1558M)"
        )
    if form != "chapter" and model.n_heads is not None:
        raise UserError(f"{key}.n_heads: only for `format: chapter`; {url} is read as {form}")
    if form == "tensorflow":
        return ModelSource(form, url, CHECKPOINT_FILES)
    if form == "huggingface":
        found = PICKLED if SAFETENSORS not in named and PICKLED in named else SAFETENSORS
        return ModelSource(form, folder, ("config.json", weights or found))
    weights = weights or "model.pth"
    return ModelSource(
        form, folder, (weights, "training.json") if form == "variant" else (weights,)
    )


def split_url(url: str) -> tuple[str, str]:
    """Return the folder of a source, and the name of its file with weights if the url names one.

    A query of an address, such as an access token, stays with the folder.
    """
    path, mark, query = url.partition("?") if "://" in url else (url, "", "")
    name = PurePosixPath(path).name
    if not name.endswith(_WEIGHTS) or Path(path).expanduser().is_dir():
        return url, ""
    return (path[: -len(name)].rstrip("/") or ".") + mark + query, name


def vocabulary_names(url: str) -> dict[str, str]:
    """Return what encoder.json and vocab.bpe are called at a tokenizer's address.

    Hugging Face has the same two files under other names.
    """
    ours, theirs = ("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")
    named = {*_names_in(url)}
    hugging_face = named.isdisjoint(ours) and named.issuperset(theirs)
    return dict(zip(ours, theirs if hugging_face or "/resolve/" in url else ours, strict=True))


def _recognize(folder: str, weights: str, named: set[str], in_run: bool) -> ModelFormat:
    if weights.endswith((".bin", ".safetensors")) or (not weights and "/resolve/" in folder):
        return "huggingface"
    if weights:
        return "variant" if in_run or "training.json" in named else "chapter"
    if in_run:
        return "huggingface" if PurePosixPath(folder).name == "hf" else "variant"
    if {"config.json", "hparams.json"} & named == {"config.json"}:
        return "huggingface"
    return "variant" if {"model.pth", "training.json"} <= named else "tensorflow"


def _names_in(folder: str) -> list[str]:
    """Return the names in a local folder; none of an address, or where there is no folder."""
    path = local_path(folder)
    return [] if "://" in folder or not path.is_dir() else [file.name for file in path.iterdir()]
