"""How clients connect: what the environment says is used where it matters, or named."""

import os
from pathlib import Path

import certifi
import httpx
import pytest

from workflow.lib.runtime.connection import (
    client_options,
    is_loopback,
    plain_environment,
    read_key,
)
from workflow.lib.runtime.errors import UserError

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "address", "proxy"),
    [
        ("HTTPS_PROXY", "http://proxy:3128", "https://example.org/v1", "http://proxy:3128"),
        ("https_proxy", "proxy:3128", "https://example.org/v1", "http://proxy:3128"),
        ("ALL_PROXY", "http://a:b@proxy:1", "http://example.org", "http://a:b@proxy:1"),
        ("HTTPS_PROXY", "http://proxy:3128", "http://example.org", None),
        ("ALL_PROXY", "http://proxy:3128", "http://localhost:11434", None),
        ("ALL_PROXY", "socks5://proxy:1080", "http://127.0.0.1:11434", None),
        ("HTTP_PROXY", "what is this", "http://[::1]:11434", None),
        ("all_proxy", "socks5://proxy:1080", "http://127.9.9.9", None),
    ],
)
def test_the_proxy_of_an_address(monkeypatch, variable, value, address, proxy):
    monkeypatch.setenv(variable, value)
    options = client_options(address)
    assert options["proxy"] == proxy
    httpx.Client(**options).close()


def test_addresses_in_no_proxy_use_none(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert client_options("https://judge.example.org:8000/v1")["proxy"] is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("socks5://proxy:1080", "'socks5://proxy:1080', and a SOCKS proxy needs"),
        ("socks5h://me:secret@proxy:1080", "'socks5h://***@proxy:1080'"),
        ("socks4://proxy:1080", "'socks4://proxy:1080', which is no proxy"),
        ("http://proxy:99999", "'http://proxy:99999', which is no proxy"),
        ("http://proxy:port", "'http://proxy:port', which is no proxy"),
        ("http://", "'http://', which is no proxy"),
        ("http://[::1", "'http://[::1', which is no proxy"),
        ("“http://proxy:1”", "“http://proxy:1”"),
        ("http://proxy:1\\n", "which is no proxy"),
        ("ftp://secret:word@proxy", "'ftp://***@proxy', which is no proxy"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, variable, value, shown):
    monkeypatch.setenv(
        variable, value.encode().decode("unicode_escape") if "\\" in value else value
    )
    with pytest.raises(UserError) as refusal:
        client_options("https://example.org/v1")
    said = str(refusal.value)
    assert f"the environment variable {variable} is" in said
    assert shown in said
    assert "unset it, or add example.org to NO_PROXY" in said
    assert "secret" not in said
    assert "\n" not in said


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_vanished_are_named_where_they_matter(monkeypatch, tmp_path, variable):
    gone = str(tmp_path / "gone/cert.pem")
    monkeypatch.setenv(variable, gone)
    with pytest.raises(UserError) as refusal:
        client_options("https://example.org/v1")
    assert f"the environment variable {variable} ({gone!r}) names what cannot be read" in str(
        refusal.value
    )
    # The client's own certificates: a redirect to https is still checked.
    assert client_options("http://localhost:11434")["verify"] is True


@pytest.mark.parametrize("address", ["https://example.org/v1", "http://localhost:11434"])
def test_a_key_log_that_cannot_be_written_is_named(monkeypatch, tmp_path, address):
    path = str(tmp_path / "keys.log")
    monkeypatch.setenv("SSLKEYLOGFILE", path)
    client_options(address)
    monkeypatch.setenv("SSLKEYLOGFILE", f"{path}/gone")
    with pytest.raises(UserError, match=r"SSLKEYLOGFILE .* names a file that cannot be written"):
        client_options(address)


def test_a_file_that_holds_no_certificates_is_named(monkeypatch, tmp_path):
    path = tmp_path / "cert.pem"
    path.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(UserError, match=r"SSL_CERT_FILE .* names what cannot be read"):
        client_options("https://example.org/v1")


def test_certificates_of_the_environment_are_used(monkeypatch, tmp_path):
    path = tmp_path / "cert.pem"
    whole = Path(certifi.where()).read_text()
    path.write_text(whole[: whole.index("-----END CERTIFICATE-----") + 26])
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert len(client_options("https://example.org")["verify"].get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8", True),
        ("http://judge.localhost", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://localhost.example.org", False),
        ("http://192.168.0.1", False),
        ("http://node7", False),
    ],
)
def test_addresses_of_this_machine(address, local):
    assert is_loopback(address) == local


def test_the_environment_is_plain_for_a_while(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    monkeypatch.setenv("OTHER", "kept")
    with plain_environment("OTHER"):
        assert "ALL_PROXY" not in os.environ
        assert "OTHER" not in os.environ
    assert (os.environ["ALL_PROXY"], os.environ["OTHER"]) == ("socks5://proxy:1080", "kept")


def test_a_key_is_read_without_spaces_around_it(monkeypatch):
    monkeypatch.setenv("A_KEY", " sk-1\n")
    assert read_key("A_KEY") == "sk-1"
    monkeypatch.setenv("A_KEY", " ")
    assert read_key("A_KEY") is None
    monkeypatch.setenv("A_KEY", "sk-1\n2")
    with pytest.raises(UserError, match="character 5 of 6 is a U\\+000A"):
        read_key("A_KEY")
