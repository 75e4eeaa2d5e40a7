"""Looking for the files of a run takes no longer because many recipes name the same ones."""

from pathlib import Path

import yaml

from tests.support.paths import ROOT
from workflow.lib.cli import inputs
from workflow.lib.settings.load import load_settings
from workflow.lib.tokens.prompt_style import load_style


def test_a_prompt_style_is_read_once_for_all_recipes(monkeypatch, tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    missing = str(tmp_path / "none.yaml")
    for number in range(300):
        prompt = {"prompt": missing} if number % 2 else {}
        config["recipes"][f"many-{number}"] = {"extends": "small-world", **prompt}
    config["compare"]["recipes"] = [name for name in config["recipes"] if "many" in name]
    settings = load_settings(config)
    read = []
    monkeypatch.setattr(inputs, "load_style", lambda name: read.append(name) or load_style(name))
    used = inputs.used_by(["all"], settings)
    found = inputs.missing_inputs(settings, used, config["recipes"], Path(ROOT))
    named = {mistake.keys[1] for mistake in found if mistake.keys[0] == "recipes"}
    assert named == {f"many-{number}" for number in range(1, 300, 2)}
    assert sorted(read) == sorted(["alpaca", missing])
