"""Values kept in a file between runs."""

from workflow.lib.runtime import kept
from workflow.lib.runtime.kept import Kept


def test_values_are_there_in_the_next_run(tmp_path):
    first = Kept(tmp_path / "file", "1")
    assert first.get("a") is None
    first.add("a", [1, "x"])
    first.save()
    assert Kept(tmp_path / "file", "1").get("a") == [1, "x"]
    assert Kept(tmp_path / "file", "2").get("a") is None


def test_a_file_that_grows_large_keeps_what_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 2)
    first = Kept(tmp_path / "file", "1")
    for key in "ab":
        first.add(key, key)
    first.save()
    second = Kept(tmp_path / "file", "1")
    second.get("b"), second.get("c")
    second.add("c", "c")
    second.save()
    third = Kept(tmp_path / "file", "1")
    assert [third.get(key) for key in "abc"] == [None, "b", "c"]
