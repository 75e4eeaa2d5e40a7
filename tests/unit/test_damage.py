"""A damaged file ends the job that reads it in one line: which file, and that it is to be deleted.

Each kind of file, each job that reads it, each damage; no other exception, and no silent use.
"""

import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.damage import SMALL, WHOLESALE, FinishedRun
from workflow.lib.report.console import outcome_lines
from workflow.lib.runtime.digests import check_digest, record_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, replacing, write_csv, write_json
from workflow.lib.runtime.tables import read_csv

FILES = list(FinishedRun(Path()).jobs())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> FinishedRun:
    return FinishedRun(tmp_path_factory.mktemp("run")).make()


@pytest.fixture
def run(made, tmp_path) -> FinishedRun:
    """A copy of the finished run."""
    return FinishedRun(shutil.copytree(made.folder, tmp_path / "run"))


def refused(job, path: Path, why: str) -> None:
    """Check that a job ends in one line about this file."""
    with pytest.raises(UserError) as raised:
        job()
        pytest.fail(f"{path.name} was used: {why}")
    line = str(raised.value)
    assert str(path) in line, why
    assert "delete" in line, line
    assert "\n" not in line


@pytest.mark.parametrize("file", FILES)
def test_undamaged_files_are_read_and_their_digests_recorded(run, file):
    for job in run.jobs()[file]:
        job()
    if not file.endswith(".pth"):
        assert record_of(run.folder / file).is_file()


@pytest.mark.parametrize("file", FILES)
def test_no_damage_is_used(run, file):
    path = run.folder / file
    content = path.read_bytes()
    for name, damage in (WHOLESALE | SMALL).items():
        if damage(content) == content:
            continue
        for job in run.jobs()[file]:
            path.write_bytes(damage(content))
            refused(job, path, name)


@pytest.mark.parametrize("file", FILES)
def test_without_a_record_a_damage_is_refused_by_what_it_breaks(run, file):
    """As with files of earlier versions, or copied without the hidden folder."""
    path = run.folder / file
    content = path.read_bytes()
    record_of(path).unlink(missing_ok=True)
    for name, damage in WHOLESALE.items():
        for job in [*run.jobs()[file], *run.peeks().get(file, [])]:
            path.write_bytes(damage(content))
            refused(job, path, name)


@pytest.mark.parametrize("file", FILES)
def test_no_single_bit_ends_in_a_traceback(run, file):
    """Without a record a bit may pass, but not as an error of the pipeline."""
    path = run.folder / file
    content = path.read_bytes()
    record_of(path).unlink(missing_ok=True)
    jobs = [*run.jobs()[file], *run.peeks().get(file, [])]
    jobs = [job for job in jobs if job not in (run.generate, run.quality)]  # slow
    step = max(1, len(content) // 60)
    for place in range(0, len(content), step):
        for job in jobs[:2]:
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            try:
                job()
            except UserError as error:
                assert str(path.parent) in str(error)


@pytest.mark.parametrize("file", ["tiny/quick/model.pth", "tokens/bytes/few/phi3/train.npz"])
def test_files_with_checksums_of_their_own_need_no_record(run, file):
    path = run.folder / file
    content = path.read_bytes()
    record_of(path).unlink(missing_ok=True)
    job = run.jobs()[file][0]
    undamaged = job()
    refusals = 0
    for place in range(0, len(content), max(1, len(content) // 150)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            assert job() == undamaged  # a bit of padding, or of a time
        except UserError:
            refusals += 1
    assert refusals > 120


@pytest.mark.parametrize("entry", [b"0", b"5"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b",scored,", b",stored,", "unknown status 'stored'"),
        (b",scored,", b",failed,", "does not fit the status failed"),
        (b",scored,", b",empty,", "does not fit the status empty"),
        (b"overlap,%s,0,", b"overlap,%s,0,9", "is not from 0 to 100"),
        (b"overlap,%s,0,", b"overlap,%s,0,nan#", "could not convert"),
        (b"overlap,%s,0,", b"overlap,%s,0,-", "is not from 0 to 100"),
        (b"overlap,%s,0,", b"overlap,99,0,", "should be"),
        (b"overlap,%s,0,", b"overlap,99999999999999999999,0,", "below 0 or too large"),
        (b"overlap,%s,0,", b"overlap,1,0,", "should be"),
        (b"overlap,%s,0,", b"overlap,x,0,", "invalid literal"),
        (b"overlap,%s,0,", b"overlap,%s,0,,", "not as many cells"),
    ],
)
def test_a_table_is_checked_for_rows_ranges_and_types(run, old, new, said, entry):
    path = run.judged / "scores.csv"
    record_of(path).unlink()
    rows = path.read_bytes().splitlines(keepends=True)
    number = 1 + int(entry)
    row = rows[number]
    # A score of three digits, so that a digit more is out of range, and a sign makes it negative.
    old, new = (text.replace(b"%s", entry) for text in (old, new))
    parts = row.split(b",")
    parts[5] = b"50.5"
    rows[number] = b",".join(parts).replace(old, new)
    path.write_bytes(b"".join(rows))
    with pytest.raises(UserError, match=said):
        run.summarize()
    with pytest.raises(UserError, match=said):
        run.collect()


def test_a_table_without_its_last_entries_is_not_reported(run):
    path = run.judged / "scores.csv"
    record_of(path).unlink()
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-3]))
    with pytest.raises(UserError, match=rf"{path}: has {len(rows) - 4} of {len(rows) - 1} entries"):
        run.report()


