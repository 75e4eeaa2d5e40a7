"""Downloads arrive whole and right or not at all, and go on where they stopped."""

import base64
import contextlib
import errno
import hashlib
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from tests.support.file_server import Fault, FileServer
from tests.support.paths import ROOT
from workflow.lib.data.download import transfer
from workflow.lib.data.download.data_set import check_data_set
from workflow.lib.data.download.fetch import fetch, fetch_file
from workflow.lib.data.download.gpt2_files import check_gpt2_file
from workflow.lib.data.download.store import StoredFile
from workflow.lib.runtime.errors import UserError

DATA = random.Random(123).randbytes(300_000)
OTHER = random.Random(456).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = "model.ckpt"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Short waits, no proxy in between, and the log lines kept."""
    monkeypatch.setattr(transfer, "BACKOFF", 0.005)
    monkeypatch.setattr(transfer, "CONNECT_TIMEOUT", 2.0)
    monkeypatch.setattr(transfer, "STALL_TIMEOUT", 0.3)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.INFO, "pipeline")


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / NAME).write_bytes(DATA)
    with FileServer(tmp_path / "www") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "made" / NAME


def bring(server: FileServer | str, target: Path, store: Path, sha256=None, mirrors=()) -> None:
    url = server if isinstance(server, str) else f"{server.url}/{NAME}"
    fetch_file(url, mirrors, target, sha256=sha256, store=store, key="models.nano")


def failure(*args, **kwargs) -> str:
    """The one line that says why a file could not be had, when nothing is to be had."""
    with pytest.raises(UserError) as raised:
        bring(*args, **kwargs)
    message = str(raised.value)
    assert "\n" not in message
    return message


def slot(server: FileServer, store: Path, suffix: str = "") -> Path:
    path = StoredFile(f"{server.url}/{NAME}", store, NAME, None).path
    return path.with_name(path.name + suffix)


def ranges(server: FileServer) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def nothing_is_kept(server: FileServer, target: Path, store: Path) -> bool:
    left = [slot(server, store, suffix) for suffix in ("", ".part", ".part.json", ".record.json")]
    return not any(path.exists() for path in [target, *left]) and (
        not target.parent.exists() or not any(target.parent.iterdir())
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# What arrives


def test_a_file_arrives_whole_and_its_digest_is_recorded(server, target, store, caplog):
    server.faults[NAME] = Fault(azure_md5=True)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert target.samefile(slot(server, store)), "a link takes no second gigabyte"
    record = json.loads(slot(server, store, ".record.json").read_text())
    assert record["sha256"] == SHA256
    assert record["size"] == len(DATA)
    assert record["md5"] == hashlib.md5(DATA).hexdigest()
    assert record["url"] == f"{server.url}/{NAME}"
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert not slot(server, store, ".part").exists()
    assert not slot(server, store, ".part.json").exists()
    assert caplog.messages[0] == f"downloading {NAME} from {server.url}/{NAME}"
    assert re.fullmatch(rf"{NAME}: 0\.3 MB in \d+\.\d s", caplog.messages[1])


def test_several_files_of_a_folder_arrive_and_a_failing_one_costs_only_itself(
    server, tmp_path, store
):
    names = {name: tmp_path / "made" / name for name in ("a.json", "b.json", "c.json")}
    for name in ("a.json", "b.json"):
        (server.folder / name).write_text(name)
    arguments = {"sha256": {}, "store": store, "key": "models.nano"}
    with pytest.raises(UserError, match=r"could not get c\.json .*c\.json: 404 Not Found"):
        fetch(f"{server.url}/", [], names, **arguments)
    (server.folder / "c.json").write_text("c.json")
    shutil.rmtree(tmp_path / "made")  # as Snakemake does when a job fails
    fetch(f"{server.url}/", [], names, **arguments)
    assert [path.read_text() for path in names.values()] == list(names)
    assert [r.path for r in server.requests] == ["a.json", "b.json", "c.json", "c.json"]


def test_a_second_run_makes_no_request(server, target, store):
    bring(server, target, store)
    target.unlink()
    bring(server, target, store, sha256=SHA256)
    assert target.read_bytes() == DATA
    bring(server, target, store)
    assert len(server.requests) == 1


def test_a_target_put_in_place_again_is_new_and_leaves_other_targets_alone(server, target, store):
    bring(server, target, store)
    os.utime(target, (1, 1))
    other = target.with_name("other")
    bring(server, other, store)
    assert target.stat().st_mtime == 1
    assert other.stat().st_mtime > 1
    assert other.read_bytes() == DATA
    assert len(server.requests) == 1
    other.unlink()
    target.unlink()
    bring(server, target, store)
    assert target.stat().st_mtime > 1


def test_a_stored_file_that_changed_is_noticed_and_fetched_again(server, target, store):
    bring(server, target, store)
    target.write_bytes(OTHER)  # reaches the stored file too: same size, other bytes
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 2


def test_a_stored_file_outlives_a_mistyped_digest(server, target, store):
    bring(server, target, store)
    assert "sha256 is" in failure(server, target.with_name("new"), store, sha256="0" * 64)
    assert slot(server, store).read_bytes() == DATA
    bring(server, target, store, sha256=SHA256)
    assert len(server.requests) == 2


def test_a_copy_is_made_where_links_cannot_be(server, target, store, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert not target.samefile(slot(server, store))


def test_redirects_are_followed_and_proxies_of_the_environment_used(
    server, target, store, monkeypatch
):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    server.faults["old"] = Fault(redirect=f"http://moved.invalid/{NAME}")
    bring("http://files.invalid/old", target, store)
    assert target.read_bytes() == DATA
    assert [r.headers["Host"] for r in server.requests] == ["files.invalid", "moved.invalid"]


def test_secrets_of_an_address_are_sent_but_neither_shown_nor_stored(
    server, tmp_path, store, caplog
):
    address = server.url.replace("//", "//me:s3cr3t@") + "/?token=h1dd3n"
    names = {NAME: tmp_path / NAME}
    fetch(address, [], names, sha256={}, store=store, key="models.nano")
    assert base64.b64decode(server.requests[0].headers["Authorization"][6:]) == b"me:s3cr3t"
    with pytest.raises(UserError) as raised:
        fetch(address, [], {"none": tmp_path / "none"}, sha256={}, store=store, key="models.nano")
    stored = "".join(p.read_text() for p in store.rglob("*.json"))
    for text in (str(raised.value), caplog.text, str(list(store.rglob("*"))), stored):
        assert "s3cr3t" not in text
        assert "h1dd3n" not in text


# What goes on


def start_child(server: FileServer, target: Path, store: Path) -> subprocess.Popen:
    """Another process that downloads, with its log lines on stderr."""
    code = (
        "import logging, sys; from pathlib import Path;"
        "logging.basicConfig(level=logging.INFO, format='%(message)s');"
        "from workflow.lib.data.download.fetch import fetch_file;"
        "fetch_file(sys.argv[1], [], Path(sys.argv[2]), sha256=None, store=Path(sys.argv[3]),"
        " key='models.nano')"
    )
    command = [sys.executable, "-c", code, f"{server.url}/{NAME}", str(target), str(store)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in 10 s"
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_download_goes_on_with_what_is_missing(server, target, store, how):
    server.faults[NAME] = Fault(hold_after=[200_000])
    child = start_child(server, target, store)
    part = slot(server, store, ".part")
    # What is still in the process's buffer is lost with it: less than the 8 kB it holds.
    wait_until(lambda: part.exists() and part.stat().st_size > 190_000)
    child.send_signal(how)
    child.communicate()
    assert not target.exists()
    here = part.stat().st_size
    server.faults[NAME].released.set()
    server.faults[NAME] = Fault()
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, f"bytes={here}-"]


def test_two_processes_at_once_share_one_download(server, tmp_path, store):
    server.faults[NAME] = Fault(hold_after=[1000])
    first = start_child(server, tmp_path / "first", store)
    wait_until(lambda: server.requests)
    second = start_child(server, tmp_path / "second", store)
    assert "waiting for another process" in second.stderr.readline()
    server.faults[NAME].released.set()
    assert (first.wait(10), second.wait(10)) == (0, 0)
    for child in (first, second):
        child.stderr.close()
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_broken_connection_goes_on_where_it_broke(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000, 50_000])
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=150000-"]
    assert all("If-Range" in request.headers for request in server.requests[1:])


def test_progress_resets_the_count_of_tries(server, target, store):
    server.faults[NAME] = Fault(break_after=[20_000] * 3 * transfer.TRIES)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 15


def test_a_silent_server_is_given_up_and_asked_again(server, target, store, caplog):
    server.faults[NAME] = Fault(hold_after=[1000])
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=1000-"]
    assert f"{NAME}: no data for 0.3 s; try 1 of 5, next in 0 s" in caplog.messages


def test_a_server_that_stays_silent_is_given_up(server, target, store, monkeypatch):
    monkeypatch.setattr(transfer, "STALL_TIMEOUT", 0.05)
    server.faults[NAME] = Fault(hold_after=[0] * transfer.TRIES)
    assert "no data for 0.05 s" in failure(server, target, store)
    assert len(server.requests) == transfer.TRIES


def test_a_server_that_ignores_the_range_is_taken_from_the_start(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000], ignore_range=True)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_a_server_that_ignores_the_range_and_always_breaks_is_given_up(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000] * 50, ignore_range=True)
    assert "received 100000 bytes, expected 300000" in failure(server, target, store)
    assert len(server.requests) <= transfer.TRIES + 1


def test_a_server_that_sends_less_than_asked_is_asked_again(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000], longest_range=150_000)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=250000-"]


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_content_that_changes_between_tries_is_not_mixed(server, target, store, ignore_if_range):
    server.faults[NAME] = Fault(
        break_after=[100_000], becomes=OTHER, ignore_if_range=ignore_if_range
    )
    bring(server, target, store)
    assert target.read_bytes() == OTHER


def test_content_that_shrank_below_the_part_starts_over(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000], becomes=OTHER[:50], ignore_if_range=True)
    bring(server, target, store)
    assert target.read_bytes() == OTHER[:50]
    assert [request.status for request in server.requests] == [200, 416, 200]


def test_a_weak_etag_is_no_reason_to_go_on(server, target, store):
    server.faults[NAME] = Fault(
        break_after=[100_000], without={"Last-Modified"}, headers={"ETag": 'W/"1"'}
    )
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, None]


def test_a_pinned_digest_lets_a_file_without_etag_go_on(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000], without={"ETag", "Last-Modified"})
    bring(server, target, store, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_a_part_that_turns_out_wrong_is_fetched_once_more_in_one_piece(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000] + [0] * transfer.TRIES)
    failure(server, target, store)
    part = slot(server, store, ".part")
    part.write_bytes(bytes(part.stat().st_size))  # as a power cut may leave it
    server.faults[NAME] = Fault()
    bring(server, target, store, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert ranges(server)[-2:] == ["bytes=100000-", None]


def test_a_part_that_is_whole_is_accepted_without_a_request(server, target, store):
    bring(server, target, store)
    target.unlink()
    # As a kill leaves it after the last byte and before the file has its name.
    slot(server, store).rename(slot(server, store, ".part"))
    slot(server, store, ".part.json").write_text(json.dumps({"length": len(DATA)}))
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(server, target, store, status):
    server.faults[NAME] = Fault(statuses=[status] * (transfer.TRIES - 1))
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert len(server.requests) == transfer.TRIES


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honored(server, target, store, as_date):
    value = formatdate(time.time() + 1.5, usegmt=True) if as_date else "1"
    server.faults[NAME] = Fault(statuses=[503], headers={"Retry-After": value})
    started = time.monotonic()
    bring(server, target, store)
    assert time.monotonic() - started >= 0.4


def test_a_server_that_asks_for_too_long_a_wait_is_left_for_a_mirror(server, target, store):
    server.faults["busy"] = Fault(statuses=[429], headers={"Retry-After": "3600"})
    bring(f"{server.url}/busy", target, store, mirrors=[f"{server.url}/{NAME}"])
    assert target.read_bytes() == DATA
    assert transfer.LONGEST_RETRY_AFTER < 3600


# Where else


def test_mirrors_are_tried_in_order_and_a_part_is_not_mixed_with_theirs(server, target, store):
    (server.folder / "mirror").mkdir()
    (server.folder / "mirror" / NAME).write_bytes(OTHER)
    server.faults[NAME] = Fault(break_after=[1000] + [0] * transfer.TRIES)
    mirrors = [f"{server.url}/missing/{NAME}", f"{server.url}/mirror/{NAME}"]
    bring(server, target, store, mirrors=mirrors)
    assert target.read_bytes() == OTHER
    assert server.requests[-2].status == 404
    assert "Range" not in server.requests[-1].headers
    made = len(server.requests)
    target.unlink()
    bring(server, target, store, mirrors=mirrors)
    assert target.read_bytes() == OTHER
    assert len(server.requests) == made, "what a mirror gave is not asked for again either"


def test_a_wrong_digest_at_one_address_leads_to_the_next(server, target, store):
    (server.folder / "wrong").write_bytes(OTHER)
    bring(f"{server.url}/wrong", target, store, SHA256, mirrors=[f"{server.url}/{NAME}"])
    assert target.read_bytes() == DATA


def test_without_network_one_line_says_what_from_where_why_and_the_ways_on(target, store):
    url, mirror = (f"http://127.0.0.1:{free_port()}/{NAME}" for _ in range(2))
    message = failure(url, target, store, mirrors=[mirror])
    assert message.startswith(f"models.nano: could not get {NAME} ({url}: Connection refused; ")
    assert f"; {mirror}: Connection refused)" in message
    assert "set models.nano.url to a local copy" in message
    assert "add another address to models.nano.mirrors" in message
    assert "snakemake --cores 1 results/scores.csv" in message


def test_unusable_proxy_settings_are_said(server, target, store, monkeypatch):
    for variable in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "gopher://here")
    said = failure(f"http://example.org/{NAME}", target, store)
    assert "the environment variable http_proxy is 'gopher://here', which is no proxy" in said
    bring(f"{server.url}/{NAME}", target, store)  # on this machine, so without a proxy
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("address", ["http://[::1/x", "http://host:port/x"])
def test_an_invalid_address_is_said(target, store, address):
    assert failure(address, target, store).startswith("models.nano: not a valid address")


# What is refused


def test_a_page_instead_of_data_is_refused_and_the_part_kept(server, target, store):
    server.faults[NAME] = Fault(html=True)
    assert "HTML page instead of the data" in failure(server, target, store)
    assert nothing_is_kept(server, target, store)
    assert len(server.requests) == 1
    server.faults[NAME] = Fault(break_after=[100_000] + [0] * transfer.TRIES)
    failure(server, target, store)
    server.faults[NAME] = Fault(html=True)
    failure(server, target, store)
    server.faults[NAME] = Fault()
    bring(server, target, store)
    assert ranges(server)[-1] == "bytes=100000-"
    assert target.read_bytes() == DATA


def test_a_page_that_claims_to_be_data_is_refused(server, target, store):
    (server.folder / NAME).write_text("\ufeff \n<HTML lang='en'>", "utf-8")
    assert "HTML page instead of the data" in failure(server, target, store)
    assert nothing_is_kept(server, target, store)


def test_a_page_may_be_asked_for(server, target, store):
    server.faults[NAME] = Fault(html=True)
    page = target.with_name("page.html")
    bring(server, page, store)
    assert b"<html><body>Please log in" in page.read_bytes()


def test_a_wrong_digest_is_refused(server, target, store):
    message = failure(server, target, store, sha256="0" * 64)
    assert f"{server.url}/{NAME}: sha256 is {SHA256}, expected {'0' * 64}; nothing" in message
    assert nothing_is_kept(server, target, store)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["Content-MD5", "x-ms-blob-content-md5"])
def test_a_file_that_is_not_what_the_md5_header_says_is_refused(server, target, store, header):
    wrong = base64.b64encode(hashlib.md5(OTHER).digest()).decode()
    server.faults[NAME] = Fault(headers={header: wrong})
    expected = f"md5 is {hashlib.md5(DATA).hexdigest()}, expected {hashlib.md5(OTHER).hexdigest()}"
    assert expected in failure(server, target, store)
    assert nothing_is_kept(server, target, store)


def test_the_md5_of_a_range_is_not_taken_for_the_md5_of_the_file(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000], azure_md5=True)
    bring(server, target, store)
    assert ranges(server) == [None, "bytes=100000-"]
    assert target.read_bytes() == DATA


def test_a_file_shorter_than_announced_is_refused(server, target, store):
    server.faults[NAME] = Fault(headers={"Content-Length": str(len(DATA) + 10)})
    message = failure(server, target, store)
    assert "of 300010 bytes" in message or "expected 300010" in message or "shorter" in message
    assert not target.exists()
    assert not slot(server, store).exists()


def test_a_file_longer_than_announced_is_refused_if_a_digest_is_known(server, target, store):
    server.faults[NAME] = Fault(headers={"Content-Length": str(len(DATA) - 10)})
    assert "sha256 is" in failure(server, target, store, sha256=SHA256)
    assert nothing_is_kept(server, target, store)


def test_without_a_length_only_a_digest_can_tell_that_all_came(server, target, store):
    server.faults[NAME] = Fault(without={"Content-Length"})
    assert "does not say how long" in failure(server, target, store)
    assert nothing_is_kept(server, target, store)
    bring(server, target, store, sha256=SHA256)
    assert target.read_bytes() == DATA


def test_a_file_in_chunks_needs_no_length_and_goes_on(server, target, store):
    server.faults[NAME] = Fault(chunked=True, break_after=[100_000])
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_a_server_that_compresses_unasked_is_understood(server, target, store):
    server.faults[NAME] = Fault(packed=True, break_after=[100_000])
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, None], "half an archive cannot be continued"


def test_a_range_that_comes_compressed_is_not_appended(server, target, store):
    server.faults[NAME] = Fault(break_after=[100_000] + [0] * transfer.TRIES)
    failure(server, target, store)
    server.faults[NAME] = Fault(packed=True)
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert ranges(server)[-2:] == ["bytes=100000-", None]


def test_an_empty_file_is_refused(server, target, store):
    (server.folder / NAME).write_bytes(b"")
    assert "an empty file" in failure(server, target, store)
    assert nothing_is_kept(server, target, store)


# What is on this machine


def test_a_local_file_is_copied_not_linked(tmp_path, target, store, monkeypatch):
    (tmp_path / "mine").mkdir()
    source = tmp_path / "mine" / NAME
    source.write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    bring(f"mine/{NAME}", target, store, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert not target.samefile(source)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = {NAME: tmp_path / "again"}
    fetch("~/mine", [], names, sha256={}, store=store, key="models.nano")
    assert (tmp_path / "again").read_bytes() == DATA
    assert not store.exists()


def test_a_local_file_that_is_not_there_or_not_right_is_said(tmp_path, target, store):
    missing = failure(str(tmp_path / NAME), target, store)
    assert missing == (
        f"models.nano: could not copy {NAME} ({tmp_path / NAME}: there is no such file);"
        " correct models.nano.url"
    )
    assert "it is a folder" in failure(str(tmp_path), target, store)
    (tmp_path / NAME).write_bytes(OTHER)
    assert f"expected {SHA256}" in failure(str(tmp_path / NAME), target, store, sha256=SHA256)
    assert not any(target.parent.iterdir())


def test_a_local_mirror_comes_before_the_network(server, tmp_path, target, store):
    (tmp_path / NAME).write_bytes(DATA)
    bring(server, target, store, mirrors=[str(tmp_path / NAME)])
    assert target.read_bytes() == DATA
    assert not server.requests


# When the disk is full


def test_a_disk_that_is_too_small_is_said_before_anything_comes(server, target, store, monkeypatch):
    usage = namedtuple("usage", "free")(100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    message = failure(server, target, store)
    assert message.startswith(f"models.nano: no room for {NAME} in {store} (0.2 MB are missing")
    assert not slot(server, store, ".part").exists()


def test_a_disk_that_fills_up_keeps_what_has_arrived(server, target, store):
    """On a separate file system of 200 kB, with an unknown length."""
    server.faults[NAME] = Fault(chunked=True)
    store.mkdir()
    child = (
        "import sys; from pathlib import Path;"
        "from workflow.lib.data.download.fetch import fetch_file;"
        "from workflow.lib.runtime.errors import UserError\n"
        "try: fetch_file(sys.argv[1], [], Path(sys.argv[2]), sha256=None,"
        " store=Path(sys.argv[3]), key='models.nano')\n"
        "except UserError as error: print(error)"
    )
    script = (
        'mount -t tmpfs -o size=200k none "$5" || exit 77;'
        '"$1" -c "$2" "$3" "$4" "$5"; find "$5" -name "*.part" -size +0; du -k "$5" | tail -1'
    )
    arguments = [sys.executable, child, f"{server.url}/{NAME}", str(target), str(store)]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(command + arguments, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount a small file system")
    message, *kept = done.stdout.splitlines()
    assert message.startswith(f"models.nano: no room for {NAME} in {store} (No space left on")
    assert message.endswith("what has arrived is kept")
    assert kept[0] == str(slot(server, store, ".part"))
    assert not target.exists()


# What is said meanwhile


def test_a_large_file_says_how_far_it_is(server, target, store, monkeypatch, caplog):
    monkeypatch.setattr(transfer, "LARGE", 100_000)
    bring(server, target, store)
    said = [re.search(r"\((\d+)%\)", line) for line in caplog.messages]
    shares = [int(match[1]) for match in said if match]
    assert 3 <= len(shares) <= 10
    assert shares == sorted(shares)


def test_a_terminal_shows_a_bar_in_bytes(server, target, store, monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bring(server, target, store)
    assert f"{NAME}:" in capfd.readouterr().err


# What odd or hostile servers send


ODD = ["\u00e9\u20ac", "\x1b[2J", "9" * 6000, "-1", "nan", "inf", "1e999", "", " ", '"\u00ff"']


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    "header",
    ["ETag", "Last-Modified", "Content-MD5", "x-ms-blob-content-md5", "Content-Range",
     "Accept-Ranges", "Content-Type", "Set-Cookie"],
)  # fmt: skip
def test_no_header_is_an_obstacle(server, target, store, header, value):
    sent = value.replace("\u20ac", "?")  # http.server writes Latin-1
    server.faults[NAME] = Fault(headers={header: sent}, break_after=[100_000])
    bring(server, target, store)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("value", [*ODD, "Mon, 01 Jan " + "9" * 99 + " 00:00:00 GMT"])
def test_no_retry_after_is_an_obstacle(server, target, store, value):
    sent = value.replace("\u20ac", "?")
    server.faults[NAME] = Fault(statuses=[503], headers={"Retry-After": sent})
    if sent in ("inf", "1e999", "9" * 6000):
        assert "503 Service Unavailable, come back in inf s" in failure(server, target, store)
    else:
        bring(server, target, store)
        assert target.read_bytes() == DATA


@pytest.mark.parametrize("total", ["9" * 30, "9" * 6000, "-5", "\u00e9", "*", ""])
def test_a_range_of_an_impossible_file_is_no_obstacle(server, target, store, total):
    server.faults[NAME] = Fault(
        break_after=[100_000], headers={"Content-Range": f"bytes 100000-299999/{total}"}
    )
    bring(server, target, store)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "address",
    [
        "http://" + "a" * 64 + ".example/x.json",
        "http://" + "a" * 300 + "/x.json",
        "http://\u00e4" + "b" * 80 + ".de/x.json",
        "http://a..b/x.json",
        "http://../x.json",
        "http://xn--/x.json",
        "http://\u202e.de/x.json",
        "http://\udc80/x.json",
        "http://host.invalid/\udc80",
        "http:///x.json",
        "http://host.invalid/" + "a" * 70_000,
    ],
)
def test_an_impossible_host_is_one_line(target, store, address, monkeypatch):
    monkeypatch.setattr(transfer, "TRIES", 1)
    assert failure(address, target, store).startswith("models.nano: ")
    assert not any(path.is_file() and path.suffix != ".lock" for path in store.rglob("*"))


@pytest.mark.parametrize(
    "path", ["a" * 5000, "/".join(["a"] * 3000), "%C3%A4" * 200, "x.part", "../../../../x", "."]
)
def test_no_path_is_too_long_or_too_deep(server, target, store, path, monkeypatch):
    monkeypatch.setattr("workflow.lib.data.download.transfer.TRIES", 1)
    url = f"{server.url}/{path}"
    server.folder = _Everywhere(server.folder / NAME)
    bring(url, target, store)
    assert target.read_bytes() == DATA
    assert all(path.parent == store for path in store.rglob("*"))


class _Everywhere:
    """A folder in which every path is the same file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __truediv__(self, _: str) -> Path:
        return self.file


