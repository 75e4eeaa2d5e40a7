"""Folders where files should be."""

import pytest

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.folders import check_results


@pytest.mark.parametrize("name", ["scores.csv", "small/book/model.pth", "logs/scores.log"])
def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, name):
    (tmp_path / "results" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{name} is a folder where a file should be; move it away"):
        check_results(tmp_path / "results", {"small", "book"})


def test_folders_of_models_and_recipes_may_have_any_name(tmp_path):
    (tmp_path / "results/a.json/b.csv/hf").mkdir(parents=True)
    check_results(tmp_path / "results", {"a.json", "b.csv"})
    check_results(tmp_path / "not there yet", set())
