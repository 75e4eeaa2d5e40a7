"""Published figures beside a run's own, and which settings are not the published ones."""

import json
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.report_case import write_run
from workflow.lib.report.published import published_beside_own, published_settings
from workflow.lib.report.settings import flat, unlike
from workflow.lib.report.variants import read_variants
from workflow.lib.settings.inheritance import overlay
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.root import compared


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("changes", "recipe", "differs"),
    [
        ({"book": {}}, "book", []),
        ({"phi3": {}}, "phi3", []),
        ({"mask-prompt": {}}, "mask-prompt", []),
        ({"alpaca-52k": {}}, "alpaca-52k", []),
        ({"lora": {}}, "lora", []),
        ({"book": {"training": {"epochs": 3}}}, "book", ["epochs 3 (published: 2)"]),
        ({"lora": {"training": {"lora": {"alpha": 16}}}}, "lora",
         ["lora.alpha 16.0 (published: 256)"]),
        ({"lora": {"training": {"lora": None}}}, "lora",
         ["lora.rank none (published: 16)", "lora.alpha none (published: 256)",
          "lora.fan none (published: rank)"]),
        ({"book": {"training": {"lora": {"rank": 4}}}}, "book",
         ["lora.rank 4 (published: none)", "lora.alpha 16.0 (published: none)",
          "lora.fan inputs (published: none)"]),
        ({"book": {"dataset": "alpaca-52k"}}, "book",
         ["dataset alpaca-52k (published: instruction-data)"]),
        ({"book": {"generation": {"max_new_tokens": 50}}}, "book",
         ["max_new_tokens 50 (published: 256)"]),
    ],
)  # fmt: skip
def test_what_differs_from_the_published_settings_is_known(config, changes, recipe, differs):
    """The shipped recipes have the published ones, and each change of one is found."""
    for name, change in changes.items():
        config["recipes"][name] = overlay([config["recipes"][name], change])
    config["compare"]["recipes"] = [recipe]
    found = load_settings(config).recipes_compared()[recipe]
    written = found["published"]["settings"]
    assert unlike(flat(found["settings"]), published_settings(written)) == differs


def test_a_saved_comparison_shows_what_its_recipes_extended(config):
    """It holds complete recipes, without those that they extend."""
    config["recipes"] |= {
        "mine": {"extends": "phi3", "training": {"epochs": 1}},
        "seeds": {"extends": "mine", "seeds": [1, 2]},
        "swept": {"extends": "lora", "sweep": {"training.epochs": [1, 2]}},
    }
    names = ["book", "mine", "seeds", "swept", "book-untuned"]
    config["compare"] |= {"recipes": names, "judges": ["llama3"], "models": ["gpt2-medium-355M"]}
    settings = load_settings(config)
    shown = settings.recipes_compared()
    whose = {name: of["published"]["recipe"] for name, of in shown.items()}
    assert whose == {
        "book": None, "mine": "phi3", "seeds": "phi3", "swept,epochs=1": "lora",
        "swept,epochs=2": "lora", "book-untuned": "book",
    }  # fmt: skip
    saved = yaml.safe_load(yaml.safe_dump(compared(settings)))
    again = load_settings(saved)
    assert again.recipes_compared() == shown
    assert compared(again) == compared(settings)
    assert load_settings(overlay([config, saved])).recipes_compared() == shown


def table_of(folder: Path, settings: dict, judges: dict, **training) -> list[str] | None:
    """What is said to differ for the case's second model, with changes of its training.json."""
    case = write_run(folder)
    path = case["folders"][2] / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | training))
    case["recipes"]["plain"]["published"]["settings"] = settings
    variants = read_variants(case["folders"], case["recipes"], case["judges"], case["summary"])
    entries = {"words": {"train": 100, "val": 10, "test": 30}}
    [table] = published_beside_own(variants, case["recipes"], judges, entries)
    return table.differs


def test_judge_precision_and_number_of_entries_are_compared_too(tmp_path):
    published = {
        "dataset": "words", "precision": "fp32", "entries.train": 935, "entries.test": 30,
        "judge.ask_again": 0, "judge.options.seed": 123,
    }  # fmt: skip
    judges = {"strict": {"ask_again": 1, "options": {"seed": 123}}}
    assert table_of(tmp_path / "a", published, judges, precision="bf16") == [
        "precision bf16 (published: fp32)",
        "entries.train 100 (published: 935)",
        "judge.ask_again 1 (published: 0)",
    ]
    same = published | {"entries.train": 100}
    judges["strict"]["ask_again"] = 0
    assert table_of(tmp_path / "b", same, judges, precision="fp32") == []
    assert table_of(tmp_path / "c", same, {}) == []  # did not judge; its scores are not shown
    assert table_of(tmp_path / "d", None, judges) is None