def test_an_address_may_be_a_folder_of_another(server, target, store):
    server.folder = _Everywhere(server.folder / NAME)
    for path in ("a", "a/b", "a/b/c", "a.part", "a.lock", "A", "a?b", "a.record.json"):
        bring(f"{server.url}/{path}", target.with_name(path.replace("/", "-")), store)
    assert len(server.requests) == len(list(target.parent.iterdir())) == 8


def test_files_of_version_0_2_are_not_downloaded_again(server, target, store):
    bring(server, target, store)
    target.unlink()
    earlier = store / server.url.removeprefix("http://") / NAME
    earlier.parent.mkdir()
    slot(server, store).rename(earlier)
    slot(server, store, ".record.json").rename(f"{earlier}.record.json")
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "facts",
    [
        '{"etag": "\\"\u00e9\\"", "length": 300000}',
        '{"etag": "\\"a\\r\\nX: y\\"", "length": 300000}',
        '{"etag": ["a"], "length": "300000", "last_modified": 5, "md5": "zz"}',
        '{"length": 1e400}', '{"length": true}', '{"length": -1}', '{"md5": null}', "[]",
        "3", "[[1]]",
        "{", "\x00", "[" * 100_000, '{"length": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_an_odd_description_of_a_part_is_no_obstacle(server, target, store, facts):
    server.faults[NAME] = Fault(break_after=[100_000] + [0] * transfer.TRIES)
    failure(server, target, store)
    slot(server, store, ".part.json").write_text(facts)
    bring(server, target, store)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("facts", ["[]", "{}", '{"sha256": 5}', "\x00", "[" * 100_000])
def test_an_odd_record_is_no_obstacle(server, target, store, facts):
    bring(server, target, store)
    slot(server, store, ".record.json").write_text(facts)
    target.unlink()
    bring(server, target, store)
    assert target.read_bytes() == DATA


def test_a_message_in_place_of_a_file_is_not_kept_for_ever(server, target, store):
    """A server once answered 200 with an error; the next run asks it again."""

    def check(path: Path) -> None:
        if path.read_bytes() != DATA:
            raise UserError(f"{path}: not what it should be")

    arguments = {"sha256": None, "store": store, "key": "datasets.mine", "check": check}
    (server.folder / NAME).write_text('{"error": "too busy"}')
    for _ in range(2):
        with pytest.raises(UserError, match=r"could not get .*: not what it should be"):
            fetch_file(f"{server.url}/{NAME}", [], target, **arguments)
        assert not target.exists()
    (server.folder / NAME).write_bytes(DATA)
    fetch_file(f"{server.url}/{NAME}", [], target, **arguments)
    assert target.read_bytes() == DATA
    target.unlink()
    fetch_file(f"{server.url}/{NAME}", [], target, **arguments)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".json", '{"error": "rate limit"}'),
        (".json", '[{"error": "rate limit"}]'),
        (".json", "Service unavailable"),
        (".json", "[]"),
        (".jsonl", '{"error": {"code": 429, "message": "slow down"}}\n'),
        (".jsonl", "try again"),
        (".csv", "Service unavailable\n"),
        (".csv", '{"error": "rate limit"}'),
        (".parquet", "Internal error"),
    ],
)
def test_a_message_is_no_data_set(tmp_path, suffix, message):
    path = tmp_path / f"data{suffix}"
    path.write_text(message)
    with pytest.raises(UserError):
        check_data_set(path)


