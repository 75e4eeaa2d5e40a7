"""`python -m workflow results`: what lies in results/, and what no config names any more."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from workflow.lib.cli.program import Parser
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.folders import refuse_while_running
from workflow.lib.runtime.names import in_one_line
from workflow.lib.runtime.provenance import ROOT
from workflow.lib.settings.baselines import runs_of
from workflow.lib.settings.inheritance import overlay
from workflow.lib.settings.load import load_settings, read_config_layer
from workflow.lib.settings.root import FOLDERS, Settings, compared

RESULTS = Path("results")
PRUNED = RESULTS / ".pruned"  # where --prune moves what it is about to delete
NONE = "no config names it"
UNUSED = "defined, but in no comparison"
STOPPED = "left by a --prune that was stopped"
FOREIGN = "not made by the pipeline"
# One of these makes a folder a result.
MADE = {"training.json", "model.pth", "losses.csv", "checkpoint.pt", "responses.json", "scores.csv",
        "wins.csv", "answers.jsonl", "train.json", "test.json", "train.npz"}  # fmt: skip
MOST_NAMES = 3  # of configs in one line
OTHERS = FOLDERS | {"small-world"}  # folders of results/ that are no models
EPILOG = """\
A result is named if config.yaml, a preset, a given FILE or the config.yaml of a comparison in
results/ defines its model and recipe, or its judge, data set or tokenizer. --prune deletes what
none of them names, with the kept replies of judges; it deletes no comparison, and nothing that the
pipeline did not make. To be rid of a comparison, delete its folder: it then names no variants.

examples:
  python -m workflow results
  python -m workflow results mine.yaml --prune"""

Configs = Mapping[str, Settings]


@dataclass(frozen=True)
class Result:
    """A folder of results/, or the files of the comparison without a name.

    Args:
        where: its path.
        size: bytes of all files.
        newest: when its newest file was written, in seconds since 1970.
        belongs: what names it.
        replies: kept replies of judges in it.
    """

    where: Path
    size: int
    newest: float
    belongs: str
    replies: int = 0

    @property
    def unnamed(self) -> bool:
        """Whether no config names it, so that it may be deleted."""
        return self.belongs in (NONE, STOPPED)


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `results`.
    """
    parser = Parser(
        prog="python -m workflow results",
        description="List what lies in results/, and mark what no config names any more.",
        epilog=EPILOG,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="your own files of settings")
    parser.add_argument("--prune", action="store_true", help="delete what no config names")
    parser.add_argument("--yes", action="store_true", help="with --prune: do not ask")
    chosen = parser.parse_args(arguments)
    if not RESULTS.is_dir():
        raise UserError("results: there is no such folder here; run in the folder of the results")
    configs, broken = read_configs(chosen.files)
    found = [*find_results(configs)]
    for line in show(found, configs):
        print(line)
    for line in broken:
        print(line)
    unnamed = [result for result in found if result.unnamed]
    if chosen.prune:
        if broken:
            raise UserError("nothing is deleted while a config cannot be read; see above")
        prune(unnamed, chosen.yes)
    elif unnamed:
        print("\n`python -m workflow results --prune` deletes what no config names; give your own "
              "files of settings, too")  # fmt: skip


def read_configs(files: Sequence[str]) -> tuple[dict[str, Settings], list[str]]:
    """Return all configs by what they are called, and a line for each that cannot be read.

    Args:
        files: given by the user; each is laid over config.yaml by itself.

    Raises:
        UserError: config.yaml or a given file has a mistake.
    """
    base = read_config_layer(Path("config.yaml") if Path("config.yaml").exists() else
                             ROOT / "config.yaml")  # fmt: skip
    configs = {"config.yaml": load_settings(base.content, [base])}
    broken = []
    presets = sorted((ROOT / "workflow/presets").glob("*.yaml"))
    own = sorted([*RESULTS.glob("config.yaml"), *RESULTS.glob("comparisons/*/config.yaml")])
    for path in [*map(Path, files), *presets, *own]:
        name = path.name
        if path in own:
            name = f"comparison {path.parent.name}" if path.parent != RESULTS else str(path)
        try:
            layers = [base, read_config_layer(path)]
            configs[name] = load_settings(overlay(layer.content for layer in layers), layers)
        except UserError as error:
            if str(path) in files:
                raise
            broken.append(f"cannot be read: {path}: {str(error).splitlines()[-1].strip()}")
    return configs, broken


