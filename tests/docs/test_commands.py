"""Every command of the documentation, run.

The language of a code block says what becomes of it:

    bash     commands, run in a copy of the project in which the default run has ended
    console  commands after `$ `, run there too, and what they print compared; `...` is any lines
    yaml     a config; with `# name.yaml` as its first line a file that the page's commands read
    python, snakefile   code to paste; see test_recipes.py
    text     not a command: layouts, drawings
    error    lines of our own, checked by test_links.py

A command that cannot be run here is checked in the way that CHECKS has for its first word; one that
is not known there fails.
"""

import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.support.pages import PAGES, blocks
from tests.support.paths import ROOT
from workflow.lib.judge.wins import COLUMNS
from workflow.lib.report.summary_rows import WIN_COLUMNS

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent

# The figures are of one processor, and exact there; docs/usage.md says how far others differ.
EXACT = torch.backends.cpu.get_cpu_capability() == "AVX512" and "AuthenticAMD" in (
    Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
)
TOLERANCE = 5  # points of a score
SCORE = re.compile(r"Average score: ([\d.]+)")
CUT_OFF = re.compile(r"^\d+ of \d+ responses \(\d+%\) were cut off at .*\n", re.MULTILINE)

LANGUAGES = {"bash", "console", "yaml", "python", "snakefile", "text", "error"}


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        page: where it stands.
        line: as it stands there.
        output: what it prints by the page; None in a bash block.
    """

    page: Path
    line: str
    output: str | None = None

    @property
    def words(self) -> list[str]:
        """Its words, without the folder of the programs of .venv."""
        words = shlex.split(self.line.removesuffix("&"))
        return [words[0].removeprefix(".venv/bin/"), *words[1:]]

    def __str__(self) -> str:
        return f"{self.page.name}: {self.line}"


def commands(page: Path) -> list[Command]:
    """The commands of a page, in order."""
    found = []
    for block in blocks(page):
        if block.language == "bash":
            lines = block.body.replace("\\\n", " ").splitlines()
            found += [Command(page, line) for line in lines if line and not line.startswith("#")]
        elif block.language == "console":
            for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
                line, _, output = part.partition("\n")
                found.append(Command(page, line, output))
    return found


ALL = [command for page in PAGES for command in commands(page)]


def configs(page: Path) -> dict[str, str]:
    """The configs of a page, by the name that their first line gives them."""
    found = {}
    for block in blocks(page):
        if block.language == "yaml" and block.file is None:
            match = re.match(r"# (\S+\.yaml)\n", block.body)
            assert match, f"{page.name}: begin a config with `# name.yaml`: {block.body[:60]!r}"
            found[match[1]] = block.body
    return found


def of_kind(*programs: str) -> list[Command]:
    return [command for command in ALL if command.output is None and command.words[0] in programs]


@pytest.fixture(scope="module")
def project(default_run, tmp_path_factory) -> Path:
    """A copy of the project in which the default run has ended, with what it printed."""
    done, outcome = default_run
    folder = done.copy(tmp_path_factory.mktemp("docs") / "project").folder
    (folder / "make-scores.txt").write_text(outcome.text, "utf-8")
    return folder


def run(folder: Path, line: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command line as a reader would, the programs of .venv first."""
    environment = f"export PATH={shlex.quote(str(BIN))}:$PATH NO_COLOR=1 COLUMNS=100\n"
    return subprocess.run(
        ["bash", "-c", environment + line], cwd=folder, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
    )  # fmt: skip


def fits(printed: str, shown: str, exactly: bool) -> bool:
    """Whether output is as shown: `...` stands for any lines, white space at an end for none.

    Args:
        exactly: no: a score may differ by TOLERANCE points, a model's answers may be any, and how
            many were cut off is not compared, as docs/usage.md says of other processors.
    """
    if not exactly:
        printed, shown = (CUT_OFF.sub("", text) for text in (printed, shown))
    pattern, scores = "", []
    for line in (line.rstrip() for line in shown.strip("\n").splitlines()):
        if line == "...":
            pattern += r"(?:.*\n)*?"
        elif not exactly and (score := SCORE.fullmatch(line)):
            scores.append(float(score[1]))
            pattern += SCORE.pattern + "\n"
        elif not exactly and (answer := re.match("(before|after):", line)):
            pattern += answer[0] + ".*\n"
        else:
            pattern += rf"{re.escape(line)}[ \t]*\n"
    found = re.fullmatch(pattern, printed.strip("\n") + "\n")
    return found is not None and [*map(float, found.groups())] == pytest.approx(
        scores, abs=TOLERANCE
    )