def test_data_sets_pass_the_check():
    check_data_set(ROOT / "workflow/resources/small-world/instruction-data.json")


@pytest.mark.parametrize("message", ['{"error": "x"}', "busy", "", "[]", '{"a": {"code": 5}}'])
@pytest.mark.parametrize(
    "name",
    ["checkpoint", "encoder.json", "hparams.json", "model.ckpt.data-00000-of-00001",
     "model.ckpt.index", "vocab.bpe"],
)  # fmt: skip
def test_a_message_is_no_file_of_gpt2(tmp_path, name, message):
    check_gpt2_file(ROOT / "workflow/resources/small-world/nano-1M" / name)
    (tmp_path / name).write_text(message)
    with pytest.raises(UserError):
        check_gpt2_file(tmp_path / name)


# Time and size


def test_headers_that_drip_end_at_a_deadline(server, target, store, monkeypatch):
    monkeypatch.setattr(transfer, "SLOW_TIMEOUT", 0.3)
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.faults[NAME] = Fault(drip="headers")
    assert "no complete answer within 0.3 s" in failure(server, target, store)


@pytest.mark.parametrize("drip", ["body", "chunk size"])
def test_a_body_that_drips_is_given_up(server, target, store, monkeypatch, drip):
    monkeypatch.setattr(transfer, "SLOW_TIMEOUT", 0.3)
    monkeypatch.setattr(transfer, "TRIES", 2)
    server.faults[NAME] = Fault(drip=drip, chunked=drip != "body")
    assert "fewer than 6000 bytes in 0.3 s" in failure(server, target, store)
    assert len(server.requests) == 2, "bytes that drip are no progress"


