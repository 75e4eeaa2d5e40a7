"""What servers, data sets and models write neither shows a key nor steers a terminal."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from workflow.lib.runtime import printable as module
from workflow.lib.runtime.log import log, rule_log
from workflow.lib.runtime.printable import (
    keep_secret,
    keep_secrets_of,
    printable,
    redacted,
    visible,
)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch):
    monkeypatch.setattr(module, "_secrets", {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("85\b\b99", r"85\x08\x0899"),
        ("good\rbad", r"good\rbad"),
        ("a\r\nb\n\tc", "a\r\nb\n\tc"),
        ("\x9b31m\x85\x00\x7f", r"\x9b31m\x85\x00\x7f"),
        ("safe\u202egpj.exe\u2066", r"safe\u202egpj.exe\u2066"),
        ("\u05d0\u200f \u0627 \u00e9 \u6c34 \U0001f469\u200d\U0001f680", None),
    ],
)
def test_control_characters_are_made_visible(text, shown):
    assert visible(text) == (shown or text)
    assert visible(visible(text)) == visible(text)


KEYS = ["sk-proj-abcDEF123", "p@ss w/ord+x=", "a\"b\\c'd&e<f>", "schl\u00fcssel-\u6c34",
        "100%-s\u00fcre"]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_left_out_however_it_is_escaped(key):
    keep_secret(key)
    forms = [
        key, key.upper(), quote(key), quote(key, safe=""), quote_plus(key), quote(key).lower(),
        json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1], repr(key)[1:-1],
        html.escape(key), key.replace("/", "\\/"), "".join(f"\\u{ord(c):04X}" for c in key),
        "".join(f"&#{ord(c)};" for c in key),
    ]  # fmt: skip
    for form in forms:
        assert redacted(f"Bearer {form}, twice {form}.") == "Bearer [key], twice [key].", form


@pytest.mark.parametrize("key", [None, "", "a", "sk", "85", "EMPTY", "none", "ollama"])
def test_what_is_no_key_is_left_alone(key):
    keep_secret(key)
    text = "a none ollama EMPTY sk 85"
    assert redacted(text) == text


def test_keys_are_left_out_of_whatever_is_written():
    keep_secret("Bearer sk-0123456789")
    record = {"model": "sk-0123456789", "n": 3, "x": [None, {"sk-0123456789": "ask-0123456789"}]}
    assert redacted(record) == {"model": "[key]", "n": 3, "x": [None, {"[key]": "a[key]"}]}


def test_the_keys_in_an_address_are_secrets():
    keep_secrets_of("https://me:s3cr3t%21x@host/v1?api-version=2024-10-21&api-key=abcdef123456")
    keep_secrets_of("http://[::1")
    text = "s3cr3t!x 2024-10-21 abcdef123456 me host"
    assert redacted(text) == "[key] 2024-10-21 [key] me host"


def test_a_megabyte_is_no_trouble():
    keep_secret("a" * 40)
    text = "a" * 39 + "\x1b" + "%61" * 300_000
    assert printable(text).endswith("[key]" + "%61" * (300_000 % 40))


def test_half_a_surrogate_pair_does_not_lose_a_line_of_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "propagate", False)  # pytest cannot send such a line on
    with rule_log(tmp_path / "a.log"):
        log.info("half \ud800")
    assert "half \\ud800" in (tmp_path / "a.log").read_text("utf-8")


def test_the_log_and_its_file_are_safe(tmp_path, capfd):
    keep_secret("sk-0123456789")
    path = tmp_path / "logs" / "judge" / "a.log"
    with pytest.raises(SystemExit), rule_log(path):
        log.info("the server says %s", "\x1b[31msk-0123456789\r")
        log.warning("\u202e")
        raise ValueError("sk-0123456789\x07")
    printed = capfd.readouterr().err
    for text in (printed, path.read_text("utf-8")):
        assert r"the server says \x1b[31m[key]\r" in text
        assert r"\u202e" in text
        assert r"ValueError: [key]\x07" in text
        assert "0123456789" not in text
