# ruff: noqa: E501 (a case is a line)
"""Whatever a config holds, it is taken or refused in short lines, in a moment."""

import re
import time
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.paths import ROOT
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.names import MOST
from workflow.lib.runtime.yaml_files import read_yaml
from workflow.lib.settings.load import load_settings, read_config_layer
from workflow.lib.settings.places import Layer, source_of

CONFIG = (ROOT / "config.yaml").read_text("utf-8")


def recursive() -> dict[str, Any]:
    section: dict[str, Any] = {}
    section["again"] = section
    return section


def bomb(of: type) -> Any:
    value: Any = "a"
    for _ in range(15):
        value = [value] * 9 if of is list else {f"k{number}": value for number in range(9)}
    return value


HOSTILE = [
    None, True, 0, -1, 10**30, 10**6000, -(10**6000), 1e308, float("inf"), float("nan"), "",
    " ", "a" * 300, "x" * 10**6, "\0", "\x1b[31mred", "line\nbreak", "\ud800", "\u202ertl", "{1}",
    "{", "~nobody-of-this-name/x.json", "../../etc/passwd", "/" * 5000, "a/" * 3000, "/dev/zero",
    "http://[", "https://host:99999999/x.json", "file:", "no", "2024", "!!python/object:os.system",
    b"bytes", {1, 2}, [], [[]], ["a"] * 3, {}, {"": ""}, {None: 1}, {1: 2}, {True: {}}, {"a": {}},
    {"\x1b": 1}, {"\ud800": 1}, {"x" * 10**5: 1}, recursive(),
    [recursive()], list(range(100)),
]  # fmt: skip


def paths(section: Any, start: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of the config, at any depth."""
    found = [start] if start else []
    if isinstance(section, dict):
        for key, inner in section.items():
            found += paths(inner, (*start, key))
    return found


WHOLE = yaml.safe_load(CONFIG)
WHOLE["recipes"]["mine"] = {
    "extends": "book", "training": {"lora": {"rank": 1}, "clip_norm": 1.0, "epochs": 1},
    "generation": {"top_k": 1}, "gpus": 1, "resources": {"finetune": {"mem_mb": 1}},
}  # fmt: skip
WHOLE["datasets"]["mine"] = {
    "url": "a.csv", "mirrors": ["b.csv"], "fields": {"input": None, "kind": "k"}, "limit": 5,
    "checks": {"leaks": "drop"}, "near": 90, "format": "csv",
}  # fmt: skip
WHOLE["datasets"]["three"] = {"files": {"train": "a.csv", "val": "b.csv", "test": {"url": "c.csv"}}}
WHOLE["judges"]["mine"] = {
    "backend": "openai", "model": "m", "prompt": "integer", "repeats": 1,
    "transport": {"timeout": 1}, "prices": {"input": 1, "output": 1}, "options": {"seed": 1},
}  # fmt: skip
WHOLE["judges"]["pairs"] = {
    "backend": "ollama", "model": "m", "kind": "pairwise", "baseline": "book",
}  # fmt: skip
WHOLE["judges"]["people"] = {"backend": "people", "ratings": ["a.csv"]}
WHOLE["compare"]["judges"] = [*WHOLE["compare"]["judges"], "pairs"]
WHOLE |= {"device": "cpu", "threads": 1, "limits": {"mem_mb": 1}}
PATHS = paths(WHOLE)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The config with a value at a path, or under a path if that is a section's new key."""
    config = deepcopy(WHOLE)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return config


def refused(config: dict[Any, Any]) -> str | None:
    """The error's text, checked for its form; None if the config is taken."""
    began = time.perf_counter()
    try:
        load_settings(config, [Layer("config.yaml", WHOLE), Layer("mine.yaml", config)])
    except UserError as error:
        message = str(error)
        lines = message.split("\n")
        assert len(lines) <= 40
        for line in lines:
            assert line.strip().isprintable(), line
            assert len(line) <= MOST + 2
            assert "Traceback" not in line
        return message
    finally:
        assert time.perf_counter() - began < 10
    return None


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_hostile_value_at_any_key_is_taken_or_refused_in_short_lines(path):
    for value in HOSTILE:
        refused(changed(path, value))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_of_a_long_value_a_message_names_the_beginning_and_then_what_is_wrong(path):
    for value in ("x" * 3000, "y/" * 1500, ["x" * 3000], ["x" * 3000] * 2, {"x" * 3000: 1}):
        assert "…" not in (refused(changed(path, value)) or "")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (("recipes", "book", "published", "settings", "training.epochs"), [[1], {"a": 1}]),
        (("recipes", "mine", "sweep"), [{"training.epochs": [[1], 2]}]),
        (("judges", "mine", "options", "top_p"), [[1], {"a": 1}, float("nan")]),
    ],
)
def test_a_value_of_several_kinds_has_one_mistake_at_its_own_key(path, values):
    for value in values:
        said = refused(changed(path, value))
        assert said.startswith(f"mine.yaml: {'.'.join(path)}")
        assert "\n" not in said
        assert not any(f".{kind}" in said for kind in ("bool", "int", "float", "str", "list"))
        assert re.search(r": should be a (finite )?number, text, true, false", said)


