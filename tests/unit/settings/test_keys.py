"""Files in resources/ are kept by what they are, so that no two sources share them."""

import os
import re
import shutil

import pytest

from workflow.lib.runtime.digests import LARGE
from workflow.lib.settings.keys import key_of
from workflow.lib.settings.sources import Dataset, Model, Tokenizer

URL = "https://example.org/a/mine.json"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A local file, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.json"
    path.write_text("[1]")
    return path


def test_a_key_is_eight_digits_and_stays_the_same():
    """A changed key fetches, converts and trains everything again."""
    assert key_of([URL], sha256=None) == "e4328131"


@pytest.mark.parametrize(
    ("places", "names", "also"),
    [
        (["https://example.org/b/mine.json"], [""], {}),
        (["http://example.org/a/mine.json"], [""], {}),
        ([f"{URL}?v=2"], [""], {}),
        ([URL], ["vocab.json"], {}),
        ([URL], [""], {"sha256": "0" * 64}),
        (["mine.json"], [""], {}),
    ],
)
def test_another_source_has_another_key(mine, places, names, also):
    assert key_of(places, names, **also) != key_of([URL])


@pytest.mark.parametrize(
    "places",
    [
        [URL, "https://mirror.org/mine.json"],
        [URL, "mine.json"],
        ["https://me:secret@example.org/a/mine.json"],
        ["https://EXAMPLE.org/a/mine.json#top"],
    ],
)
def test_mirrors_and_passwords_do_not_count(mine, places):
    assert key_of(places) == key_of([URL])


def test_a_local_file_counts_by_its_content_wherever_it_lies(mine, tmp_path):
    key = key_of(["mine.json"])
    moved = tmp_path / "elsewhere/other.json"
    moved.parent.mkdir()
    shutil.copy(mine, moved)
    os.utime(moved, (1, 1))
    assert key_of([str(moved)]) == key_of(["./mine.json"]) == key
    mine.write_text("[2]")
    os.utime(mine, (1, 1))
    assert key_of(["mine.json"]) != key


def test_each_of_several_files_counts(tmp_path):
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / name).write_text(name)
    names = ["encoder.json", "vocab.bpe"]
    keys = {key_of([str(tmp_path)], names)}
    (tmp_path / "vocab.bpe").write_text("another")
    keys.add(key_of([str(tmp_path)], names))
    (tmp_path / "vocab.bpe").unlink()
    keys.add(key_of([str(tmp_path)], names))
    assert len(keys) == 3


def test_where_nothing_is_the_mirror_counts_that_is_used(mine):
    assert key_of(["gone.json", URL]) == key_of([URL])
    assert key_of(["gone.json", "mine.json"]) == key_of(["mine.json"])
    assert key_of(["gone.json"]) != key_of(["lost.json"])


def test_a_large_file_is_not_read_whole(tmp_path):
    """Its size, its time and samples count."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(LARGE)
    os.utime(large, (1, 1))
    keys = {key_of([str(large)])}
    with large.open("rb+") as file:
        file.seek(LARGE // 64 * 63)
        file.write(b"1")
    os.utime(large, (1, 1))
    keys.add(key_of([str(large)]))
    os.utime(large, (2, 2))
    keys.add(key_of([str(large)]))
    assert len(keys) == 3
    large.rename(tmp_path / "moved.bin")
    assert key_of([str(tmp_path / "moved.bin")]) in keys


def test_what_cannot_be_read_has_a_key_and_is_not_opened(tmp_path):
    """The job that copies it says what is wrong."""
    os.mkfifo(tmp_path / "fifo")
    for place in ("fifo", ".", "\0", "a" * 300):
        assert re.fullmatch("[0-9a-f]{8}", key_of([f"{tmp_path}/{place}"]))


@pytest.mark.parametrize(
    "url", ["https://[::1/x.json", "http://[zz]/x.json", "http://h:99999/x.json"]
)
def test_an_address_that_is_none_is_refused_before_it_needs_a_key(url):
    for definition, more in ((Dataset, {}), (Tokenizer, {}), (Model, {"tokenizer": "gpt2"})):
        with pytest.raises(ValueError, match="is no valid address"):
            definition(url=url, **more)
        with pytest.raises(ValueError, match="is no valid address"):
            definition(url="mine.json", mirrors=[url], **more)


def test_the_files_of_a_split_data_set_have_keys_of_their_own(mine):
    files = {"train": "mine.json", "val": URL, "test": f"{URL}?test"}
    kept = Dataset.model_validate({"files": files}).raw("x")
    assert kept == {
        part: f"resources/datasets/x/{part}-{key_of([url], sha256=None)}.json"
        for part, url in files.items()
    }
