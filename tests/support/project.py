"""A copy of the project with a comparison so small that whole runs fit into a test."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import NANO, ROOT, SMALL_WORLD
from tests.support.small_checkpoint import make_checkpoint
from workflow.lib.model.gpt import GPTConfig

SHAPE = GPTConfig(vocab_size=3000, context_length=256, emb_dim=16, n_heads=2, n_layers=1)


@dataclass(frozen=True)
class Outcome:
    """What a snakemake run did.

    Args:
        code: exit status.
        text: everything it printed.
        jobs: rules that ran, each with its wildcards, such as "finetune tiny-a quick".
    """

    code: int
    text: str
    jobs: set[str]

    @property
    def tail(self) -> str:
        """The end of what was printed, for a failed assertion."""
        return "\n".join(self.text.splitlines()[-40:])

    def errors(self) -> list[str]:
        """Our own lines about what went wrong."""
        return [line for line in self.text.splitlines() if line.startswith("error: ")]


def run_command(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> Outcome:
    """Run a command line of snakemake in a folder.

    Args:
        environment: variables to set beside those of this process.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, _jobs(done.stdout))


class Project:
    """A folder that holds the pipeline, and the runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, overlay: dict[str, Any]) -> "Project":
        """Copy what a clone holds, all but the embedded resources.

        Args:
            overlay: laid over config.yaml by every run; see `change`.
        """
        folder.mkdir(parents=True)
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        ignored = shutil.ignore_patterns("resources", "__pycache__")
        shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=ignored)
        shutil.copytree(ROOT / "envs", folder / "envs")
        shutil.copytree(ROOT / "profiles", folder / "profiles")
        project = cls(folder)
        project._write(overlay)
        return project

    def copy(self, folder: Path) -> "Project":
        """Copy the project, times and results included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def change(self, **values: Any) -> None:
        """Set values of the overlay: `a__b=1` sets b of section a."""
        overlay = yaml.safe_load(self.path("overlay.yaml").read_text("utf-8"))
        for path, value in values.items():
            *sections, key = path.split("__")
            section = overlay
            for name in sections:
                section = section.setdefault(name, {})
            section[key] = value
        self._write(overlay)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the project; the text must be there."""
        text = self.path(name).read_text("utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        self.path(name).write_text(text.replace(old, new), "utf-8")

    def path(self, name: str) -> Path:
        return self.folder / name

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> Outcome:
        """Run snakemake on the default target, or on what the arguments ask for."""
        return run_command(self.command(*arguments), self.folder, environment)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `run`."""
        return [
            sys.executable, "-m", "snakemake", "--quiet", "host", "--cores", "1",
            *(arguments or ("results/scores.csv",)),
            "--configfile", "overlay.yaml",
        ]  # fmt: skip

    def kept(self, name: str) -> Path:
        """Return what resources/ keeps under a path with a key, such as gpt2/tiny-a."""
        [found] = self.path("resources").glob(f"{name}-????????*")
        return found

    def keyed(self, folder: str) -> str:
        """Return a folder of resources/, such as gpt2/tiny-a, with the key that an error names."""
        line = one_error(self.run("-n", f"resources/{folder}/vocab.bpe"))
        return line.partition("did you mean ")[2].removesuffix("?")

    def contents(self) -> dict[str, tuple[bytes, int]]:
        """Bytes and modification time of every result and resource, logs left out."""
        return {
            file.relative_to(self.folder).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
            for folder in ("results", "resources")
            for file in self.path(folder).rglob("*")
            if file.is_file() and "logs" not in file.parts
        }

    def _write(self, overlay: dict[str, Any]) -> None:
        self.path("overlay.yaml").write_text(yaml.safe_dump(overlay, allow_unicode=True), "utf-8")


def copy_project(folder: Path) -> None:
    """Copy the whole project, without what runs and tools make, and link its .venv."""

    def made(where: str, names: list[str]) -> set[str]:
        here = {".git", ".venv", "results", "resources"} if Path(where) == ROOT else set()
        tools = shutil.ignore_patterns(".snakemake", "__pycache__", ".*_cache", ".hypothesis")
        return here | tools(where, names)

    shutil.copytree(ROOT, folder, ignore=made)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])


def one_error(outcome: Outcome) -> str:
    """Return the single line about what went wrong; fail on a traceback of ours."""
    assert outcome.code != 0, outcome.tail
    assert "Traceback" not in outcome.text, outcome.tail
    errors = outcome.errors()
    assert len(errors) == 1, outcome.tail
    return errors[0]


def tiny_overlay(sources: Path, judge_url: str) -> dict[str, Any]:
    """Two models of 50,000 parameters, one recipe, 80 entries, two judges.

    Args:
        sources: folder for the data set and the checkpoints; made if missing.
        judge_url: address of an Ollama server with the model llama3.
    """
    for seed, model in enumerate(("tiny-a", "tiny-b")):
        if not (sources / model).exists():
            make_checkpoint(sources / model, NANO, SHAPE, seed)
    entries = json.loads((SMALL_WORLD / "instruction-data.json").read_text("utf-8"))[:80]
    (sources / "entries.json").write_text(json.dumps(entries), "utf-8")
    judge = {"backend": "ollama", "model": "llama3", "url": judge_url}
    return {
        "compare": {
            "models": ["tiny-a", "tiny-b"],
            "recipes": ["quick"],
            "judges": ["overlap", "server"],
        },
        "datasets": {"few": {"url": str(sources / "entries.json")}},
        "tokenizers": {"small-world": {"url": str(NANO)}},
        "models": {
            name: {"url": str(sources / name), "tokenizer": "small-world"}
            for name in ("tiny-a", "tiny-b")
        },
        "recipes": {
            "quick": {
                "dataset": "few",
                "training": {"epochs": 1, "learning_rate": 1e-3},
                "generation": {"max_new_tokens": 8},
            }
        },
        "judges": {"server": judge},
    }


def _jobs(text: str) -> set[str]:
    """Rules and wildcards in what snakemake printed with --quiet host."""
    jobs = set()
    for block in re.split(r"\n\n|\n(?=\[)", text):
        if rule := re.search(r"^(?:local)?rule (\w+):$", block, re.MULTILINE):
            wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
            values = re.findall(r"\b(?!key=)\w+=([^,]+)", wildcards[1]) if wildcards else []
            jobs.add(" ".join([rule[1], *values]))
    return jobs
