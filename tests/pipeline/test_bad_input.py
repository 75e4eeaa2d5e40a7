# ruff: noqa: E501 (a case is a line)
"""Bad input as real Snakemake meets it: one line, early; the table is in tests/unit."""

import pytest

from tests.support.project import one_error


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
            ["mine.csv: broken: entry 30 (line 32) has 1 cells", "datasets.mine.checks.broken"],
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
            ["unknown file of dataset few: 'resources/datasets/few.csv'; did you mean", "few.json?"],
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


def test_a_value_on_the_command_line(project):
    line = one_error(project.run("results/scores.csv", "--config", "device=gpu"))
    assert line == "error: --config: device: should be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"
