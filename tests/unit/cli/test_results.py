"""What lies in results/ is listed with what names it, and pruned only on demand."""

import os
import time
from pathlib import Path

import pytest
import yaml

from workflow.lib.cli.results import main
from workflow.lib.runtime.errors import UserError

FILES = (
    "scores.csv",
    "comparisons/mine/report.html",
    "nano-1M/small-world/model.pth",
    "nano-1M/small-world/overlap/scores.csv",
    "nano-1M/small-world/asked/scores.csv",
    "nano-1M/small-world/asked/answers.jsonl",
    "nano-1M/small-world/hf/model.safetensors",
    "nano-1M/book/model.pth",
    "nano-1M/mine/model.pth",
    "gone/small-world/model.pth",
    "data/small-world/train.json",
    "data/old/train.json",
    "tokens/small-world/small-world/alpaca/train.npz",
    "tokens/gpt2/small-world/alpaca/train.npz",
    "logs/split/small-world.log",
)
UNNAMED = {
    "results/nano-1M/small-world/asked",
    "results/nano-1M/mine",
    "results/gone/small-world",
    "results/data/old",
}
MINE = {
    "name": "mine",
    "compare": {"models": ["nano-1M"], "recipes": ["mine"], "judges": ["asked"]},
    "recipes": {"mine": {"extends": "small-world"}},
    "judges": {"asked": {"backend": "ollama", "model": "llama3"}},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n" * 100)
    old = time.time() - 12 * 86400 - 60
    os.utime(tmp_path / "results/gone/small-world/model.pth", (old, old))
    return tmp_path


def listed(capsys, *arguments: str) -> dict[str, str]:
    """Lines of the list, by the path in it."""
    main([*arguments])
    lines = capsys.readouterr().out.splitlines()
    return {part: line for line in lines for part in line.split() if part.startswith("results")}


def test_everything_is_listed_with_size_age_and_what_names_it(folder, capsys):
    lines = listed(capsys)
    assert {path for path, line in lines.items() if "no config names it" in line} == UNNAMED
    assert "300 B  12 days  results/gone/small-world" in lines["results/gone/small-world"]
    assert "today" in lines["results/nano-1M/mine"]
    assert "  config.yaml, small-world-" in lines["results/nano-1M/small-world"]
    assert "900 B" in lines["results/nano-1M/small-world"]  # without the judge that no config names
    assert "100 kept replies of judges" in lines["results/nano-1M/small-world/asked"]
    assert lines["results/nano-1M/book"].endswith("  defined, but in no comparison")
    assert "config.yaml" in lines["results/tokens/small-world/small-world"]
    assert lines["results/comparisons/mine"].endswith("comparison mine")


@pytest.mark.parametrize("place", ["mine.yaml", "results/comparisons/mine/config.yaml"])
def test_a_given_file_and_the_config_of_a_comparison_name_results(folder, capsys, place):
    (folder / place).write_text(yaml.safe_dump(MINE))
    lines = listed(capsys, *([place] if place == "mine.yaml" else []))
    still = {path for path, line in lines.items() if "no config names it" in line}
    assert still == {"results/gone/small-world", "results/data/old"}


def test_a_baseline_belongs_to_the_comparison(folder, capsys):
    pairs = {"backend": "overlap", "kind": "pairwise", "baseline": "book"}
    judged = {"compare": {**MINE["compare"], "judges": ["overlap", "pairs"]}}
    given = {**MINE, **judged, "judges": {"pairs": pairs}}
    given["recipes"] = {"mine": {"extends": "book"}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(given))
    assert listed(capsys, "mine.yaml")["results/nano-1M/book"].endswith("  mine.yaml")


def test_pruning_asks_first_and_deletes_only_what_no_config_names(folder, capsys, monkeypatch):
    before = {path for path in (folder / "results").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"4 folders, .* with 100 kept replies .* add --yes"):
        main(["--prune"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "")
    main(["--prune"])
    assert "nothing deleted" in capsys.readouterr().out
    assert {path for path in (folder / "results").rglob("*") if path.is_file()} == before
    main(["--prune", "--yes"])
    said = capsys.readouterr().out
    assert all(f"delete {path}" in said for path in UNNAMED)
    left = {path for path in (folder / "results").rglob("*") if path.is_file()}
    deleted = {str(path.relative_to(folder)) for path in before - left}
    every = {f"results/{name}" for name in FILES}
    assert deleted == {name for name in every if any(f"{path}/" in name for path in UNNAMED)}
    assert not (folder / "results/gone").exists()
    main(["--prune"])
    assert "nothing to delete" in capsys.readouterr().out


def test_what_a_killed_prune_leaves_is_whole_or_deleted_by_the_next(folder, capsys, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(path):
        raise Killed(path)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("shutil.rmtree", killed)
        main(["--prune", "--yes"])
    capsys.readouterr()
    pruned = {path.name for path in (folder / "results/.pruned").glob("*/*")}
    assert pruned == {Path(path).name for path in UNNAMED}
    lines = listed(capsys)
    assert "  left by a --prune that was stopped" in lines["results/.pruned"]
    assert UNNAMED.isdisjoint(lines)
    main(["--prune", "--yes"])
    assert "delete results/.pruned\n" in capsys.readouterr().out
    assert not (folder / "results/.pruned").exists()


def test_nothing_outside_results_is_deleted(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "kept.txt").write_text("kept")
    (folder / "results/linked").symlink_to(outside)
    (folder / "results/gone/linked").symlink_to(outside)
    (folder / "results/gone/small-world/linked").symlink_to(outside)
    main(["--prune", "--yes"])
    assert not (folder / "results/gone/small-world").exists()
    assert (outside / "kept.txt").read_text() == "kept"
    assert (folder / "results/linked").is_symlink()


def test_nothing_is_deleted_while_snakemake_runs_or_a_config_is_broken(folder, capsys):
    (folder / "results/comparisons/mine/config.yaml").write_text("compare: [")
    with pytest.raises(UserError, match="nothing is deleted while a config cannot be read"):
        main(["--prune", "--yes"])
    assert "cannot be read: results/comparisons/mine/config.yaml: " in capsys.readouterr().out
    (folder / "results/comparisons/mine/config.yaml").unlink()
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.input.lock").touch()
    with pytest.raises(UserError, match="a run of Snakemake uses this folder"):
        main(["--prune", "--yes"])
    assert (folder / "results/gone").exists()


def test_what_the_pipeline_did_not_make_is_never_deleted(folder, capsys):
    for name in ("mine/notes/diary.txt", "nano-1M/drafts/plan.md", "data/own/raw.txt"):
        path = folder / "results" / name
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    cut = folder / "results/gone/cut"  # what an interrupted deletion may leave
    (cut / ".sha256").mkdir(parents=True)
    (cut / ".sha256/training.json.sha256").write_text("x")
    lines = listed(capsys)
    assert lines["results/mine/notes"].endswith("  not made by the pipeline")
    main(["--prune", "--yes"])
    assert (folder / "results/mine/notes/diary.txt").exists()
    assert (folder / "results/nano-1M/drafts/plan.md").exists()
    assert (folder / "results/data/own/raw.txt").exists()
    assert not cut.exists()


def test_odd_names_keep_to_one_line_and_no_pipe_is_waited_for(folder, capsys):
    odd = folder / "results/nano-1M/a\nb\x1b[31m"
    odd.mkdir()
    (odd / "model.pth").write_text("x")
    os.mkfifo(folder / "results/nano-1M/mine/answers.jsonl")
    main([])
    said = capsys.readouterr().out
    assert "results/nano-1M/a\\nb\\x1b[31m" in said
    assert "results/nano-1M/mine" in said


def test_without_results_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="results: there is no such folder here"):
        main([])
