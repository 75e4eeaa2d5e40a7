"""Seeds and sweeps of recipes: what they make of a config, and what is refused."""

import pytest
import yaml

from tests.support.paths import ROOT
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.root import Settings, compared


def load(compare: dict | None = None, **recipes: dict) -> Settings:
    """Load config.yaml with further recipes, all of them compared."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["recipes"] |= recipes
    names = [name for name in recipes if name != "defaults"]
    config["compare"] = {**config["compare"], "recipes": names, **(compare or {})}
    return load_settings(config)


def test_seeds_make_runs_of_one_variant():
    settings = load(mine={"extends": "small-world", "seeds": [1, 7]})
    assert settings.variants == {"mine": ["mine,seed=1", "mine,seed=7"]}
    run = settings.recipes["mine,seed=7"]
    assert (run.training.seed, run.generation.seed, run.seeds) == (7, 7, None)
    own = settings.recipes["small-world"]
    assert run.training.model_copy(update={"seed": own.training.seed}) == own.training


def test_a_recipe_without_either_is_its_own_only_run():
    settings = load(mine={"extends": "small-world"})
    assert settings.variants == {"mine": ["mine"]}
    assert settings.recipes["mine"] == settings.recipes["small-world"]


def test_a_sweep_makes_a_variant_of_every_combination_each_with_its_seeds():
    settings = load(
        mine={
            "extends": "small-world",
            "seeds": [1, 2],
            "sweep": {"training.learning_rate": ["1e-4", 0.001], "prompt": ["alpaca", "phi3"]},
        }
    )
    assert {variant: len(runs) for variant, runs in settings.variants.items()} == {
        "mine,learning_rate=1e-4,prompt=alpaca": 2,
        "mine,learning_rate=1e-4,prompt=phi3": 2,
        "mine,learning_rate=0.001,prompt=alpaca": 2,
        "mine,learning_rate=0.001,prompt=phi3": 2,
    }
    run = settings.recipes["mine,learning_rate=1e-4,prompt=phi3,seed=2"]
    assert (run.training.learning_rate, run.prompt, run.training.seed) == (1e-4, "phi3", 2)
    assert run.sweep == {}


def test_keys_of_the_same_name_and_values_of_any_kind_have_readable_names():
    settings = load(
        mine={
            "extends": "small-world",
            "sweep": {
                "training.lora.rank": [4],
                "generation.top_k": [None, 5],
                "training.mask_prompt": [True],
                "prompt": ["styles/my own.yaml"],
            },
        }
    )
    assert [*settings.variants] == [
        "mine,rank=4,top_k=none,mask_prompt=true,prompt=my-own",
        "mine,rank=4,top_k=5,mask_prompt=true,prompt=my-own",
    ]


def test_what_no_seed_changes_is_run_once():
    untuned = {"extends": "small-world", "training": {"epochs": 0}}
    sampled = {**untuned, "generation": {"temperature": 0.7}}
    settings = load(defaults={"seeds": [1, 2]}, untuned=untuned, sampled=sampled)
    assert settings.variants == {
        "untuned": ["untuned"],
        "sampled": ["sampled,seed=1", "sampled,seed=2"],
    }


def test_seeds_are_inherited_and_sweeps_are_not():
    settings = load(
        first={
            "extends": "small-world",
            "seeds": [1, 2],
            "sweep": {"training.learning_rate": [1e-4]},
        },
        second={"extends": "first", "training": {"learning_rate": 2e-4}},
    )
    assert [*settings.variants] == ["first,learning_rate=0.0001", "second"]
    assert settings.variants["second"] == ["second,seed=1", "second,seed=2"]
    assert settings.recipes["second,seed=1"].training.learning_rate == 2e-4


def test_published_figures_go_with_seeds_but_not_with_a_sweep():
    settings = load(
        seeds={**book(), "seeds": [1]}, sweep={**book(), "sweep": {"training.batch_size": [4]}}
    )
    assert settings.recipes["seeds,seed=1"].published
    assert not settings.recipes["sweep,batch_size=4"].published


def book() -> dict:
    published = {"model": "nano-1M", "judge": "overlap", "source": "a test", "score": 5}
    return {"extends": "small-world", "published": published}


def test_the_config_that_repeats_the_run_has_the_recipes_as_written():
    settings = load(
        mine={
            "extends": "small-world",
            "seeds": [1, 2],
            "sweep": {"dataset": ["small-world", "instruction-data"]},
        }
    )
    config = compared(settings)
    assert [*config["recipes"]] == ["mine"]
    assert config["recipes"]["mine"]["seeds"] == [1, 2]
    assert {*config["datasets"]} == {"small-world", "instruction-data"}
    assert load_settings(config).variants == settings.variants


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        ({"seeds": [1, 1]}, "recipes.mine.seeds: names 1 more than once"),
        ({"seeds": []}, "recipes.mine.seeds: should have at least 1 item, not []"),
        ({"seeds": [-1]}, "recipes.mine.seeds.0: should be greater than or equal to 0, not -1"),
        ({"seeds": 3}, "recipes.mine.seeds: should be a valid list, not 3"),
        (
            {"sweep": {"training.learning_rat": [1]}},
            "recipes.mine.sweep: training.learning_rat: unknown key; did you mean learning_rate? "
            "(with training.learning_rat: 1)",
        ),
        (
            {"sweep": {"training.learning_rate": [1e-4, -1]}},
            "recipes.mine.sweep: training.learning_rate: should be greater than 0, not -1 "
            "(with training.learning_rate: -1)",
        ),
        (
            {"sweep": {"dataset": ["small-word"]}},
            "recipes.mine.sweep: datasets has no 'small-word'; did you mean small-world?",
        ),
        (
            {"sweep": {"prompt.x": [1]}},
            "recipes.mine.sweep: prompt.x: prompt is no section of keys",
        ),
        ({"sweep": {"gpus": [1, 2]}}, "recipes.mine.sweep: gpus cannot be swept"),
        (
            {"sweep": {"training.seed": [1, 2]}},
            "recipes.mine.sweep: training.seed cannot be swept; list the seeds in `seeds`",
        ),
        (
            {"sweep": {"prompt": ["a/x.yaml", "b/x.yaml"]}},
            "recipes.mine.sweep: two values make the same name, mine,prompt=x",
        ),
        (
            {"sweep": {"prompt": ["a/Mine.yaml", "a/mine.yaml"]}},
            "recipes.mine.sweep: two values make names that differ by case: mine,prompt=Mine, "
            "mine,prompt=mine",
        ),
        (
            {"sweep": {"training.learning_rate": ["5e-5", 5e-5]}},
            "recipes.mine.sweep: mine,learning_rate=5e-5 and mine,learning_rate=5e-05 are the same "
            "settings; keep one value",
        ),
        (
            {"seeds": [*range(201)]},
            "recipes.mine: sweep and seeds make 201 runs; compare.max_runs allows 200",
        ),
        (
            {"seeds": [*range(101)]},
            "compare: sweeps and seeds of mine make 202 runs with these models; compare.max_runs "
            "allows 200",
        ),
    ],
)
def test_a_mistake_is_one_line(recipe, line):
    with pytest.raises(UserError) as error:
        load(mine={"extends": "small-world", **recipe})
    assert str(error.value) == f"config: {line}"


def test_defaults_cannot_have_a_sweep():
    with pytest.raises(UserError, match=r"recipes.defaults.sweep: is for single recipes"):
        load(defaults={"sweep": {"prompt": ["phi3"]}}, mine={"extends": "small-world"})


def test_a_huge_product_is_refused_before_it_is_made():
    sweep = {f"training.key{n}": [*range(100)] for n in range(10)}
    with pytest.raises(UserError, match=f"make {100**10} runs"):
        load(mine={"extends": "small-world", "sweep": sweep})


def test_more_runs_are_allowed_on_request():
    recipe = {"extends": "small-world", "seeds": [*range(500)]}
    assert len(load({"max_runs": 1000}, mine=recipe).variants["mine"]) == 500
