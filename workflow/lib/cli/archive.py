"""`python -m workflow archive`: a comparison packed so that it can be unpacked and repeated."""

import gzip
import io
import re
import tarfile
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow.lib.cli.program import Parser
from workflow.lib.data.stored import Stored, read_stored
from workflow.lib.report.manifest import ADDRESS, MODELS, without_secrets
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import AGAIN, read_text, replacing
from workflow.lib.runtime.folders import refuse_while_running
from workflow.lib.runtime.provenance import ROOT
from workflow.lib.runtime.yaml_files import read_yaml

RECORDS = Path(".snakemake/metadata")  # what Snakemake decides by whether anything is to be done
CODE = (
    "Snakefile", "Makefile", "config.yaml", "README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md",
    "CONTRIBUTING.md", "pyproject.toml", "config", "docs", "envs", "profiles", "workflow",
)  # fmt: skip
_LEFT_OUT = re.compile(r"(^|/)(__pycache__|hf|tensorboard)(/|$)|\.pth$|\.pt$|\.unfinished$|\.room$")
_README = """\
A comparison of instruction-finetuned models, with the code, the settings and the results.

To set up the programs, at the versions of envs/lock.txt, and see that nothing is left to do:

  make .venv/ready
  .venv/bin/python -m snakemake -n --configfile {config}

{folder}/report.html shows the results, {folder}/manifest.json says how they were made.
{models}
"""
_WITHOUT = """
The models are left out. To ask for one, or to change a setting, finetunes it again."""
EPILOG = """\
The archive holds the code, the settings, Snakemake's records, and all results of the comparison
but the models, which --models adds. Names are sorted, owners left out and times kept, so that the
same results give the same bytes.

examples:
  python -m workflow archive
  python -m workflow archive small-world-seeds --models --output seeds.tar.gz"""


class _File(Stored):
    sha256: str


