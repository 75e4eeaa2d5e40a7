"""The losses for TensorBoard: those of losses.csv, each step once, whatever interrupts."""

import csv
import json
import struct
import sys

import pytest

from tests.support.killed_training import finish, kill_after
from tests.support.training_case import TRAINING, make_files
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.event_files import WRITERS, EventFiles, check_library

# Writes a line of JSON where the library writes a record.
STAND_IN = """
import itertools, json, pathlib

class SummaryWriter:
    def __init__(self, folder, purge_step):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        paths = (pathlib.Path(folder, f"events.out.tfevents.{n}") for n in itertools.count())
        self.file = next(path for path in paths if not path.exists()).open("x")
        self.add_scalar("purge", 0, purge_step)

    def add_scalar(self, name, value, step):
        self.file.write(json.dumps([name, value, step]) + "\\n")

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()
"""
LONG = TRAINING.model_copy(update={"epochs": 4})


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A stand-in for tensorboardX, which need not be installed."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "tensorboardX.py").write_text(STAND_IN)
    monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
    monkeypatch.syspath_prepend(folder)


def events_of(files):
    """Return the content of the only event file: names, values and steps."""
    [path] = files[1].model.with_name("tensorboard").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses_of(files):
    """Return losses.csv as events."""
    with files[1].losses.open() as file:
        return [
            [f"loss/{split}", float(row[f"{split}_loss"]), int(row["step"])]
            for row in csv.DictReader(file)
            for split in ("train", "val")
        ]


def test_the_events_are_the_losses_and_change_no_result(files, tmp_path, library):
    made, _ = finish(files, LONG, tensorboard=True)
    first, *events = events_of(files)
    assert first == ["purge", 0, 0]
    assert events == losses_of(files)
    (tmp_path / "other").mkdir()
    plain = make_files(tmp_path / "other")
    assert finish(plain, LONG)[0] == made
    assert not plain[1].model.with_name("tensorboard").exists()


def test_a_resumed_run_doubles_no_step(files, library):
    """Killed after an evaluation that no checkpoint holds, and begun anew in between."""
    kill_after(files, LONG, 2, 0.005, tensorboard=True, every=3)
    kill_after(files, LONG, 1, 0.0005, tensorboard=True, every=3)
    _, record = finish(files, LONG, tensorboard=True, every=3)
    assert len(record["resumed_at"]) == 2
    assert events_of(files)[1:] == losses_of(files)
    finish(files, LONG, tensorboard=True)
    assert events_of(files)[1:] == losses_of(files)


def test_a_missing_library_is_one_line(files, monkeypatch):
    monkeypatch.setattr("workflow.lib.runtime.event_files.find_spec", lambda name: None)
    with pytest.raises(UserError, match="tensorboardX or tensorboard, and neither is installed"):
        check_library()


@pytest.mark.parametrize("name", WRITERS)
def test_the_real_libraries_write_what_tensorboard_reads(tmp_path, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.setattr("workflow.lib.runtime.event_files.WRITERS", {name: WRITERS[name]})
    for last in (2, 3):
        events = EventFiles(tmp_path)
        for step in range(last):
            events.add(step, {"loss/train": 1 / (1 + step)})
        events.close()
    [path] = tmp_path.iterdir()
    content, records = path.read_bytes(), []
    while content:  # a length, its checksum, the record, its checksum
        length = struct.unpack("<Q", content[:8])[0]
        records.append(content[12 : 12 + length])
        content = content[16 + length :]
    assert sum(b"loss/train" in record for record in records) == 3
    assert records[0].endswith(b"brain.Event:2")
