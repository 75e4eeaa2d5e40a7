"""The version stands in one place; what must repeat it agrees."""

import re

import yaml

from tests.support.paths import ROOT
from workflow.lib.runtime.version import VERSION


def test_it_is_that_of_the_newest_entry_of_the_changelog_and_of_the_citation():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version, date = re.search(r"^## \[(\d\S*)\] - (\S+)$", text, re.MULTILINE).groups()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert version == str(citation["version"]) == VERSION
    assert date == str(citation["date-released"])


def test_no_other_file_of_code_or_settings_repeats_it():
    files = [*(ROOT / "workflow").rglob("*.py"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    holding = {path.name for path in files if f'"{VERSION}"' in path.read_text("utf-8")}
    assert holding == {"version.py"}
