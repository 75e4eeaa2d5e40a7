"""Judging by an OpenAI-compatible server, through OpenAI's own client and real sockets."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.judge_servers import (
    ENTRIES,
    FAST,
    JudgeServer,
    Reply,
    in_turn,
    judge_entries,
    ollama_server,
    openai_server,
    running,
)
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.preflight import check_judge
from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.runtime.connection import tls_problem
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import Transport

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with running(openai_server(key=KEY)) as server:
        yield server


def openai(server: JudgeServer, transport: dict[str, Any] | None = None, **settings: Any) -> OpenAI:
    defaults = {"model": "gpt-4", "base_url": f"{server.address}/v1", "api_key_env": "JUDGE_KEY"}
    patience = {**FAST, **(transport or {})}
    return OpenAI(backend="openai", **{**defaults, **settings}, transport=Transport(**patience))


def test_the_question_goes_out_with_options_and_key(server, tmp_path: Path) -> None:
    options = {"temperature": 0, "seed": 123, "max_tokens": 5, "top_k": 1}
    rows = judge_entries(tmp_path, openai(server, options=options), ENTRIES[:1])
    assert [row["score"] for row in rows] == ["85"]
    assert server.questions == [
        {
            "model": "gpt-4",
            "messages": [
                {"role": "user", "content": load_judge_prompt("integer").question(ENTRIES[0])}
            ],
            **options,
        }
    ]
    assert {headers["authorization"] for _, headers in server.requests} == {f"Bearer {KEY}"}


def test_tokens_and_cost_are_counted(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply("85", prompt_tokens=1000)
    prices = {"input": 30.0, "output": 60.0}
    judge_entries(tmp_path, openai(server, prices=prices))
    usage = json.loads((tmp_path / "usage.json").read_text())
    assert (usage["question_tokens"], usage["answer_tokens"]) == (4000, 8)
    assert (usage["digests"], usage["servers"]) == ([], ["gpt-4 fp_1"])
    assert usage["cost"] == pytest.approx(4000 * 30e-6 + 8 * 60e-6)
    judge_entries(tmp_path, openai(server))
    assert json.loads((tmp_path / "usage.json").read_text())["cost"] is None
    assert len(server.questions) == 4  # a price changes no answer


def test_the_key_is_written_nowhere(server, tmp_path: Path, log_lines) -> None:
    settings = openai(server, {"retries": 0}, max_failed=1, ask_again=0)
    server.behave = in_turn(
        Reply(status=400, error=f"cannot use {KEY} for this"), Reply(f"85, says {KEY}")
    )
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, settings)
    check_judge(settings, "gpt-4", tmp_path / "check.json")
    rows = judge_entries(tmp_path, settings.model_copy(update={"max_unparsed": 0.5}))
    assert rows[1]["reply"] == "85, says [key]"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len([path for path in files if path.parent == tmp_path]) == 5
    for path in files:
        assert KEY not in path.read_text("utf-8")
    assert KEY not in log_lines.text
    assert "cannot use [key] for this" in log_lines.text
    assert KEY not in str(refusal.value)


@pytest.mark.parametrize(
    "form",
    [KEY, KEY.upper(), f"Bearer {KEY}", KEY.replace("-", "%2D"), KEY.replace("-", "\\u002d")],
)
def test_a_key_that_a_server_repeats_is_written_nowhere(server, tmp_path, log_lines, form) -> None:
    """In a reply, in the name of a model, or at the place where an error is cut short."""
    server.models += [f"gpt-4 {form}"]
    check_judge(openai(server, model="gpt-5"), "gpt-5", tmp_path / "check.json")
    server.behave = lambda number, body: Reply(f"85, says {form}")
    judge_entries(tmp_path, openai(server, max_unparsed=1.0), ENTRIES[:1])
    server.behave = lambda number, body: Reply(status=400, error="x" * 270 + form)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path / "other", openai(server), ENTRIES[:1])
    written = [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    for text in (*written, log_lines.text, str(refusal.value)):
        assert "abcdefghij" not in text.lower()
    assert any("85, says " in text and "[key]" in text for text in written)


def test_without_a_key_the_variable_to_set_is_named(server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(UserError, match=r"environment variable JUDGE_KEY .* not set; export it"):
        check_judge(openai(server), "gpt-4", tmp_path / "check.json")


def test_a_wrong_key_is_refused_without_showing_it(server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-wrong-and-secret")
    with pytest.raises(UserError) as refusal:
        check_judge(openai(server), "gpt-4", tmp_path / "check.json")
    assert str(refusal.value).startswith(
        f"judge gpt-4: {server.address}/v1 refuses the key in $JUDGE_KEY (HTTP 401:"
    )
    assert "sk-wrong" not in str(refusal.value)
    assert refusal.value.__context__ is None or "sk-wrong" not in repr(refusal.value.__context__)


def test_servers_without_keys_need_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running(openai_server("local")) as local:
        settings = openai(local, api_key_env=None, model="local")
        judge_entries(tmp_path, settings)
        assert all(KEY not in str(headers) for _, headers in local.requests)


def test_a_ready_judge_is_recorded(server, tmp_path: Path) -> None:
    check_judge(openai(server), "gpt-4", tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text()) == {
        "judge": "gpt-4",
        "backend": "openai",
        "url": f"{server.address}/v1",
        "model": "gpt-4",
        "digest": None,
        "listed": True,
        "known": {
            "right": {"reply": '{"score": 100}', "score": 100, "cut": False},
            "wrong": {"reply": '{"score": 0}', "score": 0, "cut": False},
        },
    }
    assert not server.questions


def test_a_model_that_is_not_listed_is_asked_all_the_same(server, tmp_path, log_lines) -> None:
    """Gateways serve more than they list; whether it is there is for the question to show."""
    settings = openai(server, model="gpt4")
    check_judge(settings, "gpt-4", tmp_path / "check.json")
    warning = f"{server.address}/v1 does not list the model 'gpt4'; did you mean gpt-4?"
    assert warning in log_lines.messages
    error = "The model `gpt4` does not exist"
    server.behave_when_checked = lambda kind, body: Reply(status=404, error=error)
    with pytest.raises(UserError) as refusal:
        check_judge(settings, "gpt-4", tmp_path / "check.json")
    for part in ("HTTP 404: ", error, f"asked {server.address}/v1/chat/completions"):
        assert part in str(refusal.value)
    assert "/v1?" not in str(refusal.value)


def test_a_server_that_lists_no_models_is_asked_all_the_same(tmp_path: Path) -> None:
    with running(openai_server("unlisted")) as server:
        settings = openai(server, api_key_env=None)
        check_judge(settings, "gpt-4", tmp_path / "check.json")
        assert len(judge_entries(tmp_path, settings)) == 4


def test_without_a_server_the_address_is_named(tmp_path: Path) -> None:
    with running(openai_server()) as gone:
        pass
    with pytest.raises(UserError, match=rf"judge gpt-4: no server answers at {gone.address}/v1"):
        check_judge(openai(gone, api_key_env=None), "gpt-4", tmp_path / "check.json")
    with running(ollama_server()) as other:
        settings = openai(other, api_key_env=None, base_url=f"{other.address}/api")
        asked = (
            rf"HTTP 404: .*asked {other.address}/api/chat/completions; should base_url end in /v1"
        )
        with pytest.raises(UserError, match=asked):
            check_judge(settings, "gpt-4", tmp_path / "check.json")
        with pytest.raises(UserError, match=asked):
            judge_entries(tmp_path, settings)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Reply(status=429, error="Rate limit reached"), "HTTP 429: .*Rate limit reached"),
        (Reply(status=409), "HTTP 409"),
        (Reply(status=503, error="overloaded"), "HTTP 503: .*overloaded"),
        (Reply(drop_after=0), "connection failed"),
    ],
)
def test_failures_that_pass_are_asked_again_as_often_as_set(
    server, tmp_path: Path, flaw: Reply, reason: str
) -> None:
    server.behave = in_turn(flaw, flaw)
    judge_entries(tmp_path, openai(server, {"retries": 2}), ENTRIES[:1])
    assert len(server.questions) == 3
    server.behave = lambda number, body: flaw
    with pytest.raises(UserError, match=reason):
        judge_entries(tmp_path, openai(server, {"retries": 1}), ENTRIES[1:2])
    assert len(server.questions) == 3 + 2  # the client's own retries are off


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Reply("", done_reason="content_filter"), "content filter"),
        (Reply("", thinking="Hm."), "thought but gave no answer"),
        (Reply(status=400, error="bad"), "HTTP 400"),
    ],
)
def test_failures_that_stay_are_not_asked_again(
    server, tmp_path: Path, flaw: Reply, reason: str
) -> None:
    server.behave = in_turn(flaw)
    with pytest.raises(UserError, match=reason):
        judge_entries(tmp_path, openai(server))
    assert len(server.questions) == 4
    judge_entries(tmp_path, openai(server))
    assert len(server.questions) == 5


def test_a_reply_that_was_cut_off_stays_unread_and_is_not_asked_again(server, tmp_path) -> None:
    server.behave = in_turn(Reply("8", done_reason="length"))
    for _ in range(2):
        with pytest.raises(UserError, match=r"cut off; raise options\.max_tokens"):
            judge_entries(tmp_path, openai(server))
        assert len(server.questions) == 4
    assert [body["max_tokens"] for body in server.questions] == [1024] * 4


def test_a_server_that_takes_no_usual_limit_is_asked_without(server, tmp_path: Path) -> None:
    error = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.behave = lambda number, body: (
        Reply(status=400, error=error) if "max_tokens" in body else Reply()
    )
    judge_entries(tmp_path, openai(server))
    assert ["max_tokens" in body for body in server.questions] == [True] + [False] * 4
    judge_entries(tmp_path, openai(server, options={"max_completion_tokens": 9}), ENTRIES[:1])
    assert "max_tokens" not in server.questions[-1]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "85"}],
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Score: 10"}]},
            {"type": "text", "text": "8"},
            {"type": "text", "text": "5"},
        ],
    ],
)
def test_content_in_parts_is_joined_without_thoughts(server, tmp_path: Path, content) -> None:
    server.behave = lambda number, body: Reply(message={"role": "assistant", "content": content})
    assert judge_entries(tmp_path, openai(server), ENTRIES[:1])[0]["reply"] == "85"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "a reply without a message"),
        ({"role": "assistant", "content": None}, "an empty reply"),
        ({"role": "assistant", "content": ""}, "an empty reply"),
        ({"role": "assistant", "content": []}, "an empty reply"),
        ({"role": "assistant", "content": [None, 5, {"type": "text", "text": 5}]}, "an empty"),
        ({"role": "assistant", "content": {"text": "85"}}, "dict as its content"),
        ({"role": "assistant"}, "an empty reply|OpenAI's protocol"),
    ],
)
def test_a_reply_without_text_is_asked_again_and_never_kept(
    server, tmp_path: Path, message, reason: str
) -> None:
    server.behave = lambda number, body: Reply(message=message)
    with pytest.raises(UserError, match=reason):
        judge_entries(tmp_path, openai(server, {"retries": 1}), ENTRIES[:1])
    assert len(server.questions) == 2
    assert not (tmp_path / "answers.jsonl").exists()


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "thinking"])
def test_thoughts_are_no_reply_wherever_they_stand(server, tmp_path: Path, field: str) -> None:
    message = {"role": "assistant", "content": None, field: "I think 85 fits."}
    server.behave = lambda number, body: Reply(message=message)
    with pytest.raises(UserError, match="the model thought but gave no answer"):
        judge_entries(tmp_path, openai(server), ENTRIES[:1])
    assert len(server.questions) == 1


def test_a_refused_option_is_named_with_the_way_to_leave_it_out(server, tmp_path: Path) -> None:
    error = "Unsupported value: 'temperature' does not support 0 with this model."
    server.behave = lambda number, body: (
        Reply(status=400, error=error) if "temperature" in body else Reply()
    )
    with pytest.raises(UserError, match=r'set options: \{"seed": 123, "temperature": null\}'):
        judge_entries(tmp_path, openai(server), ENTRIES[:1])
    judge_entries(tmp_path, openai(server, options={"seed": 123}), ENTRIES[:1])


def test_a_query_in_the_address_is_part_of_every_call(server, tmp_path: Path) -> None:
    settings = openai(server, base_url=f"{server.address}/v1?api-version=2024-06-01")
    with pytest.raises(UserError, match="404"):  # this server knows no address with a query
        judge_entries(tmp_path, settings, ENTRIES[:1])
    asked = [path for path, _ in server.requests]
    assert asked == [
        "/v1/models?api-version=2024-06-01",
        "/v1/chat/completions?api-version=2024-06-01",
    ]
    assert {headers["api-key"] for _, headers in server.requests} == {KEY}  # as Azure wants it


def test_the_key_goes_to_no_other_host_on_a_redirect(server, tmp_path: Path) -> None:
    with running(openai_server()) as other:
        moved = (
            f"HTTP/1.1 307 Moved\r\nLocation: http://localhost:{other.server_port}/v1/models\r\n"
        )
        server.listing = Reply(raw=[f"{moved}Content-Length: 0\r\n\r\n".encode()])
        settings = openai(server, base_url=f"{server.address}/v1?api-version=1", check="warn")
        check_judge(settings, "gpt-4", tmp_path / "check.json")
        [(_, headers)] = other.requests
    assert KEY not in str(headers)


def test_a_gateway_that_lists_a_wildcard_is_not_refused(tmp_path: Path) -> None:
    with running(openai_server("*")) as server:
        check_judge(openai(server, api_key_env=None), "gpt-4", tmp_path / "check.json")


def test_retry_after_is_honored(server, tmp_path: Path) -> None:
    server.behave = in_turn(Reply(status=429, headers={"Retry-After": "0.4"}))
    started = time.monotonic()
    judge_entries(tmp_path, openai(server), ENTRIES[:1])
    assert time.monotonic() - started > 0.4


def test_the_first_reply_may_take_longer(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(delay=1.2)
    with pytest.raises(UserError, match=r"1 got no reply .* no reply within 0\.8 s"):
        judge_entries(tmp_path, openai(server, {"timeout": 0.8, "retries": 0}), ENTRIES[:2])


def test_the_rubric_is_asked_for_as_json_where_the_server_can(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply('{"reason": "Close.", "score": 4}')
    rows = judge_entries(tmp_path, openai(server, prompt="rubric"))
    assert [row["score"] for row in rows] == ["75"] * 4
    asked = server.questions[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == load_judge_prompt("rubric").format


def test_a_server_without_json_schemas_is_asked_without(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: (
        Reply(status=400, error="response_format is not supported")
        if "response_format" in body
        else Reply("Score: 4/5")
    )
    rows = judge_entries(tmp_path, openai(server, prompt="rubric"))
    assert [row["score"] for row in rows] == ["75"] * 4
    assert ["response_format" in body for body in server.questions] == [True] + [False] * 4


def test_a_listing_that_is_none_leaves_the_question_to_decide(server, tmp_path, log_lines) -> None:
    """A page for people, an error under status 200, names alone, an error status."""
    for listing, listed in (
        (Reply(raw=[PAGE]), False),
        (
            Reply(raw=[json_response({"error": "Unexpected endpoint or method. (GET /models)"})]),
            False,
        ),
        (Reply(raw=[json_response({"data": None})]), False),
        (Reply(raw=[json_response([{"id": "gpt-4"}])]), True),
        (Reply(raw=[json_response({"data": ["gpt-4", None, {}]})]), True),
        (Reply(raw=[b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"]), False),
        (Reply(raw=[b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]), False),
    ):
        server.listing = listing
        check_judge(openai(server), "gpt-4", tmp_path / "check.json")
        record = json.loads((tmp_path / "check.json").read_text())
        assert (record["listed"], record["known"]["right"]["score"]) == (listed, 100)
    assert f"{server.address}/v1 lists no models (" in log_lines.text


def json_response(content: Any) -> bytes:
    data = json.dumps(content).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return f"{head}\r\n".encode() + data


PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n"
    b"<!doctype html>\n<html>log in</html>\n\n"
)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (PAGE, "sent no reply but '<!doctype html> <html>log in</html>'"),
        (
            json_response({"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
            "Unexpected endpoint or method. (POST /chat/completions)",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
        (b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", "HTTP 405"),
    ],
    ids=["page", "LM Studio", "404", "405"],
)
def test_an_address_without_the_version_is_said_at_once(server, tmp_path, sent, said) -> None:
    server.behave_when_checked = lambda kind, body: Reply(raw=[sent])
    settings = openai(server, base_url=server.address)
    server.completions = "/chat/completions"
    with pytest.raises(UserError) as refusal:
        check_judge(settings, "gpt-4", tmp_path / "check.json")
    assert said in str(refusal.value)
    assert "; should base_url end in /v1?" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(server.known_questions) == 1
    server.completions = "/v1/chat/completions"
    with pytest.raises(UserError) as refusal:
        check_judge(openai(server), "gpt-4", tmp_path / "check.json")
    assert "/v1?" not in str(refusal.value)


@pytest.mark.parametrize("null", [{"temperature": None}, {"temperature": None, "max_tokens": None}])
def test_null_leaves_an_option_out(server, tmp_path: Path, null) -> None:
    judge_entries(tmp_path, openai(server, options={"seed": 1, **null}), ENTRIES[:1])
    sent = server.questions[0]
    assert sent["seed"] == 1
    assert not set(null) & set(sent)
    assert ("max_tokens" in sent) == (len(null) == 1)


def test_the_usual_limit_under_another_name_is_offered(server, tmp_path: Path) -> None:
    error = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.behave = lambda number, body: Reply(status=400, error=error)
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, openai(server, options={"max_tokens": 7}))
    said = str(refusal.value)
    assert "max_tokens is one of the judge's `options`" in said
    assert 'set options: {"max_tokens": null, "max_completion_tokens": 7}' in said
    assert len(server.questions) == 1  # every other request would be refused as well


def test_names_of_options_within_other_words_are_not_meant(server, tmp_path: Path) -> None:
    server.behave = lambda number, body: Reply(status=400, error="the temperatures of stops")
    options = {"temperature": 0, "stop": "x"}
    with pytest.raises(UserError) as refusal:
        judge_entries(tmp_path, openai(server, options=options), ENTRIES[:1])
    assert "set options" not in str(refusal.value)


@pytest.mark.parametrize("key", ["“sk-1234”", "sk-12\n34", "sk 1234", "'sk-1234'", "sk-ключ"])
@pytest.mark.parametrize("variable", ["JUDGE_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_a_key_that_no_request_can_carry_is_not_shown(server, monkeypatch, tmp_path, key, variable):
    monkeypatch.setenv(variable, key)
    with pytest.raises(UserError) as refusal:
        check_judge(openai(server), "gpt-4", tmp_path / "check.json")
    said = str(refusal.value)
    assert said.startswith(f"judge gpt-4: the environment variable {variable} holds no key: ")
    assert "1234" not in said
    assert "ключ" not in said


def test_a_key_with_spaces_around_it_is_taken(server, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    judge_entries(tmp_path, openai(server), ENTRIES[:1])


def test_a_server_without_tls_at_an_https_address_is_named(server, tmp_path: Path) -> None:
    address = server.address.replace("http:", "https:")
    with pytest.raises(UserError, match=rf"{address}/v1 does not speak TLS; .* begin with http://"):
        check_judge(openai(server, base_url=f"{address}/v1"), "gpt-4", tmp_path / "check.json")


def test_a_certificate_that_is_not_trusted_leads_to_the_variable_to_set() -> None:
    error = ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate in chain")
    assert "SSL_CERT_FILE" in (tls_problem("https://judge:1", error) or "")
    assert tls_problem("https://judge:1", ConnectionError("refused")) is None


def test_a_name_in_other_letters_is_suggested_first(tmp_path: Path, log_lines) -> None:
    with running(openai_server("gpt-5x", "GPT-5")) as server:
        check_judge(
            openai(server, api_key_env=None, model="gpt-5"), "gpt-5", tmp_path / "check.json"
        )
    assert "does not list the model 'gpt-5'; did you mean GPT-5?" in log_lines.text
