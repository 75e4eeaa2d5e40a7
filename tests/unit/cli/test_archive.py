"""A comparison is packed if it is whole and holds no secret; the same files, the same bytes."""

import base64
import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml

from workflow.lib.cli.archive import main
from workflow.lib.runtime.digests import sha256_of
from workflow.lib.runtime.errors import UserError

VARIANT = "results/m/r"
FILES = {
    f"{VARIANT}/training.json": "{}",
    f"{VARIANT}/model.pth": "weights",
    f"{VARIANT}/responses.json": "[]",
    f"{VARIANT}/j/scores.csv": "entry\n",
    "results/comparisons/mine/report.html": "<p>",
}
BESIDE = {
    f"{VARIANT}/checkpoint.pt": "half",
    f"{VARIANT}/hf/model.safetensors": "weights",
    f"{VARIANT}/j/answers.jsonl": "{}\n",
    f"{VARIANT}/other/scores.csv": "entry\n",
    f"{VARIANT}/.sha256/training.json.sha256": "digest",
    "results/data/d/test.json": "[]",
    "results/comparisons/another/report.html": "<p>",
    "data/own.json": "[]",
    "data/base.pth": "weights",
}
SETTINGS = {
    "name": "mine",
    "compare": {"models": ["m"], "recipes": ["r"], "judges": ["j"]},
    "datasets": {"d": {"url": "data/own.json"}, "e": {"url": "/etc/hostname"}},
    "models": {"m": {"url": "data/base.pth"}},
}


def record(path: str, text: str) -> None:
    name = base64.urlsafe_b64encode(path.encode()).decode()
    Path(".snakemake/metadata").mkdir(parents=True, exist_ok=True)
    Path(".snakemake/metadata", name).write_text(text)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (FILES | BESIDE).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    folder = Path("results/comparisons/mine")
    files = {name: {"sha256": sha256_of(name)} for name in FILES}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    for path in (f"{VARIANT}/training.json", "results/other/r/training.json", "resources/d.json"):
        record(path, json.dumps({"params": ["https://host/data.json?download=true"]}))
    return tmp_path


def packed(*options: str) -> set[str]:
    main(["mine", *options])
    with tarfile.open("mine.tar.gz") as archive:
        assert [m.name for m in archive] == sorted(m.name for m in archive)
        assert {(m.uid, m.gid, m.uname, m.gname) for m in archive} == {(0, 0, "", "")}
        return {member.name.removeprefix("mine/") for member in archive}


def test_it_holds_what_repeats_the_comparison_and_no_more(capsys):
    names = packed()
    assert names >= {*FILES} - {f"{VARIANT}/model.pth"}
    assert names >= {
        "ARCHIVE.txt", "Snakefile", "config.yaml", "envs/lock.txt", "profiles/default/config.yaml",
        "workflow/lib/model/gpt.py", "workflow/resources/small-world/instruction-data.json",
        "results/comparisons/mine/config.yaml", "results/comparisons/mine/manifest.json",
        "results/data/d/test.json", "data/own.json", "data/base.pth", f"{VARIANT}/j/answers.jsonl",
        f"{VARIANT}/.sha256/training.json.sha256",
    }  # fmt: skip
    assert not {
        f"{VARIANT}/model.pth", f"{VARIANT}/checkpoint.pt", f"{VARIANT}/hf/model.safetensors",
        f"{VARIANT}/other/scores.csv", "results/comparisons/another/report.html",
    } & names  # fmt: skip
    records = {name for name in names if name.startswith(".snakemake/")}
    assert {base64.urlsafe_b64decode(Path(name).name).decode() for name in records} == {
        f"{VARIANT}/training.json", "resources/d.json",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "MB, without the models (--models adds them)" in said
    assert "absolute paths: /etc/hostname" in said


def test_the_models_are_added_on_demand():
    assert f"{VARIANT}/model.pth" in packed("--models")
    Path(VARIANT, "model.pth").unlink()
    with pytest.raises(UserError, match=r"model.pth: missing or changed"):
        packed("--models")
    packed()


def test_the_same_files_give_the_same_bytes_and_keep_their_times():
    os.utime("data/own.json", (1e9, 1e9))
    packed()
    first = Path("mine.tar.gz").read_bytes()
    packed()
    assert Path("mine.tar.gz").read_bytes() == first
    with tarfile.open("mine.tar.gz") as archive:
        assert archive.getmember("mine/data/own.json").mtime == 10**9


@pytest.mark.parametrize(
    "address", ["https://me:word@host/a.json", "https://host/a?token=abc123", "s3://host/?Sig=1"]
)
def test_a_secret_is_not_packed(address):
    record("resources/e.json", json.dumps({"params": [repr({"url": address})]}))
    with pytest.raises(UserError, match=r"address of resources/e.json holds a password or a key"):
        packed()
    assert not Path("mine.tar.gz").exists()


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", '{"files": []}', '{"files": null}', '{"files": {"results/a": 3}}',
     '{"files": {"results/a": {}}}', '{"files": {}}', "NaN"],
)  # fmt: skip
def test_a_damaged_manifest_is_one_line(content):
    Path("results/comparisons/mine/manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"^results/comparisons/mine/manifest.json: .*delete it"):
        packed()
    assert not Path("mine.tar.gz").exists()


def test_a_damaged_record_of_snakemake_is_one_line_and_other_files_are_passed_over():
    records = Path(".snakemake/metadata")
    (records / "no_record").write_bytes(b"\xff")
    assert ".snakemake/metadata/no_record" not in packed()
    for damaged in records.iterdir():
        damaged.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"^.snakemake/metadata/\w+=*: not UTF-8 .*; delete it"):
        packed()


@pytest.mark.parametrize("path", ["", "/etc/hostname", "results/../outside"])
def test_a_manifest_that_names_other_files_packs_none_of_them(path):
    Path("outside").write_text("mine")
    manifest = Path("results/comparisons/mine/manifest.json")
    content = json.loads(manifest.read_text())
    content["files"][path] = {"sha256": sha256_of(path or "outside")}
    manifest.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"names .*, no result; delete it and run again"):
        packed()


def test_nothing_but_an_earlier_archive_is_replaced():
    Path("notes.txt").write_text("mine")
    os.mkfifo("device")
    for output in ("notes.txt", "device"):
        with pytest.raises(UserError, match=rf"^{output}: is there and no archive"):
            packed("--output", output)
    assert Path("notes.txt").read_text() == "mine"
    assert not Path("device").is_file()


def test_what_is_changed_unfinished_or_running_is_refused():
    with pytest.raises(UserError, match=r"results: no finished comparison.*there are: mine"):
        main([])
    Path(VARIANT, "responses.json").write_text("[1]")
    with pytest.raises(UserError, match=r"responses.json: missing or changed since"):
        packed()
    Path(".snakemake/locks").mkdir()
    Path(".snakemake/locks/0.output.lock").touch()
    with pytest.raises(UserError, match="a run of Snakemake uses this folder"):
        packed()
