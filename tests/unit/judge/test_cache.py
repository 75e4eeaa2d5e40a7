"""The cache of replies: no reply is lost, whatever stopped the job."""

import errno
import json
import logging
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import ROOT
from workflow.lib.judge.cache import Reply, ReplyCache, request_key

REPLY = Reply("85\n“점수”", 50, 2, 0.25, "digest", "0.6.5")


def filled(path: Path, *keys: str) -> bytes:
    cache = ReplyCache(path)
    for key in keys:
        cache.add(key, REPLY)
    return path.read_bytes()


def test_a_reply_is_on_the_disk_at_once_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    assert filled(path, "one").endswith(b"\n")
    again = ReplyCache(path)
    assert again.get("one") == REPLY
    assert again.get("two") is None
    assert again.last() == REPLY


def test_what_is_there_is_never_written_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    before = filled(path, "one")
    assert filled(path, "two").startswith(before)


def test_cut_off_anywhere_the_whole_lines_are_kept_and_the_file_can_grow(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    content = filled(path, "one", "two", "three")
    lines = content.splitlines(keepends=True)
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        cache = ReplyCache(path)
        whole = content[:size].count(b"\n")
        found = [key for key in ("one", "two", "three") if cache.get(key)]
        assert found == ["one", "two", "three"][:whole]
        assert path.read_bytes() == b"".join(lines[:whole])
    cache.add("four", REPLY)
    assert ReplyCache(path).get("four") == REPLY


def test_a_damaged_line_costs_no_other_reply(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    path = tmp_path / "answers.jsonl"
    for damage in (b'{"some": "thing"}\n', b"\0\0\0\n", b"5\n", b"\n", b'{"key": "\xff"}\n'):
        path.unlink(missing_ok=True)
        path.write_bytes(filled(path, "one") + damage)
        filled(path, "three")
        cache = ReplyCache(path)
        assert cache.get("one") == cache.get("three") == REPLY
        assert caplog.messages[-1] == f"{path}: line 2 is damaged and left out"


@pytest.mark.parametrize(
    "odd",
    [
        {"reply": None},
        {"reply": 85},
        {"reply": ["85"]},
        {"reply": "\ud800"},
        {"key": 1},
        {"key": None},
        {"question_tokens": "50"},
        {"question_tokens": -1},
        {"question_tokens": 1.5},
        {"answer_tokens": [2]},
        {"answer_tokens": True},
        {"seconds": "fast"},
        {"seconds": None},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"digest": 365},
        {"server": {"version": "0.6.5"}},
        {"cut": "no"},
        {"cut": None},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_a_damaged_line(tmp_path: Path, caplog, odd) -> None:
    path = tmp_path / "answers.jsonl"
    record = json.loads(filled(path, "one"))
    path.write_text(json.dumps({**record, **odd}) + "\n")
    cache = ReplyCache(path)
    assert cache.last() is None
    assert caplog.messages == [f"{path}: line 1 is damaged and left out"]
    cache.add("one", REPLY)
    assert ReplyCache(path).get("one") == REPLY


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    before = filled(path, "one")
    cache = ReplyCache(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left") as full:
            cache.add("two", REPLY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert cache.get("two") is None


def test_replies_under_way_find_room_when_the_disk_fills_up(tmp_path: Path) -> None:
    """On a real file system of 200 kB, filled while three replies are under way."""
    child = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.judge.test_cache import REPLY\n"
        "from workflow.lib.judge.cache import ReplyCache\n"
        "folder = Path(sys.argv[1]); cache = ReplyCache(folder / 'answers.jsonl')\n"
        "with cache.room(3):\n"
        "    try: (folder / 'other').write_bytes(bytes(300_000))\n"
        "    except OSError: pass\n"
        "    for key in ('one', 'two', 'three'):\n"
        "        try: cache.add(key, REPLY)\n"
        "        except OSError as error: print(error.strerror)\n"
        "again = ReplyCache(folder / 'answers.jsonl')\n"
        "print(*(again.get(key) == REPLY for key in ('one', 'two', 'three')))\n"
        "print(sorted(path.name for path in folder.iterdir()))"
    )
    script = 'mount -t tmpfs -o size=200k none "$3" || exit 77; "$1" -c "$2" "$3"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*command, sys.executable, child, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets nobody mount a small file system")
    assert done.stdout.splitlines() == [
        "No space left on device",  # said once, which ends the job
        "True True True",
        "['answers.jsonl', 'other']",
    ]


def test_replies_from_many_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    cache = ReplyCache(path)
    long = replace(REPLY, text="x" * 20_000)
    threads = [Thread(target=cache.add, args=(str(n), long)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = ReplyCache(path)
    assert all(again.get(str(n)) == long for n in range(20))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_reply_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, reply) -> None:
    path = tmp_path_factory.mktemp("cache") / "answers.jsonl"
    ReplyCache(path).add("key", replace(REPLY, text=reply))
    ReplyCache(path).add("next", REPLY)
    again = ReplyCache(path)
    assert again.get("key") == replace(REPLY, text=reply)
    assert again.get("next") == REPLY


REQUEST = {
    "model": "llama3",
    "messages": [{"role": "user", "content": "How good?"}],
    "options": {"seed": 123, "temperature": 0},
    "format": None,
}
ARGUMENTS = {"backend": "ollama", "address": "u", "digest": "d", "request": REQUEST, "repeat": 0}


def test_all_that_changes_a_reply_changes_its_key() -> None:
    variants = [
        ARGUMENTS,
        {**ARGUMENTS, "backend": "openai"},
        {**ARGUMENTS, "address": "v"},
        {**ARGUMENTS, "digest": "e"},
        {**ARGUMENTS, "repeat": 1},
        {**ARGUMENTS, "request": {**REQUEST, "model": "phi3"}},
        {**ARGUMENTS, "request": {**REQUEST, "messages": []}},
        {**ARGUMENTS, "request": {**REQUEST, "options": {"seed": 124, "temperature": 0}}},
        {**ARGUMENTS, "request": {**REQUEST, "format": {"type": "object"}}},
    ]
    assert len({request_key(**variant) for variant in variants}) == len(variants)


def test_the_order_of_options_is_nothing_that_changes_a_reply() -> None:
    turned = json.loads(json.dumps(REQUEST))
    turned["options"] = dict(reversed(turned["options"].items()))
    assert request_key(**{**ARGUMENTS, "request": turned}) == request_key(**ARGUMENTS)


def test_keys_and_lines_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    """Version 0.1.0 wrote them: what was asked then is not asked again."""
    assert request_key(**ARGUMENTS) == (
        "e90bcd4afa4fd79a438ac59bde2425ab7e5b9728cedbf1faa1dc4665229b5dfb"
    )
    path = tmp_path / "answers.jsonl"
    line = (
        '{"key": "one", "reply": "Score: 4", "question_tokens": 50, "answer_tokens": 8, '
        '"seconds": 0.009, "digest": "365c", "server": "0.6.5"}\n'
    )
    path.write_text(line)
    assert ReplyCache(path).get("one") == Reply("Score: 4", 50, 8, 0.009, "365c", "0.6.5")
    path.unlink()
    ReplyCache(path).add("one", Reply("Score: 4", 50, 8, 0.009, "365c", "0.6.5"))
    assert path.read_text() == line
