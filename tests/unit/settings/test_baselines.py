"""Baselines of pairwise judges: checked before anything runs, and paired by seed."""

from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from workflow.lib.cli.inputs import missing_inputs, used_by
from workflow.lib.judge.identity import judge_identity
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.baselines import baseline_run, runs_of
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.root import Settings, compared

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
PAIRS = {"backend": "overlap", "kind": "pairwise"}
LLAMA3 = {"backend": "ollama", "model": "llama3", "kind": "pairwise"}


ONWARD = {"url": "results/pico-650K/small-world", "tokenizer": "small-world"}


def load(judge: dict[str, Any], defined: dict[str, Any] | None = None, **compare: Any) -> Settings:
    return load_settings(
        {
            **CONFIG,
            "models": {**CONFIG["models"], "onward": ONWARD},
            "judges": {**CONFIG["judges"], "pairs": judge},
            "recipes": {**CONFIG["recipes"], **(defined or {})},
            "compare": {**CONFIG["compare"], "judges": ["overlap", "pairs"], **compare},
        }
    )


@pytest.mark.parametrize(
    ("judge", "mistake"),
    [
        (PAIRS, "judges.pairs: kind pairwise needs a `baseline`"),
        (
            {"backend": "overlap", "baseline": "book"},
            "judges.pairs: baseline is of judges with `kind: pairwise`",
        ),
        (
            {**PAIRS, "baseline": "reference"},
            "overlap compares with the reference, which nothing can surpass",
        ),
        (
            {**PAIRS, "baseline": "small-wurld"},
            "judges.pairs.baseline: recipes has no 'small-wurld'; did you mean small-world?",
        ),
        (
            {**PAIRS, "baseline": "nano/small-world"},
            "judges.pairs.baseline: models has no 'nano'; did you mean nano-1M?",
        ),
        (
            {**PAIRS, "baseline": "book"},
            "judges.pairs.baseline: book is tested on the data set instruction-data, and",
        ),
        ({**PAIRS, "baseline": ""}, "judges.pairs.baseline: should have at least 1 character"),
        ({**PAIRS, "kind": "pairs"}, "judges.pairs.kind: should be 'score' or 'pairwise'"),
    ],
)
def test_each_mistake_is_one_line(judge: dict[str, Any], mistake: str) -> None:
    with pytest.raises(UserError) as refusal:
        load(judge)
    assert mistake in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_baseline_with_a_sweep_names_one_of_its_variants() -> None:
    sweep = {"extends": "small-world", "sweep": {"training.epochs": [1, 2]}}
    with pytest.raises(UserError, match=r"swept has a sweep; name one variant.*swept,epochs=1"):
        load({**PAIRS, "baseline": "swept"}, {"swept": sweep})
    settings = load({**PAIRS, "baseline": "swept,epochs=2"}, {"swept": sweep})
    assert baseline_run(settings, "pairs", "nano-1M", "small-world") == (
        "nano-1M",
        "swept,epochs=2",
    )


def test_win_rates_alone_are_refused() -> None:
    with pytest.raises(UserError, match=r"compare.judges: names pairwise judges alone; add one"):
        load({**PAIRS, "baseline": "small-world-untuned"}, judges=["pairs"])


def test_reference_cannot_be_a_recipe_as_well() -> None:
    recipes = {"reference": {"extends": "small-world"}}
    with pytest.raises(UserError, match="reference is both the data set's own answers and a rec"):
        load({**LLAMA3, "baseline": "reference"}, recipes)


def test_a_recipe_is_of_the_same_model_unless_a_model_is_named() -> None:
    settings = load({**PAIRS, "baseline": "small-world-untuned"})
    assert baseline_run(settings, "pairs", "pico-650K", "small-world") == (
        "pico-650K",
        "small-world-untuned",
    )
    settings = load({**PAIRS, "baseline": "nano-1M/small-world"})
    assert baseline_run(settings, "pairs", "pico-650K", "small-world") == (
        "nano-1M",
        "small-world",
    )


def test_runs_are_paired_by_seed_or_with_the_first() -> None:
    seeded = {"several": {"extends": "small-world", "seeds": [1, 2]}}
    seeded |= {"base": {"extends": "small-world", "seeds": [2, 5, 1]}}
    settings = load({**PAIRS, "baseline": "base"}, seeded, recipes=["several", "small-world"])

    def base_of(run: str) -> str:
        found = baseline_run(settings, "pairs", "nano-1M", run)
        assert found
        return found[1]

    assert base_of("several,seed=1") == "base,seed=1"
    assert base_of("several,seed=2") == "base,seed=2"
    assert base_of("small-world") == "base,seed=2"  # its seed 3 is none of them: the first
    assert base_of("base,seed=5") == "base,seed=5"


def test_the_prompt_is_that_of_pairs() -> None:
    assert load({**LLAMA3, "baseline": "small-world"}).judges["pairs"].prompt == "pairs"
    assert load({**LLAMA3, "baseline": "reference"}).judges["pairs"].prompt == "pairs-free"
    settings = load({**LLAMA3, "baseline": "small-world", "prompt": "integer"})
    used = used_by(["results/nano-1M/small-world/pairs/wins.csv"], settings)
    [mistake] = missing_inputs(settings, used, CONFIG["recipes"], ROOT)
    assert mistake.keys == ("judges", "pairs", "prompt")
    assert "{response_a}" in mistake.problem


def test_a_baseline_is_among_what_a_run_uses_and_what_repeats_it() -> None:
    settings = load({**PAIRS, "baseline": "nano-1M/small-world-lora"}, models=["pico-650K"])
    used = used_by(["results/pico-650K/small-world/pairs/wins.csv"], settings)
    assert used["models"] == {"pico-650K", "nano-1M"}
    assert used["recipes"] == {"small-world", "small-world-lora"}
    again = compared(settings)
    assert {"pico-650K", "nano-1M"} == again["models"].keys()
    assert "small-world-lora" in again["recipes"]
    load_settings(again)


def test_what_the_model_of_a_baseline_starts_from_is_used_too() -> None:
    judge = {**PAIRS, "baseline": "onward/small-world-untuned"}
    settings = load(judge, models=["nano-1M"], recipes=["small-world-lora"])
    used = used_by(["results/scores.csv"], settings)
    assert used["models"] == {"nano-1M", "onward", "pico-650K"}
    assert used["recipes"] == {"small-world-lora", "small-world-untuned", "small-world"}
    again = load_settings(compared(settings))
    assert again.trained_first("onward") == ("pico-650K", "small-world")
    assert (
        runs_of(settings)
        == runs_of(again)
        == {
            ("nano-1M", "small-world-lora"),
            ("onward", "small-world-untuned"),
            ("pico-650K", "small-world"),
        }
    )


def test_a_judge_of_scores_keeps_its_identity() -> None:
    settings = load({**PAIRS, "baseline": "small-world"})
    assert judge_identity(settings.judges["overlap"]) == {"backend": "overlap"}
    assert judge_identity(settings.judges["pairs"]) == {
        "backend": "overlap",
        "kind": "pairwise",
        "baseline": "small-world",
    }
