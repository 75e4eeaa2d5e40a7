"""Downloads arrive whole and right or not at all, and go on where they stopped."""

import base64
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

import pytest

from tests.support.file_server import Fault, FileServer
from tests.support.paths import ROOT
from workflow.lib.data.download import transfer
from workflow.lib.data.download.fetch import fetch, fetch_file
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
    return store / server.url.removeprefix("http://") / f"{NAME}{suffix}"


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
    monkeypatch.setenv("http_proxy", "gopher://here")
    assert "proxy settings of the environment" in failure(server, target, store)


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
    assert kept[0].endswith(f"{NAME}.part")
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
