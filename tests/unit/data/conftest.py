"""Fixtures of the tests of data."""

import json

import pytest

from tests.support.entries import write
from workflow.lib.data.split import split_dataset
from workflow.lib.settings.sources import Selection


@pytest.fixture
def split(tmp_path):
    """A function that splits entries with settings and returns the content of the files made."""

    def split_entries(entries, suffix="json", **settings):
        source = write(tmp_path / f"data.{suffix}", entries)
        return split_files({"": source}, **settings)

    def split_files(sources, **settings):
        files = {name: tmp_path / f"made/{name}.json" for name in ("train", "val", "test")}
        files["origins"] = tmp_path / "made/origins.json"
        split_dataset(sources, Selection.model_validate(settings), "datasets.mine", **files)
        return {name: json.loads(path.read_text("utf-8")) for name, path in files.items()}

    split_entries.files = split_files
    return split_entries
