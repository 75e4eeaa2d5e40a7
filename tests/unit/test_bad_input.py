# ruff: noqa: E501 (a case is a line)
"""What a user can get wrong: each ends in one line that says what, where and what to do.

A case is a piece of work as a rule or the Snakefile does it, on bad input, and words of the line it
ends with. With real Snakemake: tests/pipeline/test_bad_input.py.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from safetensors.numpy import save_file

from tests.support.paths import NANO, ROOT
from workflow.lib.data.download.fetch import fetch_file
from workflow.lib.data.split import split_dataset
from workflow.lib.judge.backends.ollama import Ollama
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.backends.overlap import Overlap
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.preflight import check_judge
from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.model.openai_checkpoint import convert_checkpoint
from workflow.lib.model.weights import load_base_model
from workflow.lib.runtime.errors import or_exit
from workflow.lib.runtime.log import rule_log
from workflow.lib.runtime.names import choose
from workflow.lib.settings.judges import Transport
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.sources import Selection
from workflow.lib.tokens.dataset import load_tokens
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer


def one_line(capfd, work: Callable[[], Any], log: Path | None = None) -> str:
    """Do the work as a script does (with a log) or as the Snakefile does; the line it ends with."""
    with pytest.raises(SystemExit) as stopped:
        if log is None:
            or_exit(work)
        else:
            with rule_log(log):
                work()
    printed = capfd.readouterr().err + (f"{stopped.value.code}\n" if log is None else "")
    assert stopped.value.code not in (0, None)
    assert "Traceback" not in printed
    assert "defect" not in printed
    errors = [line for line in printed.splitlines() if "error:" in line]
    assert len(errors) == 1, printed
    assert printed.splitlines()[-1] == errors[0], "something was printed after it"
    assert errors[0].startswith("error: ")
    return errors[0]


def says(line: str, words: list[str]) -> None:
    for word in words:
        assert word in line, line


CONFIG = [
    ("compare.models", ["nona-1M"], ["compare.models.0", "no 'nona-1M'", "did you mean nano-1M?"]),
    ("compare.recipes", ["smal-world"], ["compare.recipes.0", "did you mean small-world?"]),
    ("compare.judges", ["lama3"], ["compare.judges.0", "did you mean llama3?"]),
    ("compare.judges", "overlap", ["compare.judges: should be a valid list, not 'overlap'"]),
    ("compare.models", [], ["compare.models"]),
    ("compare", 3, ["compare: should be a section of keys, not 3"]),
    ("datasets", ["a"], ["datasets: should be a section of keys, not ['a']"]),
    ("compere", {}, ["compere: unknown key; did you mean compare?"]),
    ("recipes.book.dataset", "instruction-dat", ["did you mean instruction-data?"]),
    ("recipes.book.promt", "alpaca", ["recipes.book.promt: unknown key; did you mean prompt?"]),
    ("recipes.book.prompt", "", ["recipes.book.prompt"]),
    ("recipes.book.prompt", 7, ["recipes.book.prompt: should be a valid string, not 7"]),
    ("recipes.book.extends", "boook", ["recipes.book.extends: unknown recipe 'boook'", "book"]),
    ("recipes.book.training", {"batch_size": "8"}, ["batch_size: should be a valid integer"]),
    ("recipes.book.training", {"learning_rate": -1}, ["learning_rate: should be greater than 0"]),
    ("recipes.book.training", {"max_length": 0}, ["max_length: should be greater than or equal"]),
    ("recipes.book.training", {"too_long": "cut"}, ["too_long: should be 'truncate', 'drop' or"]),
    ("recipes.book.training", ["epochs"], ["recipes.book.training: should be a section of keys"]),
    ("recipes.book.generation", {"temperature": -1}, ["generation.temperature"]),
    (
        "datasets.mine",
        {"url": "x.json", "splitt": {}},
        ["splitt: unknown key; did you mean split?"],
    ),
    ("datasets.mine", {"url": "data.txt"}, ["datasets.mine: 'data.txt'", "set `format` to json"]),
    ("datasets.mine", {"format": "json"}, ["datasets.mine: needs either url", "or files"]),
    ("datasets.mine", {"url": "a", "format": "xml"}, ["mine.format: should be 'json', 'jsonl'"]),
    (
        "datasets.mine",
        {"url": "ftp://a/b.json"},
        ["datasets.mine.url", "https://", "ftp://a/b.json"],
    ),
    ("datasets.mine", {"url": "http://[a/b.json"}, ["datasets.mine.url: ", "Invalid IPv6 URL"]),
    (
        "datasets.mine",
        {"files": {"train": "a.csv", "test": "b.csv"}},
        ["datasets.mine.files.val: required, but missing"],
    ),
    (
        "datasets.mine",
        {"files": {"train": "a.csv", "val": "b.csv", "test": "c.csv"}, "split": {"train": 0.5}},
        ["datasets.mine: files are split already", "`split`"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "split": {"train": 0.95, "test": 0.1}},
        ["datasets.mine.split: train 0.95 + test 0.1 leaves no validation entries"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "split": {"train": 85}},
        ["datasets.mine.split.train: should be less than 1, not 85"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "split": {"shuffle": True}},
        ["datasets.mine.split.shuffle: should be a valid integer, not True"],
    ),
    ("datasets.mine", {"url": "a.csv", "limit": 0}, ["datasets.mine.limit", "not 0"]),
    ("datasets.mine", {"url": "a.csv", "near": 20}, ["datasets.mine.near", "equal to 80, not 20"]),
    (
        "datasets.mine",
        {"url": "a.csv", "checks": {"duplicates": "delete"}},
        ["mine.checks.duplicates: should be 'report', 'drop' or 'raise', not 'delete'"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "checks": {"broken": "report"}},
        ["mine.checks.broken: should be 'drop' or 'raise', not 'report'"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "fields": {"instruction": "q", "output": "q"}},
        ["datasets.mine.fields: instruction, input and output should be three different fields"],
    ),
    (
        "datasets.mine",
        {"url": "a.csv", "fields": {"output": "a", "kind": "a"}},
        ["mine.fields: kind needs a field of its own, not 'a'"],
    ),
    ("datasets.mine", {"url": "a.csv", "fields": {"answer": "a"}}, ["mine.fields.answer: unknown"]),
    ("models.mine", {"url": "x", "tokenizer": "gtp2"}, ["models.mine.tokenizer", "mean gpt2?"]),
    (
        "models.data",
        {"url": "x", "tokenizer": "gpt2"},
        ["these names are reserved for folders of results/: data"],
    ),
    ("models.mine", {"tokenizer": "gpt2"}, ["models.mine.url: required, but missing"]),
    ("tokenizers.mine", {"url": "x", "sha256": {"vocab": "0" * 64}}, ["tokenizers.mine.sha256"]),
    (
        "judges.mine",
        {"backend": "olama"},
        ["judges.mine.backend: unknown backend 'olama'; did you mean ollama?"],
    ),
    (
        "judges.mine",
        {"backend": "ollama", "model": "m", "url": "localhost:11434"},
        ["judges.mine.url: should be an address such as http://localhost:11434"],
    ),
    (
        "judges.mine",
        {"backend": "openai", "model": "m", "base_url": "https://me:secret@host/v1"},
        ["judges.mine.base_url: should contain no user name or password"],
    ),
    (
        "judges.mine",
        {"backend": "ollama", "model": "m", "repeats": 2, "options": {"seed": "x"}},
        ["judges.mine: repeats above 1 need an integer options.seed"],
    ),
    ("judges.mine", {"backend": "ollama"}, ["judges.mine.model: required, but missing"]),
    ("device", "gpu", ["device: should be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"]),
    ("precision", "fp16", ["precision: should be", "not 'fp16'"]),
]


@pytest.mark.parametrize(("path", "value", "said"), CONFIG, ids=lambda value: str(value)[:40])
def test_a_bad_config(capfd, path, value, said):
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    *sections, key = path.split(".")
    section = config
    for name in sections:
        section = section[name]
    section[key] = value
    line = one_line(capfd, lambda: load_settings(config))
    says(line, ["config: ", *said])


def test_an_unknown_name_in_a_target(capfd):
    models = {"nano-1M": 1, "pico-650K": 2}
    line = one_line(capfd, lambda: choose("model", "nano", models))
    says(line, ["unknown model 'nano'", "did you mean nano-1M?"])


def table(*rows: dict[str, Any]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), sink)
    return sink.getvalue().to_pybytes()


def lines(*entries: Any) -> bytes:
    return "\n".join(map(json.dumps, entries)).encode()


def entry(number: int, **changes: Any) -> dict[str, Any]:
    return {"instruction": f"q{number}", "input": "", "output": f"a{number}"} | changes


TRAILING_COMMA = 21 if sys.version_info >= (3, 13) else 22  # the column that Python gives
MANY = [entry(number) for number in range(40)]
REFUSE = {"checks": {"duplicates": "raise", "leaks": "raise"}}
DATA = [
    ("json", b"", {}, ["data.json: not JSON (line 1, column 1"]),
    ("json", b'[{"instruction": "a",}]', {}, [f"data.json: not JSON (line 1, column {TRAILING_COMMA}"]),
    ("json", "[\n\"ä\"]".encode("latin-1"), {}, ["data.json: not UTF-8 (line 2, byte 3)", "save"]),
    ("json", b"[" * 100_000, {}, ["data.json: cannot be read as JSON"]),
    ("json", b"[" + b"1" * 5000 + b"]", {}, ["data.json: cannot be read as JSON"]),
    ("json", b'{"data": []}', {}, ["data.json: should be a JSON list of entries, not an object"]),
    ("json", b"[]", {}, ["data.json: holds no entries"]),
    ("json", json.dumps([1, 2]).encode(), {}, ["data.json", "entry 0 should be an object", "checks.broken"]),
    ("json", json.dumps([*MANY, entry(1, output=3)]).encode(), {}, ["entry 40 has a number as 'output'"]),
    ("json", json.dumps([*MANY, entry(1, instruction=" ")]).encode(), {}, ["entry 40", "empty 'instr"]),
    ("json", json.dumps(MANY[:9]).encode(), {}, ["9 entries split 0.85 / 0.1 leave nothing for test", "datasets.mine"]),
    ("json", json.dumps(MANY).encode(), {"limit": 3}, ["3 entries", "leave nothing for test", "`limit`"]),
    ("json", json.dumps([{"q": "a", "a": "b"}] * 40).encode(), {}, ["no entry has 'instruction'; there are: 'q', 'a'", "datasets.mine.fields.instruction"]),
    ("json", json.dumps(MANY).encode(), {"fields": {"input": "context"}}, ["no entry has 'context'", "datasets.mine.fields.input"]),
    ("json", rb'[{"instruction": "\ud83d", "output": "b"}]', {}, ["entry 0 has half a surrogate"]),
    ("json", b'[{"instruction": "a", "output": "b"}, {"instruction": "a", "output": "b", "output": "c"}]', {}, ["entry 1 has 'output' more than once", "checks.broken"]),
    ("jsonl", lines(*MANY) + b'\n{"instruction": "a", "output": "b", "more": [{"k": 1, "k": 1}]}', {}, ["entry 40 (line 41) has 'k' more than once"]),
    ("jsonl", lines(*MANY) + b"\n{\n", {}, ["data.jsonl: line 41, column 2 is not JSON", "one entry"]),
    ("jsonl", lines(*MANY, [1]), {}, ["entry 40 (line 41) should be an object, not a list"]),
    ("jsonl", lines(*MANY, {"instruction": "q"}), {}, ["entry 40 (line 41) has no 'output'", "checks.broken to drop"]),
    ("jsonl", lines(*MANY, entry(3)), REFUSE, ["duplicates: entry 3 (line 4) = entry 40 (line 41)", "datasets.mine.checks.duplicates to drop or report"]),
    ("jsonl", lines(*MANY[:35], entry(3, output="x"), *MANY[35:]), REFUSE, ["leaks: entry 3 (line 4) = entry 35 (line 36)", "datasets.mine.checks.leaks"]),
    ("jsonl", lines(*MANY, entry(50, output="<|endoftext|>")), {"checks": {"end_of_text": "raise"}}, ["end of text: entry 40 (line 41)", "checks.end_of_text"]),
    ("jsonl", lines(*MANY, entry(50, output="")), {"checks": {"empty_output": "raise"}}, ["empty output: entry 40 (line 41)"]),
    ("jsonl", lines(*MANY, entry(1, output="x")), {"checks": {"conflicting_answers": "raise"}}, ["conflicting answers: entry 1 (line 2) = entry 40 (line 41)"]),
    ("jsonl", lines(*[entry(1)] * 40), {"checks": {"duplicates": "drop"}}, ["1 entries", "leave nothing for train and test"]),
    ("json", b'{"data": 3, "meta": {}}', {}, ["data.json: should be a JSON list of entries, not an object", "its keys ('data', 'meta')"]),
    ("json", b'{"train": [{}], "test": [{}]}', {}, ["data.json: has lists under 'train', 'test'", "name those as `files`"]),
    ("json", b'{"data": [{}], "data": [{}]}', {}, ["data.json: has 'data' more than once"]),
    ("json", b"instruction,output\na,b\n", {}, ["data.json: not JSON (line 1, column 1: it begins with 'i')", "`format`"]),
    ("json", lines(*MANY) + b"\n{\n", {}, ["data.json: line 41, column 2 is not JSON", "one entry"]),
    ("json", table(entry(1)), {}, ["data.json: is Parquet; set `format` of the data set to parquet"]),
    ("jsonl", b'[{"instruction": "a"},\n{]', {}, ["data.jsonl: not JSON (line 2, column 2"]),
    ("csv", json.dumps(MANY).encode(), {}, ["data.csv: is JSON, not CSV; set `format` of the data set to json"]),
    ("csv", gzip.compress(b"a,b"), {}, ["data.csv: is compressed; unpack it"]),
    ("csv", b"instruction:output\na:b\n", {}, ["no entry has 'instruction'; there are: 'instruction:output'"]),
    ("csv", b"instruction;output\na;b;c\n", {}, ["entry 0 (line 2) has 3 cells, the header 2"]),
    ("csv", b"sep=;\ninstruction;output\na;b;c\n", {}, ["entry 0 (line 3) has 3 cells, the header 2"]),
    ("csv", b"instruction,output,output\na,b,c\n", {}, ["data.csv: line 1 names 'output' more than"]),
    ("csv", b"question,answer\na,b\n", {}, ["no entry has 'instruction'; there are: 'question', 'answer'"]),
    ("csv", b"instruction, Input,INPUT,output\na,b,c,d\n", {}, ["' Input', 'INPUT' could all be 'input'", "datasets.mine.fields.input"]),
    ("csv", b'instruction,output\n"a"b,c\n', {}, ["data.csv: not CSV (line 2 on:", "doubled"]),
    ("csv", b'instruction,output\na,"b\nc,d\n', {}, ["data.csv: not CSV (line 2 on:"]),
    ("csv", b"instruction,output\na,b\nc\n", {}, ["entry 1 (line 3) has 1 cells, the header 2"]),
    ("csv", b"instruction,output\n", {}, ["data.csv: holds no entries"]),
    ("csv", b"instruction,output\na,\xff\n", {}, ["data.csv: not UTF-8 (line 2, byte 21)", "save"]),
    ("parquet", b"PAR1 cut off", {}, ["data.parquet: not readable as Parquet"]),
    ("parquet", json.dumps(MANY).encode(), {}, ["data.parquet: not readable as Parquet", "`format`"]),
    ("parquet", table({"instruction": "a", "output": 1}), {}, ["entry 0 has a number as 'output'"]),
    ("parquet", table({"prompt": "a", "output": "b"}), {}, ["no entry has 'instruction'; there are: 'prompt', 'output'"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "content", "settings", "said"), DATA, ids=[" ".join([c[0], c[3][0]]) for c in DATA]
)
def test_bad_data(capfd, tmp_path, suffix, content, settings, said):
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(content)
    outputs = {name: tmp_path / f"{name}.json" for name in ("train", "val", "test", "origins")}
    selection = Selection.model_validate(settings)
    line = one_line(
        capfd,
        lambda: split_dataset({"": path}, selection, "datasets.mine", **outputs),
        tmp_path / "logs/split.log",
    )
    says(line, [str(path), *said])
    assert not any(output.exists() for output in outputs.values())
    assert (tmp_path / "logs/split.log").read_text("utf-8").splitlines()[-1] == line


GOOD_STYLE = {"instruction": "{instruction}", "input": "{input}", "response": "{output}"}
STYLES = [
    (b"instruction: [", ["not YAML (line 1, column"]),
    ("instruction: ä".encode("latin-1"), ["not UTF-8 (line 1, byte 13)", "save the file as UTF-8"]),
    (b"input: '{input}'\ninput: ''", ["line 2: 'input' appears twice, first in line 1; remove one"]),
    (b"", ["should have the keys instruction, input, response, and only those"]),
    (b"just text", ["should have the keys instruction, input, response, and only those"]),
    ({**GOOD_STYLE, "input": None}, ["input: should be text with {input} in it, once"]),
    ({"instruction": "{instruction}"}, ["has no response; should have the keys"]),
    ({**GOOD_STYLE, "footer": "x"}, ["unknown key footer; should have the keys"]),
    ({**GOOD_STYLE, "input": "{context}"}, ["input: should be text with {input}", "not {context}"]),
    ({**GOOD_STYLE, "input": "{input} {input}"}, ["with {input} in it, once, not {input}, {input}"]),
    ({**GOOD_STYLE, "input": "{input!x}"}, ["input: should be text with {input} in it, once"]),
    ({**GOOD_STYLE, "input": "{input:d}"}, ["input: should be text with {input} in it, once"]),
    ({**GOOD_STYLE, "response": "}{output}"}, ["response: ", "write {{ or }} for a literal brace"]),
    ({**GOOD_STYLE, "instruction": 3}, ["instruction: should be text with {instruction} in it"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), STYLES, ids=[case[1][0] for case in STYLES])
def test_a_bad_prompt_style(capfd, tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    says(one_line(capfd, lambda: load_style(str(path))), [f"prompt style {path}: ", *said])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alpacca", ["unknown prompt style 'alpacca'; did you mean alpaca?"]),
        ("none/mine.yaml", ["prompt style none/mine.yaml: there is no such file"]),
        ("mine.yaml", ["prompt style mine.yaml: there is no such file"]),
        ("./", ["prompt style ./: it is a folder"]),
    ],
)
def test_a_prompt_style_that_is_not_there(capfd, name, said):
    says(one_line(capfd, lambda: load_style(name)), said)


QUESTION = "`{prompt}` `{output}` `{model_response}`"
JUDGE_PROMPTS = [
    ({"template": QUESTION}, ["entry: required, but missing"]),
    ({"entry": "alpacca", "template": QUESTION}, ["entry: unknown prompt style 'alpacca'", "alpaca"]),
    ({"entry": "alpaca", "template": "`{prompt}`"}, ["template: should have {prompt}, {output}"]),
    ({"entry": "alpaca", "template": "{prompt} `{output}` `{model_response}`"}, ["backticks"]),
    ({"entry": "alpaca", "template": QUESTION, "scale": {"worst": 9, "best": 1}}, ["best 1 should"]),
    ({"entry": "alpaca", "template": QUESTION, "tone": "x"}, ["tone: unknown key"]),
    ("- a", ["should be a section of keys"]),
    ("a: [", ["not YAML (line 1, column"]),
    ("entry: alpaca\nentry: phi3", ["line 2: 'entry' appears twice"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), JUDGE_PROMPTS, ids=[c[1][0] for c in JUDGE_PROMPTS])
def test_a_bad_judge_prompt(capfd, tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), "utf-8")
    line = one_line(capfd, lambda: load_judge_prompt(str(path)))
    says(line, [f"judge prompt {path}: ", *said])


@pytest.fixture
def tokenizer(tmp_path):
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(NANO / name, tmp_path)
    return tmp_path


TOKENIZERS = [
    ("encoder.json", b"{", ["encoder.json: not JSON (line 1"]),
    ("encoder.json", b"[]", ["encoder.json: not a token table"]),
    ("encoder.json", b'{"<|endoftext|>": "zero"}', ["encoder.json"]),
    ("vocab.bpe", b"", ["vocab.bpe", "do not make one encoding", "delete"]),
    ("vocab.bpe", b"#version: 0.2\na\n", ["vocab.bpe", "do not make one encoding"]),
    ("vocab.bpe", b"#version: 0.2\n\xff\xfe x\n", ["vocab.bpe", "do not make one encoding"]),
    ("vocab.bpe", None, ["vocab.bpe", "No such file"]),
]


@pytest.mark.parametrize(("name", "content", "said"), TOKENIZERS, ids=lambda value: str(value)[:40])
def test_a_bad_tokenizer(capfd, tokenizer, tmp_path, name, content, said):
    (tokenizer / name).unlink()
    if content is not None:
        (tokenizer / name).write_bytes(content)
    says(one_line(capfd, lambda: load_tokenizer(tokenizer), tmp_path / "logs/x.log"), said)


HPARAMS = {"n_vocab": 3000, "n_ctx": 256, "n_embd": 128, "n_head": 4, "n_layer": 4}
CHECKPOINTS = [
    ("hparams.json", b"{]", ["hparams.json: not JSON (line 1"]),
    ("hparams.json", b"[]", ["hparams.json"]),
    ("hparams.json", {**HPARAMS, "n_head": 5}, ["n_embd 128 is not a multiple of n_head 5"]),
    ("hparams.json", {**HPARAMS, "n_layer": -1}, ["hparams.json: n_layer"]),
    ("hparams.json", {**HPARAMS, "n_ctx": "256"}, ["hparams.json: n_ctx"]),
    ("hparams.json", {**HPARAMS, "n_layer": 5}, ["does not match hparams.json", "h4", "missing"]),
    ("model.ckpt.index", b"junk", ["model.ckpt: damaged or truncated", "delete", "again"]),
    ("model.ckpt.data-00000-of-00001", b"junk", ["model.ckpt: damaged or truncated"]),
]


@pytest.mark.parametrize(("name", "content", "said"), CHECKPOINTS, ids=lambda v: str(v)[:40])
def test_a_bad_checkpoint(capfd, tmp_path, name, content, said):
    folder = Path(shutil.copytree(NANO, tmp_path / "mine"))
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(content)
    output = tmp_path / "model.safetensors"
    line = one_line(capfd, lambda: convert_checkpoint(folder, output), tmp_path / "logs/x.log")
    says(line, [str(folder), *said])
    assert not output.exists()


def safetensors_of(metadata: dict[str, str]) -> Callable[[Path], None]:
    return lambda path: save_file({"x": np.zeros(2, np.float32)}, path, metadata=metadata)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"junk"),
        safetensors_of({}),
        safetensors_of({"config": json.dumps({"vocab_size": 9})}),
    ],
    ids=["junk", "no config", "half a config"],
)
def test_bad_converted_weights(capfd, tmp_path, write):
    path = tmp_path / "model.safetensors"
    write(path)
    line = one_line(capfd, lambda: load_base_model(path), tmp_path / "logs/x.log")
    says(line, [str(path), "delete it and run again"])


def test_a_damaged_token_file(capfd, tmp_path):
    path = tmp_path / "train.npz"
    path.write_bytes(b"PK junk")
    line = one_line(capfd, lambda: load_tokens(path), tmp_path / "logs/x.log")
    says(line, [str(path), "damaged; delete it and run again"])


SOURCES = [
    ("none.json", None, ["datasets.mine", "none.json", "there is no such file"]),
    (".", None, ["datasets.mine", "it is a folder"]),
    ("page.json", b"<!DOCTYPE html><p>Sign in", ["datasets.mine", "an HTML page instead of the data"]),
    ("other.json", b"[1]", ["datasets.mine", "sha256 is", "expected 0000"]),
    ("http://127.0.0.1:9/data.json", None, ["datasets.mine", "127.0.0.1:9", "mirrors", "offline"]),
    ("http://127.0.0.1:port/data.json", None, ["datasets.mine", "not a valid address"]),
]  # fmt: skip


@pytest.mark.parametrize(("url", "content", "said"), SOURCES, ids=[case[0] for case in SOURCES])
def test_a_bad_source(capfd, tmp_path, monkeypatch, url, content, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workflow.lib.data.download.transfer.TRIES", 1)
    if content:
        Path(url).write_bytes(content)
    target = tmp_path / "resources/data.json"
    line = one_line(
        capfd,
        lambda: fetch_file(
            url, [], target, sha256="0" * 64, store=tmp_path / "store", key="datasets.mine"
        ),
        tmp_path / "logs/x.log",
    )
    says(line, said)
    assert not target.exists()


RESPONSES = [
    ("[", ["responses.json: not JSON (line 1"]),
    ("[]", ["responses.json: holds no entries"]),
    (json.dumps([entry(0)]), ["responses.json: entry 0 has no text as 'model_response'"]),
    (json.dumps([entry(0, model_response=3)]), ["entry 0 has no text as 'model_response'"]),
    (json.dumps([{"model_response": "a"}]), ["entry 0 has no 'instruction'"]),
]


@pytest.mark.parametrize(("content", "said"), RESPONSES, ids=[case[1][0] for case in RESPONSES])
def test_bad_responses(capfd, tmp_path, content, said):
    path = tmp_path / "tiny/book/responses.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    names = {"model": "tiny", "recipe": "book", "judge": "overlap"}
    outputs = tmp_path / "scores.csv", tmp_path / "answers.jsonl"
    line = one_line(
        capfd,
        lambda: judge_responses(path, Overlap(backend="overlap"), names, *outputs),
        tmp_path / "logs/x.log",
    )
    says(line, said)
    assert not outputs[0].exists()


def test_a_judge_without_its_key(capfd, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    judge = OpenAI(backend="openai", model="m", base_url="http://127.0.0.1:9/v1",
                   api_key_env="NO_SUCH_KEY")  # fmt: skip
    work = lambda: check_judge(judge, "mine", tmp_path / "ready.json")  # noqa: E731
    says(one_line(capfd, work, tmp_path / "logs/x.log"), ["judge mine: ", "NO_SUCH_KEY"])


def test_a_judge_that_is_not_there(capfd, tmp_path):
    judge = Ollama(backend="ollama", model="m", url="http://127.0.0.1:9",
                   transport=Transport(retries=0))  # fmt: skip
    work = lambda: check_judge(judge, "mine", tmp_path / "ready.json")  # noqa: E731
    line = one_line(capfd, work, tmp_path / "logs/x.log")
    says(line, ["judge mine: ", "127.0.0.1:9", "ollama serve"])
