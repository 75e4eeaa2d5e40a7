"""config.yaml and manifest.json of a comparison: what ran, and what it was made from."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from workflow.lib.model.record import read_training
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.files import replacing, write_json
from workflow.lib.runtime.printable import NAMES_OF_SECRETS
from workflow.lib.runtime.provenance import ROOT, code_digest
from workflow.lib.runtime.version import COMMAND, VERSION

MODELS = ("model.pth", "adapter.safetensors")  # no inputs of a comparison: they may be deleted
_NEEDED = ("seconds", "device", "versions")  # of training.json
ADDRESS = re.compile(r"\w+://[^\s'\"]+")


def write_config(settings: Mapping[str, Any], output: Path) -> None:
    """Write the settings that a comparison uses as a config file that repeats the run alone.

    Args:
        settings: the part of the config that was run, as plain values.
        output: YAML file to write. Passwords and keys in addresses are left out.
    """
    text = yaml.safe_dump(dict(settings), sort_keys=False, width=100, allow_unicode=True)
    shown = ADDRESS.sub(lambda match: without_secrets(match[0]), text)
    note = "" if shown == text else "# Passwords and keys in addresses are left out.\n"
    with replacing(output) as unfinished:
        unfinished.write_text(
            "# All settings of this comparison. To repeat it:\n"
            f"#   snakemake --configfile {output} --cores 1\n{note}{shown}",
            "utf-8",
        )


def without_secrets(address: str) -> str:
    """Return an address without its password, and without the values of a query that are keys."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(
        pair for pair in parts.query.split("&") if not NAMES_OF_SECRETS.search(pair.split("=")[0])
    )
    return urlunsplit(parts._replace(netloc=host, query=query))


def write_manifest(
    settings: Mapping[str, Any], trainings: Iterable[Path], files: Iterable[Path], output: Path
) -> None:
    """Write what ran, on what, and the digests of all that it read and wrote.

    Args:
        settings: the part of the config that was run, as plain values.
        trainings: training.json of every run.
        files: read and written by the comparison; the models beside `trainings` are added.
        output: JSON file to write, itself left out of `files`.
    """
    trainings = list(trainings)
    models = [path.with_name(name) for path in trainings for name in MODELS]
    every = {*files, *(path for path in models if path.is_file())} - {output}
    content = {
        "name": settings.get("name"),
        **made_by(),
        "code": {path.stem: code_digest(path) for path in _scripts()},
        "versions": {"python": platform.python_version(), **_packages()},
        "platform": platform.platform(),
        "runs": [_run(path) for path in trainings],
        "files": {str(path): _file(path) for path in sorted(every)},
    }
    write_json(output, content)


def made_by() -> dict[str, Any]:
    """Return when this is written, by which command and by which version of the code."""
    command = os.environ.get(COMMAND)
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command and ADDRESS.sub(lambda match: without_secrets(match[0]), command),
        "version": VERSION,
        **_commit(),
    }


def _scripts() -> list[Path]:
    return sorted((ROOT / "workflow/scripts").glob("*.py"))


def _packages() -> dict[str, str]:
    """Return the installed versions of the packages that envs/requirements.txt names."""
    required = (ROOT / "envs/requirements.txt").read_text("utf-8")
    found = {}
    for name in re.findall(r"^([\w.-]+)==", required, re.MULTILINE):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # only some jobs need it
    return found


def _commit() -> dict[str, Any]:
    """Return the commit of the code, and whether files differ from it; None if unknown."""
    unknown = {"commit": None, "uncommitted_changes": None}
    if not (ROOT / ".git").exists():  # perhaps a folder in another repository
        return unknown
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True
            ).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return unknown
    return {"commit": commit.strip(), "uncommitted_changes": bool(status.strip())}


def _run(path: Path) -> dict[str, Any]:
    record = read_training(path, *_NEEDED)
    return {
        "model": path.parent.parent.name,
        "recipe": path.parent.name,
        "finetuned": _time_of(path),
        **{key: record[key] for key in _NEEDED},
    }


def _file(path: Path) -> dict[str, Any]:
    return {
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "modified": _time_of(path),
    }


def _time_of(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
