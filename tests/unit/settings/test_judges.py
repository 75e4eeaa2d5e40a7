"""The judges of config.yaml: mistakes are named, and only what changes answers reruns a judge."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from workflow.lib.judge.address import current_address
from workflow.lib.judge.identity import judge_identity
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import Judge, JudgeSettings
from workflow.lib.settings.load import load_settings

LLAMA3 = {"backend": "ollama", "model": "llama3"}
GPT_4 = {"backend": "openai", "model": "gpt-4"}


def read(judge: dict[str, Any]) -> JudgeSettings:
    return TypeAdapter(Judge).validate_python(judge)


def mistakes(judge: dict[str, Any]) -> str:
    config = {
        "compare": {"models": ["nano"], "recipes": ["book"], "judges": ["mine"]},
        "datasets": {"data": {"url": "data.json"}},
        "tokenizers": {"gpt2": {"url": "gpt2"}},
        "models": {"nano": {"url": "nano", "tokenizer": "gpt2"}},
        "recipes": {"book": {"dataset": "data"}},
        "judges": {"mine": judge},
    }
    with pytest.raises(UserError) as refusal:
        load_settings(config)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("judge", "mistake"),
    [
        (
            {"backend": "gpt"},
            "judges.mine.backend: unknown backend 'gpt'; there are: ollama, openai, overlap",
        ),
        ({"backend": "ollama"}, "judges.mine.model: required, but missing"),
        ({**LLAMA3, "prompts": "x"}, "judges.mine.prompts: unknown key; did you mean prompt?"),
        ({**GPT_4, "baseurl": "x"}, "judges.mine.baseurl: unknown key; did you mean base_url?"),
        ({**GPT_4, "prices": {"inputs": 1, "output": 2}}, "judges.mine.prices.input: required"),
        ({**LLAMA3, "repeats": 0}, "judges.mine.repeats: should be greater than or equal to 1"),
        (
            {**LLAMA3, "repeats": 3, "options": {"seed": 1.5}},
            "judges.mine: repeats above 1 need an integer options.seed",
        ),
        ({**LLAMA3, "max_unparsed": 2}, "judges.mine.max_unparsed: should be less than or equal"),
        ({**LLAMA3, "url": "localhost:11434"}, "judges.mine.url: should be an address such as"),
        (
            {**LLAMA3, "url": "http://localhost:11434/api/chat"},
            "judges.mine.url: should be http://localhost:11434, without /api/chat",
        ),
        (
            {**LLAMA3, "url": "http://localhost:11434/v1/"},
            "judges.mine.url: should be http://localhost:11434, without /v1",
        ),
        (
            {**GPT_4, "base_url": "https://host/v1/chat/completions"},
            "judges.mine.base_url: should be https://host/v1, without /chat/completions",
        ),
        (
            {**GPT_4, "base_url": "http://localhost:11434/api/chat"},
            "judges.mine.base_url: should be http://localhost:11434/v1, without /api/chat",
        ),
        ({**LLAMA3, "url": "http://localhost:99999"}, "judges.mine.url: Port out of range"),
        (
            {**GPT_4, "base_url": "https://me:secret@host/v1"},
            "judges.mine.base_url: should contain no user name or password",
        ),
        (
            {**GPT_4, "base_url": "https://host/v1/chat/completions?api-version=2024"},
            "judges.mine.base_url: should be https://host/v1?api-version=2024, without /chat",
        ),
        ({**LLAMA3, "url": "http://host:1?a=b"}, "judges.mine.url: should have no query"),
        ({**LLAMA3, "url": "http://host:1\n"}, "judges.mine.url: should be an address such as"),
        ({**LLAMA3, "url": "http://ho st"}, "judges.mine.url: should be an address such as"),
        ({**LLAMA3, "url": "http://host#a"}, "judges.mine.url: should be an address such as"),
        (
            {**GPT_4, "options": {"messages": "x", "seed": 1}},
            "judges.mine.options: should hold no messages: the pipeline itself sends that",
        ),
        ({**GPT_4, "options": {" Model": "x"}}, "judges.mine.options: should hold no  Model"),
        ({**GPT_4, "options": {"stream": True}}, "judges.mine.options: should hold no stream"),
        ({**GPT_4, "options": {"n": 2}}, "judges.mine.options: should hold no n:"),
        ({**LLAMA3, "options": {"truncate": True}}, "judges.mine.options: should hold no truncate"),
        ({**LLAMA3, "options": {"prompt": "x"}}, "judges.mine.options: should hold no prompt"),
        ({**LLAMA3, "options": {"think": True}}, "judges.mine.options: should hold no think"),
        ({**LLAMA3, "options": {"num_ctx": None}}, "judges.mine.options: should hold num_ctx"),
        ({**LLAMA3, "options": {"temperature": float("nan")}}, "judges.mine.options.temperature"),
        ({**LLAMA3, "options": {"temperature": float("inf")}}, "judges.mine.options.temperature"),
        ({**LLAMA3, "check": "never"}, "judges.mine.check: should be 'refuse' or 'warn'"),
        (
            {**GPT_4, "api_key_env": "sk-proj-1234"},
            "judges.mine.api_key_env: should be the name of an environment variable, not the key",
        ),
        (
            {**LLAMA3, "transport": {"concurency": 2}},
            "judges.mine.transport.concurency: unknown key; did you mean concurrency?",
        ),
        ({"backend": "overlap", "prompt": "integer"}, "judges.mine.prompt: unknown key"),
    ],
)
def test_each_mistake_is_named_with_its_place(judge: dict[str, Any], mistake: str) -> None:
    assert mistake in mistakes(judge)


def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    assert "1234" not in mistakes({**GPT_4, "api_key_env": "sk-proj-1234"})


def test_the_defaults_are_the_chapters() -> None:
    judge = read(LLAMA3)
    assert judge.url == "http://localhost:11434"
    assert judge.options == {"seed": 123, "temperature": 0, "num_ctx": 2048}
    assert judge.prompt == "integer"
    assert judge.repeats == 1
    assert judge.max_failed == 0


@pytest.mark.parametrize("judge", [LLAMA3, GPT_4])
@pytest.mark.parametrize(
    "change",
    [
        {"model": "phi3"},
        {"prompt": "integer-ko"},
        {"prompt": "rubric"},
        {"options": {"seed": 123, "temperature": 0.5}},
        {"repeats": 2},
    ],
)
def test_what_changes_answers_changes_the_identity(judge: dict, change: dict) -> None:
    assert judge_identity(read({**judge, **change})) != judge_identity(read(judge))


@pytest.mark.parametrize(
    ("judge", "change"),
    [
        (LLAMA3, {"transport": {"concurrency": 8, "timeout": 9.0, "retries": 0, "backoff": 5}}),
        (LLAMA3, {"pull": True}),
        (GPT_4, {"transport": {"first_timeout": 9.0}}),
        (GPT_4, {"api_key_env": "ANOTHER"}),
    ],
)
def test_what_changes_no_answer_does_not(judge: dict, change: dict) -> None:
    assert judge_identity(read({**judge, **change})) == judge_identity(read(judge))


def test_the_text_of_a_prompt_counts_but_not_its_comments(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    judge = read({**LLAMA3, "prompt": str(path)})
    text = "entry: alpaca\ntemplate: 'Is `{model_response}` to `{prompt}` as good as `{output}`?'\n"
    path.write_text(text)
    before = judge_identity(judge)
    path.write_text(f"# A comment.\n{text}")
    assert judge_identity(judge) == before
    path.write_text(text.replace("good", "nice"))
    assert judge_identity(judge) != before
    path.write_text(text.replace("alpaca", "alpaca-ko"))
    assert judge_identity(judge) != before


def test_the_overlap_judge_has_nothing_to_set() -> None:
    assert judge_identity(read({"backend": "overlap"})) == {"backend": "overlap"}


@pytest.mark.parametrize(
    ("judge", "key", "end"),
    [(LLAMA3, "url", ""), (GPT_4, "base_url", "/v1")],
    ids=["ollama", "openai"],
)
def test_an_address_may_stand_in_a_file(judge, key, end, tmp_path):
    """The judge stays the same when its server moves."""
    path = tmp_path / "server.txt"
    written = read({**judge, key: f"file:{path}"})
    identity = judge_identity(written)
    for address in (f"http://node7:11434{end}", f"https://node8.cluster:443{end}"):
        path.write_text(f"{address}\n")
        assert current_address(written) == address
        assert judge_identity(written) == identity
    assert current_address(read(judge)) == read(judge).address
    path.write_text("http://node7:11434/api/chat\n")
    right = f"should be http://node7:11434{end}, without /api/chat"
    with pytest.raises(
        UserError, match=re.escape(f"{path}: holds no address of a server ({right}")
    ):
        current_address(written)


def test_a_file_without_an_address_is_one_line(tmp_path):
    path = tmp_path / "server.txt"
    judge = read({**LLAMA3, "url": f"file:{path}"})
    with pytest.raises(
        UserError, match=r"server.txt does not exist.*sbatch .*judge-server\.sbatch"
    ):
        current_address(judge)
    path.write_text("soon")
    with pytest.raises(UserError, match=r"server.txt: holds no address of a server"):
        current_address(judge)
    assert "judges.mine.url: should be an address" in mistakes({**LLAMA3, "url": "file:"})