def test_endless_headers_are_refused(server, target, store, monkeypatch):
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.faults[NAME] = Fault(headers={f"X-{n}": "x" * 60_000 for n in range(5)})
    assert failure(server, target, store).startswith("models.nano: could not get")


# What changes on the way


@pytest.mark.parametrize("end", [100, 290_000])
def test_a_compressed_body_cut_short_is_not_taken_as_whole(server, target, store, end):
    server.faults[NAME] = Fault(packed=True, packed_end=end)
    assert "the compressed body ends too early" in failure(server, target, store)
    assert not target.exists()
    server.faults[NAME] = Fault(packed=True)
    bring(server, target, store)
    assert target.read_bytes() == DATA


def test_a_damaged_compressed_body_is_refused(server, target, store):
    server.faults[NAME] = Fault(headers={"Content-Encoding": "gzip"})
    assert "the compressed body is damaged" in failure(server, target, store)
    server.faults[NAME] = Fault(headers={"Content-Encoding": "br"})
    assert "compressed as br, which was not asked for" in failure(server, target, store)


def test_an_unpinned_file_does_not_come_over_http_instead_of_https(target, store, monkeypatch):
    def answer(_, request):
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": f"http://{request.url.host}/plain"})
        asked.append(request.url)
        return httpx.Response(
            200, stream=httpx.ByteStream(DATA), headers={"Content-Length": str(len(DATA))}
        )

    asked = []
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    monkeypatch.setattr(transfer, "cut_off_if_slow", lambda *_: contextlib.nullcontext())
    message = failure("https://host.example/x", target, store)
    assert "the server redirects to http" in message
    assert not asked
    bring("https://host.example/x", target, store, sha256=SHA256)
    assert target.read_bytes() == DATA


