"""All that runs write may be read and written by others as the umask says."""

import os
import stat

from tests.support.project import Project, run_command, tiny_overlay

MADE = ("results", "resources")


def wrong_modes(project: Project, umask: int) -> list[str]:
    """Return the files and folders with other permissions than the umask leaves."""
    made = [path for name in MADE for path in (project.path(name), *project.path(name).rglob("*"))]
    assert len(made) > 40
    return [
        f"{path.relative_to(project.folder)} {stat.S_IMODE(path.stat().st_mode):o}"
        for path in made
        if stat.S_IMODE(path.stat().st_mode) != (0o777 if path.is_dir() else 0o666) & ~umask
    ]


def test_a_finished_run_follows_the_umask_of_everyday(finished):
    mask = os.umask(0)
    os.umask(mask)
    assert wrong_modes(finished, mask) == []


def test_a_run_of_a_group_lets_the_group_read_and_write(tmp_path):
    """Everything that can be asked for, and the archive."""
    overlay = tiny_overlay(tmp_path / "sources", "http://localhost:1")
    overlay["compare"] |= {
        "models": ["tiny-a"],
        "judges": ["overlap"],
        "recipes": ["quick", "lora"],
    }
    overlay["recipes"]["lora"] = {"extends": "quick", "training": {"lora": {"rank": 2}}}
    project = Project.create(tmp_path / "project", overlay)
    wanted = ("results/scores.csv", "results/rating.html", "results/tiny-a/lora/hf/config.json")
    command = ["sh", "-c", 'umask 002; exec "$@"', "sh", *project.command(*wanted)]
    outcome = run_command(command, project.folder)
    assert outcome.code == 0, outcome.tail
    assert wrong_modes(project, 0o002) == []
