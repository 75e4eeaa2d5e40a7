"""Readers of JSON and YAML lose nothing in silence; files are replaced whole."""

import csv
import os
import platform
import subprocess

import pytest

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, replacing, write_csv
from workflow.lib.runtime.tables import read_csv
from workflow.lib.runtime.yaml_files import read_yaml
from workflow.lib.settings.load import read_config_layer

TWICE = [
    ("a: 1\nb: 2\na: 3\n", "line 3: 'a' appears twice, first in line 1"),
    ("a:\n  b: {c: 1, c: 2}\n", "line 2: 'c' appears twice"),
    ("a: 1\n'a': 2\n", "line 2: 'a' appears twice"),
    ("- x: {}\n  y: 1\n  x: {}\n", "line 3: 'x' appears twice, first in line 1"),
    ("1: a\n0x1: b\n", "line 2: 1 appears twice"),
    ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", "line 4: '<<' appears twice, first in line 3"),
]


@pytest.mark.parametrize(("text", "said"), TWICE)
def test_a_key_of_yaml_stands_once(tmp_path, text, said):
    path = tmp_path / "file.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as raised:
        read_yaml(path, "prompt style")
    assert str(raised.value).startswith(f"prompt style {path}: {said}")
    assert "\n" not in str(raised.value)


def test_a_key_may_override_that_of_a_merged_section(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(
        "x: &x {k: 1, l: 1}\ny: &y {<<: *x, k: 2}\nz: {<<: *y, k: 3}\nlist: [*y, *y]\n", "utf-8"
    )
    read = read_yaml(path)
    assert (read["y"], read["z"]) == ({"k": 2, "l": 1}, {"k": 3, "l": 1})
    assert read["list"] == [read["y"]] * 2


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"c": [], "a": 1, "a": 2}}]'])
def test_a_key_of_json_stands_once(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="an object has 'a' more than once"):
        read_json(path)


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", "device: cpu\ndevice: cuda\n"), ("a.json", '{"x": 1, "x": 2}')]
)
def test_a_config_file_has_every_key_once(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(UserError, match=f"{name}: .*'(device|x)' (appears twice|more than once)"):
        read_config_layer(tmp_path / name)


def test_a_config_file_may_be_json_that_is_indented_by_tabs(tmp_path):
    (tmp_path / "a.json").write_text('{\n\t"device": "cpu"\n}\n', "utf-8")
    read_config_layer(tmp_path / "a.json")


def test_what_a_killed_process_left_unfinished_is_deleted(tmp_path):
    """Of this machine at once, of another one after a day without a write."""
    path = tmp_path / "weights.pth"
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = []
    for machine, process in ((platform.node(), dead.pid), (platform.node(), 1), ("far", 5)):
        machine = machine.replace(".", "-")[:20]
        names.append(f".{path.name}.{machine}.{process}.unfinished")
        (tmp_path / names[-1]).write_bytes(b"x")
    with replacing(path) as unfinished:
        unfinished.write_bytes(b"whole")
    assert {file.name for file in tmp_path.iterdir()} == {path.name, *names[1:]}
    os.utime(tmp_path / names[2], (1, 1))
    with replacing(path) as unfinished:
        unfinished.write_bytes(b"whole")
    assert {file.name for file in tmp_path.iterdir()} == {path.name, names[1]}


def test_two_processes_may_make_the_same_file_at_once(tmp_path):
    path = tmp_path / "made.txt"
    with replacing(path) as mine:
        mine.write_text("mine")
        child = os.fork()
        if not child:
            with replacing(path) as other:
                other.write_text("other")
            os._exit(0)
        os.waitpid(child, 0)
        assert path.read_text() == "other"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://example.org","85")',
        "+1 point",
        "-1 point for style",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "'=1",
        "''=1",
        "-",
    ],
)
def test_a_text_is_no_formula_in_a_spreadsheet_and_comes_back_as_it_was(tmp_path, text):
    write_csv(tmp_path / "table.csv", ("reply",), [{"reply": text}])
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)] == [["reply"], [f"'{text}"]]
    assert read_csv(tmp_path / "table.csv", ("reply",)) == [{"reply": text}]


@pytest.mark.parametrize(
    "text", ["85", "-5", "+5", "-1.5e-05", "'85'", "'", "a=b", "85 - good", ""]
)
def test_numbers_and_other_texts_stand_in_a_table_as_they_are(tmp_path, text):
    write_csv(tmp_path / "table.csv", ("reply", "next"), [{"reply": text, "next": -5}])
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)][1] == [text, "-5"]
    assert read_csv(tmp_path / "table.csv", ("reply",))[0]["reply"] == text