# Kills, and other processes


def test_a_kill_while_a_file_is_put_in_place_is_no_obstacle(server, target, store, monkeypatch):
    """Between the link and its new name."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _killed_in_another_process)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                bring(server, target, store)
            os._exit(0)
        os.waitpid(child, 0)
    left = list(target.parent.iterdir())
    assert [path.suffix for path in left] == [".unfinished"]
    bring(server, target, store)
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]
    assert target.samefile(slot(server, store)), "what was left is no reason to copy"


def _killed_in_another_process(path: Path, other: Path) -> Path:
    if path.suffix == ".unfinished" and ".json" not in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace(path, other)  # noqa: PTH105
    return other


def test_local_copies_of_several_processes_do_not_get_in_each_others_way(tmp_path, target, store):
    source = tmp_path / NAME
    source.write_bytes(DATA * 20)
    children = []
    for _ in range(6):
        child = os.fork()
        if not child:
            try:
                for _ in range(10):
                    bring(str(source), target, store)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert target.read_bytes() == DATA * 20
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["fifo", "device", "long", "null", "nobody"])
def test_what_is_no_file_is_said(tmp_path, target, store, kind):
    os.mkfifo(tmp_path / "fifo")
    source = {"fifo": str(tmp_path / "fifo"), "device": "/dev/zero", "long": "a" * 5000,
              "null": "a\0b", "nobody": "~nobody-here/x"}[kind]  # fmt: skip
    assert failure(source, target, store).startswith(f"models.nano: could not copy {NAME} (")
