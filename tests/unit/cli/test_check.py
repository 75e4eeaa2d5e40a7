"""All that a run needs and that is not there is named at once, with the file that asks for it."""

import pytest

from workflow.lib.cli.check import main
from workflow.lib.runtime.errors import UserError

MISSING = """
compare: {models: [m], recipes: [r, q], judges: [j]}
datasets: {d: {url: none.json}, e: {files: {train: {url: /dev/zero}, val: a, test: e}, format: csv}}
models: {m: {url: no/model, tokenizer: t}}
tokenizers: {t: {url: nowhere}}
recipes: {r: {dataset: d, prompt: p/none.yaml}, q: {extends: r, dataset: e}}
judges: {j: {backend: ollama, model: x, prompt: rubrik}}
"""


def test_all_missing_inputs_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(MISSING)
    with pytest.raises(UserError) as raised:
        main(["mine.yaml"])
    lines = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert all(line.startswith("mine.yaml: ") for line in lines)
    for said in (
        "datasets.d.url: none.json: there is no such file",
        "datasets.e.files.train: /dev/zero: it is no ordinary file",
        "tokenizers.t.url: nowhere/vocab.bpe: there is no such file",
        "models.m.url: no/model: there is no such folder",
        "recipes.r.prompt: prompt style p/none.yaml: there is no such file",
        "judges.j.prompt: unknown judge prompt 'rubrik'; did you mean rubric?",
    ):
        assert f"mine.yaml: {said}" in lines
    assert not any("recipes.q" in line for line in lines)  # the prompt is inherited from r


def test_the_default_has_no_mistakes(capsys):
    main([])
    assert "no mistakes" in capsys.readouterr().out
