"""A run on a disk that is full says so in one line, and goes on once there is room."""

import subprocess
import sys

import pytest

SCORES = "results/tiny-a/quick/overlap/scores.csv"
SAME = [
    "results/data/few/train.json",
    *(f"results/tiny-a/quick/{name}" for name in ("model.pth", "losses.csv", "responses.json")),
    SCORES,
]
FULL = (
    "no space left on the disk: ",
    "holds no more files: ",
    " in resources/downloads (No space left on device); free some space",
)
# Runs on a small disk, and again when it is larger; what was made is then taken from it.
SCRIPT = """
mount -t tmpfs -o "$1" none small || exit 77
shift
"$@"
echo "first: $?"
mount -o remount,size=100m,nr_inodes=100k small
"$@"
echo "second: $?"
cp -r small/results kept
"""


@pytest.mark.parametrize("disk", ["size=200k", "size=600k", "nr_inodes=30", "nr_inodes=75"])
def test_a_run_on_a_full_disk_goes_on_where_there_is_room(finished, tmp_path, disk):
    project = finished.copy(tmp_path / "project")
    project.path("small").mkdir()
    command = [
        *(sys.executable, "-m", "snakemake", "--cores", "1", SCORES),
        *("--configfile", "overlay.yaml", "--directory", "small"),
    ]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", disk,
         *command],
        cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    if "second: " not in done.stdout:
        pytest.skip("this system lets nobody mount a small file system")
    first, _, second = done.stdout.partition("first: ")
    assert second.startswith("1"), first
    assert "Traceback" not in first, first
    errors = [line for line in first.splitlines() if line.startswith("error: ")]
    assert errors, first
    for line in errors:
        assert any(words in line for words in FULL), first
    assert second.rstrip().endswith("second: 0"), second
    for name in SAME:
        kept = project.path(name.replace("results", "kept", 1))
        assert kept.read_bytes() == finished.path(name).read_bytes(), name