def test_ratings_without_a_name_are_one_clear_line():
    for name in ("", "  "):
        assert refused(changed(("judges", "people", "ratings"), [name])) == (
            "mine.yaml: judges.people.ratings: should name files that the page for raters saved, "
            "not a blank"
        )


@pytest.mark.parametrize("section", ["", "recipes", "datasets", "models", "judges", "compare"])
@pytest.mark.parametrize(
    "key", [0, 2024, True, None, 1.5, "", "a b", "a" * 101, "..", "\ud800", "\n", "a" * 40, ("a",)]
)
def test_a_hostile_key_is_refused_in_short_lines(section, key):
    config = changed(("device",), "cpu")
    (config[section] if section else config)[key] = {}
    assert refused(config)


@pytest.mark.parametrize(
    "path",
    [("recipes",), ("recipes", "mine"), ("judges", "mine", "backend"), ("device",),
     ("tokenizers", "gpt2", "mirrors"), ("compare", "models")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(
    "value", [bomb(list), bomb(dict), list(range(10**5)), list(range(9999)), ["a" * 10**6] * 100],
    ids=["lists", "sections", "long", "just not too long", "long texts"],
)  # fmt: skip
def test_what_is_too_large_is_refused_in_a_moment(path, value):
    assert refused(changed(path, value))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PATHS), value=values)
def test_any_value_at_any_key_is_taken_or_refused_in_short_lines(path, value):
    refused(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("recipes",), {2024: {"dataset": "small-world"}}, "recipes.2024: YAML reads this as a number; if it is a name, write it in quotes"),
        (("recipes",), {False: {"dataset": "small-world"}}, "recipes.False: YAML reads this as false; if it is a name, write it in quotes"),
        (("compare", "recipes"), [2024], "compare.recipes.0: should be a valid string, not 2024; YAML reads this as a number"),
        (("recipes", "mine"), recursive(), "recipes.mine.again: is nested more than 20 levels deep"),
        (("recipes", "mine"), {"prompt": bomb(list)}, "unfolds to more than 200,000 values"),
        (("recipes", "mine", "training", "epochs"), 10**6000, "epochs: "),
        (("datasets", "mine", "url"), "~nobody-of-this-name/x.csv", "datasets.mine.url: ~nobody-of-this-name is the folder of no user here"),
        (("datasets", "mine", "url"), "a/{1}.csv", "datasets.mine.url: 'a/{1}.csv' contains a brace"),
        (("datasets", "mine", "url"), "a" * 300 + ".csv", "datasets.mine.url: is longer than the path of a file can be"),
        (("models", "x" * 101), {"url": "x", "tokenizer": "gpt2"}, "at most 100 in all"),
        (("models", "x" * 20), {"url": "x", "tokenizer": "gpt2"}, "repeats 'x' too often"),
        (("device",), "\x1b[31m", r"not '\x1b[31m'"),
        (("threads",), 10**30, "threads: should be less than 2147483648"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, tuple | str) else "",
)  # fmt: skip
def test_what_is_refused_is_said(path, value, said):
    message = refused(changed(path, value))
    assert message
    assert said in message


@pytest.mark.parametrize("section", ["models", "recipes", "judges"])
@pytest.mark.parametrize(
    "name",
    ["losses.csv", "hf", "checkpoint.pt", "answers.jsonl", "logs", "comparisons", "data", "tokens",
     "model.pth", "m-sft.pth", "report.html", "Loss.PNG", "tensorboard", "HF", "Logs"],
)  # fmt: skip
def test_names_of_files_and_folders_of_results_are_reserved(section, name):
    definition = {"models": WHOLE["models"]["nano-1M"], "recipes": WHOLE["recipes"]["small-world"],
                  "judges": {"backend": "overlap"}}  # fmt: skip
    message = refused(changed((section, name), definition[section]))
    assert message
    assert f"mine.yaml: {section}: these names" in message
    assert f"files of results/: {name}" in message or f"folders of results/: {name}" in message


