"""config.yaml and manifest.json of a comparison."""

import json

import pytest
import yaml

from workflow.lib.report.manifest import without_secrets, write_config, write_manifest
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.version import COMMAND, VERSION


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/a.json", "https://host/a.json"),
        ("https://host/a.json?download=true", "https://host/a.json?download=true"),
        ("https://me:word@host:81/a?b=c#d", "https://host:81/a?b=c#d"),
        ("https://host/a?token=x&b=c&X-Amz-Signature=y", "https://host/a?b=c"),
        ("file:///tmp/a", "file:///tmp/a"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address, shown):
    assert without_secrets(address) == shown


def test_the_config_can_be_read_again_and_holds_no_password(tmp_path):
    settings = {
        "name": "mine",
        "datasets": {"d": {"url": "https://me:word@host/a?sv=1"}},
        "n": 5e-5,
    }
    path = tmp_path / "config.yaml"
    write_config(settings, path)
    text = path.read_text("utf-8")
    assert yaml.safe_load(text) == settings | {"datasets": {"d": {"url": "https://host/a?sv=1"}}}
    assert f"#   snakemake --configfile {path} --cores 1\n" in text
    assert "# Passwords and keys in addresses are left out.\n" in text
    write_config({"n": 1}, path)
    assert "left out" not in path.read_text("utf-8")


def test_the_manifest_names_what_ran_and_every_file(case, tmp_path, monkeypatch):
    monkeypatch.setenv(COMMAND, "snakemake --config url=https://me:word@host/a")
    trainings = [folder / "training.json" for folder in case["folders"]]
    model = trainings[0].with_name("model.pth")
    model.write_bytes(b"weights")
    output = tmp_path / "manifest.json"
    write_manifest({"name": "mine"}, trainings, [case["summary"], output], output)
    model.unlink()
    manifest = json.loads(output.read_text("utf-8"))
    assert (manifest["name"], manifest["version"]) == ("mine", VERSION)
    assert manifest["command"] == "snakemake --config url=https://host/a"
    assert manifest["commit"] is None or len(manifest["commit"]) == 40
    assert [run["recipe"] for run in manifest["runs"]] == [f.name for f in case["folders"]]
    assert manifest["files"].keys() == {str(model), str(case["summary"])}
    assert manifest["files"][str(case["summary"])]["sha256"] == sha256_of(case["summary"])