def test_every_block_says_what_it_is():
    for page in PAGES:
        for block in blocks(page):
            assert block.language in LANGUAGES, block


def test_every_command_is_of_a_known_kind():
    unknown = [str(c) for c in ALL if c.output is None and c.words[0] not in CHECKS]
    assert not unknown


def test_what_the_console_shows_is_what_is_printed(project):
    shown = [command for command in ALL if command.output is not None]
    assert len(shown) >= 4
    for command in shown:
        if command.words == ["make", "scores"]:
            printed = (project / "make-scores.txt").read_text("utf-8")
        else:
            done = run(project, command.line)
            assert done.returncode == 0, f"{command}\n{done.stdout}"
            printed = done.stdout
        assert fits(printed, command.output, EXACT), f"{command}\n{printed[-3000:]}"


SHOWN = """\
...
Average score: 78.90
1 of 110 responses (1%) were cut off at generation.max_new_tokens

after: Yes.
"""


@pytest.mark.parametrize(
    ("old", "new", "elsewhere"),
    [
        ("", "", True),
        ("78.90", "76.11", True),
        ("78.90", "73.80", False),
        ("78.90", "84.00", False),
        ("78.90", "none", False),
        ("Yes.", "No.", True),
        ("after", "before", False),
        ("1 of 110 responses (1%)", "2 of 110 responses (2%)", True),
        ("1 of 110 responses (1%) were cut off at generation.max_new_tokens\n", "", True),
        ("\nafter: Yes.", "", False),
    ],
)
def test_what_is_shown_is_exact_here_and_within_a_tolerance_elsewhere(old, new, elsewhere):
    printed = "A line.\n" + SHOWN.removeprefix("...\n").replace(old, new)
    assert fits(printed, SHOWN, exactly=True) == (old == new)
    assert fits(printed, SHOWN, exactly=False) == elsewhere


def test_every_config_is_valid(project):
    """By loading it over config.yaml, as snakemake does; files of data need not be there."""
    found = [(page, name, text) for page in PAGES for name, text in configs(page).items()]
    assert len(found) >= 5
    checks = "\n".join(
        [
            "import yaml",
            "from snakemake.utils import update_config",
            "from workflow.lib.settings.load import load_settings",
            f"for text in {[text for *_, text in found]!r}:",
            "    config = yaml.safe_load(open('config.yaml'))",
            "    update_config(config, yaml.safe_load(text))",
            "    load_settings(config)",
        ]
    )
    done = run(project, f"python -c {shlex.quote(checks)}")
    assert done.returncode == 0, done.stdout


def check_snakemake(project: Path, found: list[Command]) -> None:
    """Plan each target as the page says; those of the same options are planned together.

    Planning proves that the targets can be made and the options are taken, not that they come out.
    """
    plans: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for command in found:
        words = command.words[1:]
        if words == ["--unlock"]:
            done = run(project, command.line)
            assert done.returncode == 0, f"{command}\n{done.stdout}"
            continue
        targets = [word for word in words if word.startswith("results/")]
        config = words[words.index("--configfile") + 1] if "--configfile" in words else None
        line = " ".join("TARGETS" if word in targets[:1] else word for word in words)
        own = config and not (ROOT / config).is_file()
        plans[command.page if own else None, config, line] += targets
    for (page, config, line), targets in plans.items():
        for name, text in configs(page).items() if page else ():
            (project / name).write_text(text, "utf-8")
        for file in local_data(project, config) if config else ():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        line = line.replace("TARGETS", " ".join(dict.fromkeys(targets)))
        done = run(project, f"snakemake -n {line}")
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}"


def local_data(project: Path, config: str) -> list[Path]:
    """Data files and ratings that a page's config names and that only its reader has."""
    settings = yaml.safe_load((project / config).read_text("utf-8"))
    urls = [
        url
        for dataset in settings.get("datasets", {}).values()
        for url in (dataset.get("url"), *dataset.get("files", {}).values())
        if url and "://" not in url
    ]
    judges = settings.get("judges", {}).values()
    ratings = [file for judge in judges for file in judge.get("ratings", [])]
    return [project / file for file in (*urls, *ratings)]


def check_python(project: Path, found: list[Command]) -> None:
    """Run what runs in seconds; of pytest, collect the tests."""
    for command in found:
        line = command.line
        if command.words[1:3] == ["-m", "pytest"]:
            line += " --collect-only"
        done = run(project, line)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"


