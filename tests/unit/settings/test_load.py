"""config.yaml is checked whole before anything runs, and its mistakes are said plainly."""

from copy import deepcopy

import pytest
import yaml
from snakemake.utils import update_config

from tests.support.paths import ROOT
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.names import choose
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.root import compared


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))


def mistakes(config) -> list[str]:
    with pytest.raises(UserError) as raised:
        load_settings(config)
    first, *lines = str(raised.value).splitlines()
    return [line.strip() for line in lines] or [first.removeprefix("config: ")]


def test_the_books_recipe_is_the_chapters(config):
    book = load_settings(config).recipes["book"]
    assert (book.dataset, book.prompt) == ("instruction-data", "alpaca")
    assert book.training.model_dump() == {
        "epochs": 2, "batch_size": 8, "learning_rate": 5e-5, "weight_decay": 0.1,
        "max_length": 1024, "mask_prompt": False, "drop_rate": 0.0, "seed": 123,
        # what the chapter does not have
        "gradient_accumulation": 1, "clip_norm": None, "warmup_steps": 0, "decay": "none",
        "keep": "last", "too_long": "truncate", "lora": None,
    }  # fmt: skip
    assert (book.evaluation.every, book.evaluation.batches) == (5, 5)
    assert (book.generation.max_new_tokens, book.generation.temperature) == (256, 0)
    split = load_settings(config).datasets["instruction-data"].split
    assert (split.train, split.test) == (0.85, 0.10)


def test_a_recipe_fills_in_what_it_extends_and_the_defaults(config):
    config["recipes"]["mine"] = {"extends": "small-world", "training": {"epochs": 3}}
    recipe = load_settings(config).recipes["mine"]
    assert recipe.training.epochs == 3
    assert recipe.training.learning_rate == float(
        config["recipes"]["small-world"]["training"]["learning_rate"]
    )
    assert recipe.training.batch_size == 8
    assert recipe.generation.max_new_tokens == 64


def test_defaults_of_a_config_hold_for_every_recipe_that_does_not_say_otherwise(config):
    config["recipes"]["defaults"] = {
        "prompt": "phi3",
        "training": {"batch_size": 4, "lora": {"rank": 8}},
        "generation": {"max_new_tokens": 32},
    }
    recipes = load_settings(config).recipes
    assert "defaults" not in recipes
    assert (recipes["book"].prompt, recipes["book-ko"].prompt) == ("phi3", "alpaca-ko")
    assert (recipes["book"].training.batch_size, recipes["book"].training.epochs) == (4, 2)
    assert recipes["small-world"].training.lora.model_dump() == {
        "rank": 8, "alpha": 16.0, "fan": "inputs",
    }  # fmt: skip
    assert recipes["book"].generation.max_new_tokens == 32
    assert recipes["small-world"].generation.max_new_tokens == 64


def test_an_exponent_that_yaml_reads_as_text_is_a_number(config):
    config["recipes"]["book"]["training"] = {"learning_rate": "5e-5"}
    assert load_settings(config).recipes["book"].training.learning_rate == 5e-5


@pytest.mark.parametrize("preset", sorted((ROOT / "workflow/presets").glob("*.yaml")))
def test_presets_fit_the_config(config, preset):
    """What a preset picks is what is compared, and what it defines is defined."""
    before, added = load_settings(config), yaml.safe_load(preset.read_text("utf-8"))
    update_config(config, added)  # as --configfile does
    settings = load_settings(config)
    assert settings != before
    for kind, names in added["compare"].items():
        assert [*getattr(settings.compare, kind)] == names
        assert [*compared(settings)[kind]][: len(names)] == names  # then those of baselines
    for name, recipe in added.get("recipes", {}).items():
        assert [settings.recipes[run].training.seed for run in settings.variants[name]] == recipe[
            "seeds"
        ]


