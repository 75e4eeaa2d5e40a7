"""The checksums of files that torch wrote, read by several threads."""

import threading
from collections import defaultdict

import pytest
import torch

from workflow.lib.runtime import digests
from workflow.lib.runtime.errors import UserError


@pytest.fixture
def file(tmp_path):
    """A file of torch with parts of many sizes."""
    path = tmp_path / "model.pth"
    torch.save({str(n): torch.full((1 + n * n,), float(n)) for n in range(60)}, path)
    return path


def test_a_whole_file_is_never_called_damaged(file):
    """Python 3.12 and newer mix up what several threads read through one ZipFile."""
    for _ in range(50):
        digests.check_sums(file)


def test_no_thread_reads_through_the_zip_file_of_another(file, monkeypatch):
    used = defaultdict(set)

    class Watched(digests.ZipFile):
        def open(self, *arguments, **options):
            used[id(self)].add(threading.get_ident())
            kept.append(self)
            return super().open(*arguments, **options)

    kept: list[Watched] = []  # so that no identity is given twice
    monkeypatch.setattr(digests, "ZipFile", Watched)
    digests.check_sums(file)
    assert len(kept) >= 60  # every part was read
    assert all(len(threads) == 1 for threads in used.values())


@pytest.mark.parametrize("part", range(5, 60, 9))
def test_damage_in_any_part_is_noticed(file, part):
    content = bytearray(file.read_bytes())
    stored = torch.full((1 + part * part,), float(part)).numpy().tobytes()
    content[content.index(stored) + len(stored) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        digests.check_sums(file)
