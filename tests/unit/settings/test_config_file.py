"""config.yaml explains every option beside its definitions, with its true default."""

import re
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from workflow.lib.settings.base import Section
from workflow.lib.settings.cluster import JobResources, Limits
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.judges import ServerJudge, Transport
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.recipe import Evaluation, Generation, Lora, Recipe, Training
from workflow.lib.settings.root import Settings
from workflow.lib.settings.sources import Checks, Dataset

TEXT = (ROOT / "config.yaml").read_text("utf-8")


def commented(first: str) -> dict[str, Any]:
    """The YAML of a commented block, from its first line to the end of the comment."""
    _, found, rest = TEXT.partition(f"\n# {first}")
    assert found, first
    lines = f"# {first}{rest}".splitlines()
    ends = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    written = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[:ends]))
    assert isinstance(written, dict)
    return written


def test_the_commented_recipe_holds_the_defaults_and_all_options():
    [(name, recipe)] = commented("  my-recipe:\n").items()
    config = yaml.safe_load(TEXT)
    config["recipes"][name] = recipe
    assert load_settings(config).recipes[name] == Recipe(dataset="instruction-data")
    for section, written in (
        (Recipe, recipe | {"published": None}),
        *(
            (section, recipe[section.__name__.lower()])
            for section in (Training, Evaluation, Generation)
        ),
        *((JobResources, asked) for asked in recipe["resources"].values()),
    ):
        assert written.keys() == section.model_fields.keys()


def test_the_commented_settings_of_computing_are_the_defaults():
    written = commented("device: auto")
    limits = written.pop("limits", None)
    assert Computing.model_validate(written) == Computing()
    assert Limits.model_validate(limits) == Limits()
    assert written.keys() == Computing.model_fields.keys()
    assert limits.keys() == Limits.model_fields.keys()


@pytest.mark.parametrize("section", [Training, Lora, Evaluation, Generation, Computing, Limits])
def test_a_comment_is_the_description_of_the_settings(section: type[Section]):
    for name, field in section.model_fields.items():
        text = re.escape(field.description)
        line = re.search(rf"^#[ #]+{name}: (\S+) # {text}$", TEXT, re.MULTILINE)
        assert line, f"config.yaml should have a line `{name}: ... # {field.description}`"
        given = section.model_validate({name: yaml.safe_load(line[1])})
        assert getattr(given, name) == field.default


def test_the_comment_on_the_name_is_its_description():
    field = Settings.model_fields["name"]
    assert field.default is None
    assert f"\n# name: mine # {field.description}\n" in TEXT


def test_the_commented_data_set_is_valid_and_shows_all_options():
    [written] = commented("  mine:\n").values()
    dataset = Dataset.model_validate(written)
    assert dataset.checks == Checks()
    assert written["checks"].keys() == Checks.model_fields.keys()
    assert dataset.near == Dataset.model_fields["near"].default
    explained = {"files", "mirrors", "sha256"}  # in the text above it
    assert written.keys() | explained == Dataset.model_fields.keys()


@pytest.mark.parametrize("section", [ServerJudge, Transport])
def test_the_comment_on_judges_names_all_options(section: type[Section]):
    text = TEXT.partition("# Who scores the responses")[2]
    for name in section.model_fields:
        assert re.search(rf"\b{name}\b", text), name