EVERYTHING = {
    "name": "all-of-it",
    "compare": {"models": ["onward", "nano-1M"], "recipes": ["swept", "lora"], "judges": ["asked"]},
    "datasets": {
        "mine": {"files": {"train": "a.csv", "val": "b.csv", "test": "c.csv"}, "near": 90},
        "small-world": {"split": {"shuffle": 1}, "fields": {"kind": None}, "limit": 10},
    },
    "models": {"onward": {"url": "results/pico-650K/first", "tokenizer": "small-world"}},
    "recipes": {
        "first": {"extends": "small-world", "generation": {"temperature": 1}},
        "swept": {
            "extends": "small-world",
            "dataset": "mine",
            "seeds": [1, 2],
            "sweep": {"training.learning_rate": ["1e-4", 1], "training.mask_prompt": [True, False]},
        },
    },
    "judges": {
        "asked": {
            "backend": "openai", "model": "m", "options": {"seed": None, "top_p": 1},
            "prices": {"input": 1, "output": 2.5}, "transport": {"retries": 1},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("alone", [True, False])
def test_the_resolved_config_gives_the_same_settings_to_the_last_digit(config, alone):
    """Snakemake compares params as they are written, so 95 and 95.0 would run again."""
    own = deepcopy(config)
    update_config(own, EVERYTHING)
    resolved = compared(load_settings(own))
    again = {} if alone else deepcopy(config)
    update_config(again, yaml.safe_load(yaml.safe_dump(resolved, sort_keys=False)))
    loaded = load_settings(again)
    assert repr(compared(loaded)) == repr(resolved)
    assert "name" in resolved
    kept = [repr(loaded.recipes[run]) for runs in loaded.variants.values() for run in runs]
    assert kept == [
        repr(load_settings(own).recipes[run])
        for runs in load_settings(own).variants.values()
        for run in runs
    ]


def test_every_default_of_a_number_is_written_as_a_given_one_is(config):
    settings = load_settings(config)
    assert repr(settings.datasets["small-world"].near) == "95.0"


def test_every_published_size_is_defined_at_openais_address(config):
    models = load_settings(config).models
    for name, size in [("small", "124M"), ("medium", "355M"), ("large", "774M"), ("xl", "1558M")]:
        model = models[f"gpt2-{name}-{size}"]
        assert model.url == f"https://openaipublic.blob.core.windows.net/gpt-2/models/{size}"
        assert model.mirrors
        assert model.tokenizer == "gpt2"


def set_at(config, path, value):
    *sections, key = path.split("/")
    for name in sections:
        config = config[name]
    config[key] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("compare/models", ["nano-1m"], "models has no 'nano-1m'; did you mean nano-1M?"),
        ("compare/recipes", ["small-word"], "no 'small-word'; did you mean small-world?"),
        ("compare/judges", ["overlp"], "judges has no 'overlp'; did you mean overlap?"),
        ("compare/models", [], "compare.models: "),
        ("compare/model", ["x"], "compare.model: unknown key; did you mean models?"),
        ("devise", "cpu", "devise: unknown key; did you mean device?"),
        ("device", "gpu", "device: should be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"),
        ("datasets/small-world/sha265", "0" * 64, "sha265: unknown key; did you mean sha256?"),
        ("datasets/small-world/sha256", "abc", "datasets.small-world.sha256: "),
        ("datasets/small-world/split", {"train": 0.9, "test": 0.1}, "leaves no validation"),
        ("datasets/small-world/split", {"train": 1.5}, "less than 1, not 1.5"),
        ("datasets/small-world/url", 7, "should be a valid string, not 7"),
        ("datasets/a b", {"url": "x"}, "datasets.a b: names start with a letter or digit"),
        (
            "models/data",
            {"url": "x", "tokenizer": "gpt2"},
            "reserved for folders of results/: data",
        ),
        ("models/x", {"url": "x"}, "models.x.tokenizer: required, but missing"),
        ("models/x", {"url": "x", "tokenizer": "gtp2"}, "has no 'gtp2'; did you mean gpt2?"),
        ("recipes/book/extends", "bok", "recipes.book.extends: unknown recipe 'bok'"),
        ("recipes/book/extends", "book-ko", "goes round in a circle"),
        ("recipes/book/training", {"epocs": 2}, "training.epocs: unknown key; did you mean epochs"),
        (
            "recipes/book/training",
            {"epochs": "two"},
            "epochs: should be a valid integer, not 'two'",
        ),
        ("recipes/book/training", {"epochs": -1}, "greater than or equal to 0, not -1"),
        ("recipes/book/training", {"epochs": 1.5}, "should be a valid integer"),
        ("recipes/book/training", {"batch_size": 0}, "greater than or equal to 1, not 0"),
        ("recipes/book/training", {"learning_rate": "fast"}, "valid number"),
        ("recipes/book/training", {"learning_rate": 0}, "greater than 0, not 0"),
        ("recipes/book/training", {"mask_prompt": "yes"}, "valid boolean, not 'yes'"),
        ("recipes/book/training", {"lora": 16}, "recipes.book.training.lora: "),
        ("recipes/book/training", {"lora": {"rank": 0}}, "greater than or equal to 1, not 0"),
        ("recipes/book/training", {"lora": {"rnk": 8}}, "lora.rnk: unknown key; did you mean rank"),
        ("recipes/book/training", {"lora": {"alpha": -1}}, "lora.alpha: should be greater than 0"),
        ("recipes/book/training", {"lora": {"fan": "in"}}, "lora.fan: should be 'inputs' or 'rank"),
        ("recipes/book/training", 3, "recipes.book.training: "),
        ("recipes/book", None, "recipes.book: "),
        ("recipes", [], "recipes: "),
        (
            "judges/llama3/backend",
            "olama",
            "backend: unknown backend 'olama'; did you mean ollama?",
        ),
        ("judges/x", {"model": "m"}, "judges.x.backend: required, but missing"),
        ("judges/llama3/urll", "x", "judges.llama3.urll: unknown key; did you mean url?"),
        ("judges/llama3/transport", {"timeout": 0}, "transport.timeout: "),
        ("compare/models", ["nano-1M", "nano-1M"], "models: names nano-1M more than once"),
        ("recipes/defaults", 3, "recipes.defaults: should be a section of keys, not 3"),
        (
            "recipes/defaults",
            {"extends": "book"},
            "recipes.defaults.extends: is for single recipes",
        ),
        ("datasets/small-world/sha256", "ab", "sha256: should match pattern '^[0-9a-f]{64}$', not"),
        (
            "recipes/book/prompt",
            "",
            "recipes.book.prompt: should have at least 1 character, not ''",
        ),
        ("compare/models", [], "compare.models: should have at least 1 item, not []"),
        (
            "models/logs",
            {"url": "x", "tokenizer": "gpt2"},
            "models: these names are reserved for folders",
        ),
        ("recipes/book/extends", 5, "extends: should be a recipe's name, not 5"),
        ("recipes/book/extends", ["x"], "extends: should be a recipe's name, not ['x']"),
        ("models", {124: {"url": "x", "tokenizer": "gpt3"}}, "models.124"),
        ("recipes/book/training", {"clip_norm": True}, "clip_norm: should be a number, not True"),
        ("threads", 0, "threads: should be greater than or equal to 1, not 0"),
    ],
)
def test_a_mistake_is_one_line_with_its_path(config, path, value, said):
    set_at(config, path, value)
    found = mistakes(config)
    assert any(said in line for line in found), found
    assert not any("Traceback" in line or "pydantic" in line for line in found)


def test_all_mistakes_are_reported_at_once(config):
    config["devise"] = "cpu"
    config["compare"]["models"] = ["nona"]
    config["recipes"]["book"]["training"] = {"epocs": 2}
    assert len(mistakes(config)) == 3


def test_an_inherited_mistake_is_reported_once_where_it_stands(config):
    config["recipes"]["defaults"] = {"training": {"epocs": 2}}
    assert mistakes(config) == [
        "recipes.defaults.training.epocs: unknown key; did you mean epochs?"
    ]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="unknown model 'gpt2-smal'; did you mean gpt2-small-124M"):
        choose("model", "gpt2-smal", {"gpt2-small-124M": 1, "nano-1M": 2})


