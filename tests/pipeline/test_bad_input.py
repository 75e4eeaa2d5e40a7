# ruff: noqa: E501 (a case is a line)
"""Bad input as real Snakemake meets it: one line, early; the table is in tests/unit."""

import sys

import pytest

from tests.support.project import one_error, run_command


@pytest.mark.parametrize(
    ("files", "change", "target", "said"),
    [
        (
            {"config.yaml": "compare:\n  models: [a\ndevice: cpu\n"},
            {},
            "results/scores.csv",
            ["config.yaml: not YAML (line 3, column 7"],
        ),
        (
            {},
            {"recipes__quick__prompt": "mine/style.yaml"},
            "results/scores.csv",
            ["prompt style mine/style.yaml: there is no such file"],
        ),
        (
            {"mine.yaml": "instruction: '{instruction}'\ninput: '{context}'\nresponse: '{output}'"},
            {"recipes__quick__prompt": "mine.yaml"},
            "results/scores.csv",
            ["prompt style mine.yaml: input: should be text with {input} in it, once"],
        ),
        (
            {"mine.yaml": "entry: alpaca\ntemplate: 'Is {output} good?'\n"},
            {"judges__server__prompt": "./mine.yaml"},
            "results/scores.csv",
            ["judge prompt mine.yaml: template: should have {prompt}, {output}"],
        ),
        (
            {"mine.csv": "instruction,output\n" + "a,b\n" * 30 + "c\n"},
            {"datasets__mine": {"url": "mine.csv"}},
            "results/data/mine/train.json",
            [".csv: broken: entry 30 (line 32) has 1 cells", "datasets.mine.checks.broken"],
        ),
        (
            {"mine.jsonl": '{"instruction": "a", "output": "b"}\n'},
            {"datasets__mine": {"files": dict.fromkeys(("train", "test"), "mine.jsonl") | {"val": "no.csv"}}},
            "results/data/mine/train.json",
            ["datasets.mine.files.val", "no.csv: there is no such file"],
        ),
        (
            {},
            {},
            "resources/datasets/few.csv",
            ["unknown file of dataset few: 'resources/datasets/few.csv'; did you mean", ".json?"],
        ),
    ],
    ids=["config syntax", "no style", "bad style", "bad judge prompt", "bad row", "no file", "format"],
)  # fmt: skip
def test_bad_input_is_one_line(project, files, change, target, said):
    for name, content in files.items():
        project.path(name).write_text(content, "utf-8")
    project.change(**change)
    line = one_error(project.run(target))
    for words in said:
        assert words in line, line


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.yaml", None, "none.yaml: cannot be read: No such file or directory"),
        (".", None, ".: cannot be read: Is a directory"),
        ("/dev/zero", None, "/dev/zero: it is no ordinary file"),
        ("16.yaml", "device: cpu".encode("utf-16"), "16.yaml: is UTF-16, not UTF-8; save"),
        ("raw.yaml", b"device: \xff\xfe", "raw.yaml: not UTF-8 (line 1, byte 8)"),
        ("bad.yaml", b"a: [1\nb: : 2", "bad.yaml: not YAML (line 2"),
        ("list.yaml", b"- a", "list.yaml: should hold keys and values such as"),
        ("results/scores.csv", None, "results/scores.csv: is a target, but stands where"),
        (
            "odd.json",
            b'\xef\xbb\xbf{\n\t"device": "cpu"}',
            "odd.json, which Snakemake cannot read: unknown key",
        ),
    ],
)
def test_a_file_of_settings_that_cannot_be_read(project, name, content, said):
    """Snakemake itself reads it first, and would end with a traceback."""
    if content is not None:
        project.path(name).write_bytes(content)
    command = [sys.executable, "-m", "snakemake", "--configfile", name, "--cores", "1", "all"]
    assert said in one_error(run_command(command, project.folder))


def test_a_value_on_the_command_line(project):
    line = one_error(project.run("results/scores.csv", "--config", "device=gpu"))
    assert line == "error: --config: device: should be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"