class _Manifest(Stored):
    files: dict[str, _File]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `archive`.
    """
    parser = Parser(
        prog="python -m workflow archive",
        description="Pack a finished comparison with all that repeats it.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of the comparison; without, that in results/"
    )
    parser.add_argument("--models", action="store_true", help="with the models' weights")
    parser.add_argument(
        "--output", metavar="FILE", help="to write; by default NAME.tar.gz, or results.tar.gz"
    )
    chosen = parser.parse_args(arguments)
    folder = Path("results/comparisons", chosen.name) if chosen.name else Path("results")
    output = Path(chosen.output or f"{folder.name}.tar.gz")
    packed, missing = pack(folder, chosen.models, output)
    size = output.stat().st_size / 1e6
    without = "" if chosen.models else ", without the models (--models adds them)"
    print(f"{output}: {packed} files, {size:.1f} MB{without}")
    if missing:
        print(f"not in it, since the config names them by absolute paths: {', '.join(missing)}")


def pack(folder: Path, models: bool, output: Path) -> tuple[int, list[str]]:
    """Write the archive of a comparison.

    Args:
        folder: of the comparison's files; the working folder is that of the run.
        models: whether to add the weights of the finetuned models.
        output: tar.gz file to write.

    Returns:
        how many files it holds, and the files that the config names by an absolute path.

    Raises:
        UserError: the comparison is not finished or was changed, a run is going on, or an address
            in it holds a password or a key.
    """
    refuse_while_running()
    manifest, config = folder / "manifest.json", folder / "config.yaml"
    if not manifest.is_file() or not config.is_file():
        made = sorted(
            path.parent.name for path in Path("results").glob("comparisons/*/manifest.json")
        )
        there = f"; there are: {', '.join(made)}" if made else ""
        raise UserError(f"{folder}: no finished comparison, it has no manifest.json{there}")
    files, settings = read_stored(manifest, _Manifest)["files"], read_yaml(config)
    _check(manifest, files, models)
    _check_output(output)
    found: dict[str, Path | bytes] = {}
    for name in CODE:
        found |= {str(path.relative_to(ROOT)): path for path in _walk(ROOT / name)}
    wanted = {str(path): path for path in _results(folder, files, settings, models)}
    local, missing = _local_files(settings)
    found |= wanted | {str(path): path for path in local}
    found |= _records(folder, {Path(path).parent for path in (*wanted, *files)})
    note = "" if models else _WITHOUT
    text = _README.format(config=config, folder=folder, models=note)
    found["ARCHIVE.txt"] = text.encode()
    _write(found, folder.name, output)
    return len(found), missing


def _check_output(output: Path) -> None:
    """Check that nothing but an earlier archive is replaced."""
    if output.is_dir() or not output.exists():
        return
    if not output.is_file() or not tarfile.is_tarfile(output):
        raise UserError(f"{output}: is there and no archive; choose another file for --output")


def _check(manifest: Path, files: Mapping[str, Any], models: bool) -> None:
    """Check that what the manifest names is there and was not changed since."""
    if str(manifest.with_name("report.html")) not in files:
        raise UserError(f"{manifest}: does not name the report beside it; {AGAIN}")
    for path, known in files.items():
        if Path(path).parts[:1] != ("results",) or ".." in Path(path).parts:
            raise UserError(f"{manifest}: names {path}, no result; delete it and run again")
        if Path(path).name in MODELS and not models:
            continue
        if not Path(path).is_file() or sha256_of(path) != known["sha256"]:
            raise UserError(
                f"{path}: missing or changed since the comparison was made; run snakemake again"
            )


def _results(
    folder: Path, files: Mapping[str, Any], settings: Mapping[str, Any], models: bool
) -> Iterator[Path]:
    """Yield the results to pack: those of the manifest, and what belongs to them."""
    yield from map(Path, (path for path in files if models or Path(path).name not in MODELS))
    yield from (folder / "manifest.json", folder / "config.yaml")
    runs = {Path(path).parent for path in files if Path(path).name == "training.json"}
    judges = {run / judge for run in runs for judge in settings["compare"]["judges"]}
    data = {Path("results/data", name) for name in settings["datasets"]}
    for place in sorted(runs | judges | data):
        for path in (*place.glob("*"), *place.glob(".sha256/*")):
            if path.is_file() and not _LEFT_OUT.search(str(path)):
                yield path
    for path in map(Path, files):
        record = path.parent / ".sha256" / f"{path.name}.sha256"
        if record.is_file():
            yield record


def _local_files(settings: Any) -> tuple[list[Path], list[str]]:
    """Return the user's own files that the settings name, and those named by absolute paths."""
    found, absolute = [], []
    for value in _texts(settings):
        path = Path(value).expanduser()
        if "://" in value or "\n" in value or len(value) > 1000 or not path.exists():
            continue
        if path.is_absolute():
            absolute.append(value)
        elif "/" in value or path.suffix:  # no name that a folder happens to have
            found += [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    kept = [path for path in found if path.parts[0] not in ("results", "resources", "..")]
    return kept, sorted(set(absolute))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _texts(inner)


def _records(folder: Path, folders: set[Path]) -> dict[str, bytes]:
    """Return Snakemake's records of the files in some folders, and of those in resources/.

    Shipped files are named as in a run in the folder of the code, which the unpacked archive is.
    """
    found = {}
    for path in sorted(RECORDS.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(RECORDS)).replace("@", "").replace("/", "")
        try:
            of = Path(b64decode(name, altchars=b"-_").decode("utf-8", errors="replace"))
        except ValueError:
            continue  # no record
        if of.parent not in folders | {folder} and of.parts[0] != "resources":
            continue
        text = read_text(path, AGAIN)
        for address in ADDRESS.findall(text):
            if without_secrets(address) != address:
                raise UserError(
                    f"the address of {of} holds a password or a key, which the archive would hold, "
                    "too; use a local copy of it and run again"
                )
        found[str(path)] = text.replace(f"{ROOT}/", "").encode()
    return found


def _walk(path: Path) -> Iterator[Path]:
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file() and not _LEFT_OUT.search(str(file)):
            yield file


def _write(files: Mapping[str, Path | bytes], top: str, output: Path) -> None:
    """Write a tar.gz file: the same bytes from the same files, their times kept.

    Args:
        files: a file, or its content, by the path in the archive.
        top: the folder that it unpacks to.
    """
    with (
        replacing(output) as unfinished,
        unfinished.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(f"{top}/{name}")
            info.mode = 0o644
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                status = content.stat()
                info.size, info.mtime = status.st_size, int(status.st_mtime)
                with content.open("rb") as file:
                    archive.addfile(info, file)