def find_results(configs: Configs) -> Iterator[Result]:
    """Yield what lies in results/: comparisons, variants, judgings, data, tokens, the rest."""
    runs = {config: runs_of(settings) for config, settings in configs.items()}
    parts = {config: compared(settings) for config, settings in configs.items()}

    def naming_variant(model: str, recipe: str) -> str:
        return _naming(
            [config for config, own in runs.items() if (model, recipe) in own],
            any(model in each.models and recipe in each.recipes for each in configs.values()),
        )

    def naming(section: str, name: str) -> str:
        return _naming(
            [config for config, own in parts.items() if name in own[section]],
            any(name in getattr(settings, section) for settings in configs.values()),
        )

    yield _result(RESULTS, "the comparison without a name", deep=False)
    for folder in _folders(RESULTS / "comparisons"):
        yield _result(folder, f"comparison {folder.name}")
    for model in _folders(RESULTS):
        if model.name in OTHERS:
            continue
        for recipe in _folders(model):
            names = naming_variant(model.name, recipe.name)
            judgings = [folder for folder in _folders(recipe) if _is_judging(folder)]
            if names == NONE:
                yield _result(recipe, NONE)
                continue
            unnamed = [
                folder
                for folder in judgings
                if not any(folder.name in settings.judges for settings in configs.values())
            ]
            yield _result(recipe, names, without=unnamed)
            for folder in unnamed:
                yield _result(folder, NONE)
    for folder in _folders(RESULTS / "data"):
        yield _result(folder, naming("datasets", folder.name))
    for tokenizer in _folders(RESULTS / "tokens"):
        for folder in _folders(tokenizer):
            of = [naming("tokenizers", tokenizer.name), naming("datasets", folder.name)]
            yield _result(folder, next((bad for bad in (NONE, UNUSED) if bad in of), of[1]))
    for name in ("logs", "small-world"):
        if (RESULTS / name).is_dir():
            what = "logs of all jobs" if name == "logs" else "made by workflow/small_world"
            yield _result(RESULTS / name, what)
    if PRUNED.is_dir():
        yield _result(PRUNED, STOPPED)


def show(found: Sequence[Result], configs: Configs) -> Iterator[str]:
    """Yield the lines to print."""
    yield f"Configs that count: {', '.join(configs)}"
    yield ""
    rows = [("size", "age", "result", "belongs to")]
    for result in found:
        if not result.newest:
            continue
        replies = f"; {result.replies} kept replies of judges" if result.replies else ""
        where, belongs = in_one_line(str(result.where)), f"{result.belongs}{replies}"
        rows.append((_size(result.size), _age(result.newest), where, belongs))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for size, age, where, belongs in rows:
        line = f"{size:>{widths[0]}}  {age:>{widths[1]}}  {where:{widths[2]}}  {belongs}"
        yield line.rstrip()


def prune(unnamed: Sequence[Result], sure: bool) -> None:
    """Delete results that no config names.

    Args:
        unnamed: to delete.
        sure: whether to do so without asking.

    Raises:
        UserError: Snakemake uses the folder, or nobody can be asked.
    """
    if not unnamed:
        print("\nnothing to delete: a config names every result")
        return
    refuse_while_running()
    kept = sum(result.replies for result in unnamed)
    plural = "s" if len(unnamed) > 1 else ""
    what = f"{len(unnamed)} folder{plural}, {_size(sum(result.size for result in unnamed))}"
    what += f", with {kept} kept replies of judges, which would have to be asked again" * bool(kept)
    print("", *(in_one_line(f"delete {result.where}") for result in unnamed), sep="\n")
    if not sure:
        if not sys.stdin.isatty():
            raise UserError(f"{what}: nobody to ask here whether to delete them; add --yes")
        if input(f"{what}: delete them? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing deleted")
            return
    # Moved first: half a folder could look as if a user had made it.
    PRUNED.mkdir(exist_ok=True)
    for result in unnamed:
        if result.where == PRUNED:
            continue
        result.where.rename(Path(mkdtemp(dir=PRUNED), result.where.name))
        if result.where.parent != RESULTS and not [*_entries(result.where.parent)]:
            result.where.parent.rmdir()
    shutil.rmtree(PRUNED)
    print(f"deleted {what}")


def _naming(using: Sequence[str], defined: bool) -> str:
    """Return which configs use something, or that they only define it, or that none does."""
    if not using:
        return UNUSED if defined else NONE
    more = len(using) - MOST_NAMES
    return ", ".join(using[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _is_judging(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("scores.csv", "wins.csv", "answers.jsonl"))


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder; no links, which may lead out of results/."""
    return sorted(
        path
        for path in _entries(folder)
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )


def _result(where: Path, belongs: str, deep: bool = True, without: Sequence[Path] = ()) -> Result:
    """Measure a folder.

    Args:
        deep: whether its folders count, too.
        without: folders in it that do not count.
    """
    sizes: dict[tuple[int, int], int] = {}
    newest, replies, made = 0.0, 0, False
    for folder, folders, files in os.walk(where):
        if Path(folder) in without or not deep:
            folders.clear()
        if Path(folder) in without:
            continue
        made |= not MADE.isdisjoint(files) or folder.endswith(".sha256")
        for name in files:
            path = Path(folder, name)
            status = path.lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size  # a hard link counts once
            newest = max(newest, status.st_mtime)
            if name == "answers.jsonl" and path.is_file() and not path.is_symlink():
                replies += path.read_bytes().count(b"\n")
    if belongs == NONE and not made:
        belongs = FOREIGN
    return Result(where, sum(sizes.values()), newest, belongs, replies)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _age(newest: float) -> str:
    days = int((time.time() - newest) // 86400)
    return "today" if days < 1 else "1 day" if days == 1 else f"{days} days"