def test_losses_without_a_row_are_not_drawn(run):
    path = run.variant / "losses.csv"
    record_of(path).unlink()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    refused(run.plot, path, "a row less")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("unrated", ""),
        ("win_rate", "x"),
        ("win_low", "nan"),
        ("disagreements", "-1"),
        ("wins", "1.5"),
        ("cut_off", "x"),
        ("entries", "9" * 30),
        ("lc_win_rate", None),
    ],
)
def test_a_summary_with_win_rates_is_checked_for_them(run, column, value):
    """Of all columns that the console or the report reads; None: it is missing."""
    run.summarize_wins()
    path = run.folder / "with-wins.csv"
    record_of(path).unlink()
    rows = [*csv.DictReader(path.open(newline=""))]
    if value is None:
        rows = [{name: cell for name, cell in row.items() if name != column} for row in rows]
    else:
        rows[-1][column] = value
    write_csv(path, [*rows[0]], rows)
    refused(lambda: outcome_lines(path, Path("report.html"), {}), path, column)


def test_records_are_those_of_sha256sum(run):
    path = run.variant / "responses.json"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record_of(path).read_text() == f"{digest}  responses.json\n"
    if shutil.which("sha256sum"):
        done = subprocess.run(
            ["sha256sum", "-c", *map(str, (run.variant / ".sha256").iterdir())],
            cwd=run.variant,
        )
        assert done.returncode == 0


def test_a_file_without_a_record_is_read(tmp_path):
    write_json(tmp_path / "a.json", [1])
    assert read_json(tmp_path / "a.json") == [1]
    assert not record_of(tmp_path / "a.json").exists()


def test_a_file_written_again_has_its_new_record_or_none(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [1], recorded=True)
    write_json(path, [2], recorded=True)
    assert read_json(path) == [2]
    write_json(path, [3])
    assert read_json(path) == [3]
    assert not record_of(path).exists()


def test_an_interrupted_write_leaves_file_and_record_as_they_were(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ["x"], [{"x": 1}], recorded=True)
    with pytest.raises(KeyboardInterrupt), replacing(path, recorded=True) as unfinished:
        unfinished.write_bytes(b"half")
        raise KeyboardInterrupt
    assert read_csv(path, ["x"]) == [{"x": "1"}]


def test_a_deleted_record_lets_an_edited_file_pass(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [1], recorded=True)
    path.write_text("[2]")
    with pytest.raises(UserError, match=f"or delete {record_of(path)} to use the file as it is"):
        check_digest(path)
    record_of(path).unlink()
    assert read_json(path) == [2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_is_written_that_json_does_not_have(tmp_path, value):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"x": [value]})
    assert list(tmp_path.iterdir()) == []