@pytest.mark.parametrize(
    ("section", "name", "other"),
    [
        ("datasets", "Small-World", "small-world"),
        ("tokenizers", "GPT2", "gpt2"),
        ("models", "NANO-1m", "nano-1M"),
        ("recipes", "small-World", "small-world"),
        ("judges", "Overlap", "overlap"),
    ],
)
def test_names_that_differ_by_case_alone_would_share_a_folder(section, name, other):
    message = refused(changed((section, name), WHOLE[section][other]))
    assert message == (
        f"mine.yaml: {section}: {other} and {name} differ by case alone and would share one folder "
        "on macOS and Windows; rename one"
    )


@pytest.mark.parametrize(
    "name", ["logs", "Data", "data", "a.csv", "Report.HTML", "config.yaml", "end."]
)
def test_a_comparison_has_no_name_of_a_file_or_folder_of_results(name):
    message = refused(changed(("name",), name))
    assert f"mine.yaml: name: {name!r} reads like a file or a folder of results/" in message


@pytest.mark.parametrize(
    "name", ["", "a/b", "../a", ".a", "a b", "\u00e9", "a\nb", "x" * 101, 3, []]
)
def test_the_name_of_a_comparison_is_one_that_a_folder_can_have(name):
    message = refused(changed(("name",), name))
    assert message
    assert "mine.yaml: name: " in message
    assert "\n" not in message


def test_every_fixed_name_that_a_rule_writes_is_reserved():
    """Read from the rules, so that a new file of results/ cannot be forgotten."""
    rules = "\n".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    found = {
        part
        for target in re.findall(r'"(results/[^"\s]+)"', rules)
        for part in target.split("/")[1:]
        if "{" not in part and part
    }
    assert {"losses.csv", "hf", "logs", "scores.csv"} <= found
    rule_names = set(re.findall(r"results/logs/(\w+)", rules))
    for name in found - rule_names:
        definition = {"backend": "overlap"}
        assert refused(changed(("judges", name), definition)), name


LAYERS = [
    Layer("config.yaml", {"recipes": {"a": {"training": {"epochs": 1}}}, "device": "cpu"}),
    Layer("mine.yaml", {"recipes": {"a": {"training": {"seed": 1}}, "b": {}}}),
    Layer("--config", {"device": "gpu"}),
]


@pytest.mark.parametrize(
    ("keys", "file"),
    [
        (["recipes", "a", "training", "epochs"], "config.yaml"),
        (["recipes", "a", "training", "seed"], "mine.yaml"),
        (["recipes", "b", "dataset"], "mine.yaml"),
        (["device"], "--config"),
        (["compare", "models", 0], "--config"),
    ],
)
def test_the_file_named_is_the_one_that_sets_the_key(keys, file):
    assert source_of(keys, LAYERS) == file


FILES = [
    (b"\xff\xfed\x00e\x00v\x00", "is UTF-16, not UTF-8; save the file as UTF-8"),
    (b"- a\n", "should hold keys and values"),
    (b"", "should hold keys and values"),
    (b"threads: " + b"9" * 6000, "not YAML (Exceeds the limit (4300 digits)"),
    (b"recipes: &r\n  x: *r\n", "recipes.x.x: is nested more than 20 levels deep"),
    (b"device: 2024-13-45 00:00:00\n", "not YAML (month must be in 1..12"),
    (b"device: !!bool maybe\n", "not YAML ("),
    (b"device: !!timestamp x\n", "not YAML ("),
    (b"device: !!int ''\n", "not YAML ("),
    (b"device: !!python/object:os.system x\n", "not YAML (line 1"),
    (b"? [a]\n: b\n", "not YAML (line 1"),
    (b"a: " + b"[" * 5000, "not YAML ("),
    (b"device: *" + b"x" * 5000, "not YAML ("),
]


@pytest.mark.parametrize(("content", "said"), FILES, ids=[case[1] for case in FILES])
def test_a_file_that_is_no_config_is_one_line(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_config_layer(tmp_path / "mine.yaml")
    line = str(raised.value)
    assert line.startswith("mine.yaml: ")
    assert said in line
    assert line.isprintable()
    assert len(line) <= MOST


def test_merges_of_merges_end(tmp_path):
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(9)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match="merges more than 100,000 keys"):
        read_yaml(path)


@pytest.mark.parametrize("name", ["results/scores.csv", "results/a/b/training.json", "resources/x"])
def test_a_target_in_the_place_of_a_config_file_is_named_as_such(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is a target.*--configfile FILE --cores 1 TARGET"):
        read_config_layer(tmp_path / name)