# (training, validation) before, after the named step; score: as printed for GPT-2 medium.
PUBLISHED = {
    "book": ((3.826, 3.762), 230, (0.299, 0.657), 50.32),
    "phi3": ((3.716, 3.644), 230, (0.424, 0.928), 48.87),
    "mask-prompt": ((2.281, 2.263), 230, (0.143, 0.727), 47.73),
    "alpaca-52k": ((3.368, 3.412), 22095, (0.761, 1.557), 48.16),
    "lora": (None, 230, (0.308, 0.652), 50.23),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_chapters_recipes_have_their_published_figures(config, name):
    initial, step, losses, score = PUBLISHED[name]
    published = load_settings(config).recipes[name].published
    assert (published.model, published.judge) == ("gpt2-medium-355M", "llama3")
    assert (published.initial_losses, published.losses[step]) == (initial, losses)
    assert published.score == score


def test_the_exercises_differ_from_the_chapter_in_one_thing_each(config):
    recipes = load_settings(config).recipes
    book = recipes["book"].model_dump(exclude={"published"})

    def changed(name):
        """Settings other than the book's, those of training by their own names."""
        own = recipes[name].model_dump(exclude={"published"})
        flat = [{**recipe, **recipe["training"]} for recipe in (own, book)]
        return {k: v for k, v in flat[0].items() if k != "training" and v != flat[1][k]}

    assert changed("book-untuned") == {"epochs": 0}
    assert changed("book-ko") == {"prompt": "alpaca-ko"}
    assert changed("phi3") == {"prompt": "phi3"}
    assert changed("mask-prompt") == {"mask_prompt": True}
    assert changed("alpaca-52k") == {"dataset": "alpaca-52k", "batch_size": 4, "max_length": 512}
    # alpha / rank is the 16 that the published solution multiplies by
    assert changed("lora") == {"lora": {"rank": 16, "alpha": 256.0, "fan": "rank"}}


def test_published_figures_are_not_inherited(config):
    config["recipes"]["mine"] = {"extends": "book", "training": {"learning_rate": 1e-4}}
    recipes = load_settings(config).recipes
    assert recipes["mine"].published is None
    assert recipes["book-untuned"].published is None
    assert recipes["phi3"].published.losses.keys() == {230}


def test_a_change_of_a_recipe_knows_whose_published_figures_to_show(config):
    """Those of the nearest recipe that says with which settings, by extension or before a sweep."""
    published = {"model": "nano-1M", "judge": "overlap", "source": "mine", "score": 1}
    config["recipes"] |= {
        "mine": {"extends": "phi3", "training": {"learning_rate": 1e-4}},
        "further": {"extends": "mine", "published": published},
        "furthest": {"extends": "further", "sweep": {"training.epochs": [1, 2]}},
        "seeds": {"extends": "book", "seeds": [1, 2]},
    }
    config["compare"]["recipes"] = ["book", "mine", "further", "furthest", "seeds", "small-world"]
    found = load_settings(config).recipes_compared()
    whose = {name: of["published"] and of["published"]["recipe"] for name, of in found.items()}
    assert whose == {
        "book": None, "mine": "phi3", "further": None, "furthest,epochs=1": "phi3",
        "furthest,epochs=2": "phi3", "seeds": "book", "small-world": None,
    }  # fmt: skip
    assert found["mine"]["published"]["score"] == 48.87
    assert found["further"]["published"]["score"] == 1
    assert found["small-world"]["published"] is None


@pytest.mark.parametrize("key", ["epochs", "training.epoch", "training", "judge", "entries.all"])
def test_published_settings_that_no_run_has_are_refused(config, key):
    config["recipes"]["book"]["published"]["settings"] = {key: 1}
    with pytest.raises(UserError, match=rf"recipes.book.published.settings: .*unknown key {key};"):
        load_settings(config)


def test_training_with_adapters_can_be_taken_back(config):
    config["recipes"]["full"] = {"extends": "lora", "training": {"lora": None}}
    config["recipes"]["wider"] = {"extends": "lora", "training": {"lora": {"rank": 32}}}
    recipes = load_settings(config).recipes
    assert recipes["full"].training.lora is None
    assert recipes["wider"].training.lora.model_dump() == {
        "rank": 32, "alpha": 256.0, "fan": "rank",
    }  # fmt: skip