def check_make(project: Path, found: list[Command]) -> None:
    """Have make itself say what it would do."""
    for command in found:
        done = run(project, f"make -n {shlex.join(command.words[1:])}")
        assert done.returncode == 0, f"{command}\n{done.stdout}"


def check_pip(project: Path, found: list[Command]) -> None:
    """Needs a network: the files of requirements are there, and there are no other arguments."""
    for command in found:
        words = command.words[1:]
        assert words[::2] == ["install", "-c"] or words[0] == "install", str(command)
        assert set(words[1::2]) <= {"-r", "-c"}, str(command)
        for path in words[2::2]:
            assert (project / path).is_file(), str(command)


def check_ollama(project: Path, found: list[Command]) -> None:
    """Needs a network: starts the server, or fetches a model that a judge of the config asks."""
    judges = yaml.safe_load((project / "config.yaml").read_text("utf-8"))["judges"].values()
    models = {judge["model"] for judge in judges if judge["backend"] == "ollama"}
    for command in found:
        assert command.words[1] == "serve" or (
            command.words[1] == "pull" and command.words[2] in models
        ), str(command)


def check_sbatch(project: Path, found: list[Command]) -> None:
    """Needs Slurm: the script is there and is one that bash can read."""
    for command in found:
        done = run(project, f"bash -n {shlex.join(command.words[1:])}")
        assert done.returncode == 0, f"{command}\n{done.stdout}"


def check_container(project: Path, found: list[Command]) -> None:
    """Needs Docker or Apptainer, and is marked untested: the definition is where it says."""
    for command in found:
        words = command.words
        if words[:2] == ["apptainer", "build"]:
            assert (project / words[-1]).is_file(), str(command)
        elif words[:2] == ["docker", "build"]:
            assert (project / words[-1] / "Dockerfile").is_file(), str(command)
        else:
            assert words[:2] == ["apptainer", "exec"], str(command)


def check_editor(project: Path, found: list[Command]) -> None:
    """Needs a person: the file to edit is there."""
    for command in found:
        assert (project / command.words[1]).is_file(), str(command)


def check_activate(project: Path, found: list[Command]) -> None:
    """The script comes with .venv."""
    for command in found:
        assert command.words[1:] == [".venv/bin/activate"], str(command)


def check_pre_commit(project: Path, found: list[Command]) -> None:
    """Not installed here: test_links.py checks its config."""
    for command in found:
        assert command.words[1:] == ["install"], str(command)
        assert (project / ".pre-commit-config.yaml").is_file()


CHECKS = {
    "snakemake": check_snakemake,
    "python": check_python,
    "make": check_make,
    "pip": check_pip,
    "ollama": check_ollama,
    "sbatch": check_sbatch,
    "docker": check_container,
    "apptainer": check_container,
    "$EDITOR": check_editor,
    ".": check_activate,
    "pre-commit": check_pre_commit,
}


@pytest.mark.parametrize("program", CHECKS)
def test_every_command_of(program, project):
    found = of_kind(program)
    assert found, f"the documentation has no {program} any more: take it out of CHECKS"
    CHECKS[program](project, found)


RECORDS = {
    "losses.csv": "results/nano-1M/small-world/losses.csv",
    "scores.csv": "results/nano-1M/small-world/overlap/scores.csv",
    "summary.csv": "results/summary.csv",
    "manifest.json": "results/manifest.json",
    "training.json": "results/nano-1M/small-world/training.json",
    "usage.json": "results/nano-1M/small-world/overlap/usage.json",
    "quality.json": "results/data/small-world/quality.json",
}


def described(title: str) -> list[str]:
    """Return the columns or keys that the tables below a heading of docs/results.md describe."""
    text = (ROOT / "docs/results.md").read_text("utf-8")
    section = re.split(r"\n##+ ", text.partition(f"# {title}\n")[2])[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [key for row in rows for key in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("name", RECORDS)
def test_every_column_and_key_is_described(name, project):
    """And nothing else, in the order of the file where that is a table."""
    content = (project / RECORDS[name]).read_text("utf-8")
    if name.endswith(".csv"):
        assert described(name) == content.partition("\n")[0].split(",")
    else:
        assert sorted(described(name)) == sorted(json.loads(content))


def test_every_column_of_pairwise_judges_is_described():
    assert described("wins.csv") == [*COLUMNS]
    assert described("Pairwise judges") == [*WIN_COLUMNS]
