"""The JSON schema of config.yaml: current, complete, and right about what people write."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from snakemake.utils import update_config

from tests.support.paths import ROOT
from workflow.lib.runtime.version import VERSION
from workflow.lib.settings.schema import config_schema

FILE = ROOT / "workflow/config.schema.json"
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "workflow/presets").glob("*.yaml"))]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return config_schema()


def errors(schema: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """What an editor marks; its keys are text, as those of JSON."""
    found = Draft7Validator(schema).iter_errors(json.loads(json.dumps(config)))
    return [".".join(map(str, error.absolute_path)) for error in found]


def test_the_file_is_current(schema):
    said = "run `python -m workflow schema > workflow/config.schema.json`"
    assert json.loads(FILE.read_text("utf-8")) == schema, said
    assert VERSION in schema["$comment"]


def test_it_is_a_schema(schema):
    Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_our_own_configs_are_valid_and_name_it(schema, path):
    text = path.read_text("utf-8")
    name = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / name).resolve() == FILE
    assert errors(schema, yaml.safe_load(text)) == []


def properties(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    """All keys that it knows, in all sections."""
    if isinstance(schema, list):
        return [found for inner in schema for found in properties(inner)]
    if not isinstance(schema, dict):
        return []
    own = [item for item in schema.get("properties", {}).items() if "type" in schema]
    return own + [found for inner in schema.values() for found in properties(inner)]


def test_every_key_is_described(schema):
    found = properties(schema)
    assert len(found) > 80
    for name, key in found:
        if "const" in key:  # the name of a judge's backend
            continue
        if "description" not in key:
            key = schema["$defs"][key["$ref"].removeprefix("#/$defs/")]
        assert key["description"], name


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"compare": {"recipes": ["book"]}},
        {"recipes": {"mine": {"extends": "book", "training": {"epochs": 3}}}},
        {"recipes": {"mine": {"training": {"lora": {"rank": 8}}}, "lora": {"resources": {}}}},
        {"recipes": {"defaults": {"training": {"learning_rate": "1e-4", "clip_norm": 1.0}}}},
        {"recipes": {"book": {"published": {"losses": {5: [1.1, 2]}}}}},
        {"judges": {"llama3": {"url": "http://node7:11434"}}},
        {"judges": {"mine": {"backend": "openai", "model": "m", "prices": {"input": 1}}}},
        {"judges": {"mine": {"backend": "ollama", "model": "m", "options": {"stop": ["a"]}}}},
        {"datasets": {"mine": {"url": "a.csv", "fields": {"input": None}, "near": 90}}},
        {"datasets": {"mine": {"files": {"train": "a.csv", "test": {"url": "b.csv"}}}}},
        {"tokenizers": {"gpt2": {"sha256": {"vocab.bpe": "0" * 64}}}},
        {"threads": 4, "device": "cpu", "limits": {"gpu_memory_gb": 80}},
    ],
    ids=str,
)
def test_a_part_of_a_config_is_valid(schema, config):
    """A file that is laid over config.yaml says only what differs."""
    assert errors(schema, config) == []


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"devise": "cpu"}, ""),
        ({"device": "gpu"}, "device"),
        ({"compare": {"model": ["nano-1M"]}}, "compare"),
        ({"compare": {"models": "nano-1M"}}, "compare.models"),
        ({"compare": {"models": []}}, "compare.models"),
        ({"compare": {"models": ["nano-1M", "nano-1M"]}}, "compare.models"),
        ({"recipes": {"mine": {"extend": "book"}}}, "recipes.mine"),
        ({"recipes": {"mine": {"extends": 5}}}, "recipes.mine.extends"),
        ({"recipes": {"mine": {"training": {"epocs": 2}}}}, "recipes.mine.training"),
        ({"recipes": {"defaults": {"training": {"epocs": 2}}}}, "recipes.defaults.training"),
        ({"recipes": {"defaults": {"extends": "book"}}}, "recipes.defaults"),
        ({"recipes": {"x": {"training": {"epochs": "two"}}}}, "recipes.x.training.epochs"),
        ({"recipes": {"x": {"training": {"epochs": 1.5}}}}, "recipes.x.training.epochs"),
        ({"recipes": {"x": {"training": {"learning_rate": "fast"}}}}, "recipes.x.training."),
        ({"recipes": {"x": {"training": {"learning_rate": True}}}}, "recipes.x.training."),
        ({"recipes": {"x": {"training": {"drop_rate": 1}}}}, "recipes.x.training.drop_rate"),
        ({"recipes": {"x": {"training": {"lora": {"rnk": 8}}}}}, "recipes.x.training.lora"),
        ({"recipes": {"x": {"published": {"score_range": [1]}}}}, "recipes.x.published"),
        ({"recipes": {"a b": {"extends": "book"}}}, "recipes"),
        ({"datasets": {"mine": {"ulr": "a.csv"}}}, "datasets.mine"),
        ({"datasets": {"mine": {"url": 7}}}, "datasets.mine.url"),
        ({"datasets": {"mine": {"checks": {"leaks": "ignore"}}}}, "datasets.mine.checks.leaks"),
        ({"datasets": {"mine": {"files": {"training": "a.csv"}}}}, "datasets.mine.files"),
        ({"models": {"mine": {"url": "x", "tokenzer": "gpt2"}}}, "models.mine"),
        ({"judges": {"mine": {"backend": "olama"}}}, "judges.mine"),
        ({"judges": {"mine": {"backend": "ollama", "base_url": "http://x"}}}, "judges.mine"),
        ({"judges": {"mine": {"backend": "overlap", "prompt": "integer"}}}, "judges.mine"),
        ({"judges": {"llama3": {"transport": {"timeout": 0}}}}, "judges.llama3"),
        ({"threads": 0}, "threads"),
    ],
    ids=str,
)
def test_a_mistake_is_marked_where_it_is(schema, config, place):
    """Alone, and within the whole config."""
    whole = yaml.safe_load(CONFIGS[0].read_text("utf-8"))
    update_config(whole, config)  # as --configfile does
    for written in (config, whole):
        found = errors(schema, written)
        assert len(found) == 1
        assert found[0].startswith(place)
