"""The small world can be made again: its rules run from nothing, here with little pretraining."""

from tests.support.paths import SMALL_WORLD
from tests.support.project import Project


def test_the_small_world_is_made_from_nothing(tmp_path):
    project = Project.create(tmp_path / "project", {})
    project.edit("workflow/small_world/Snakefile", '"tokens": 4_000_000', '"tokens": 20_000')
    outcome = project.run("all", "--snakefile", "workflow/small_world/Snakefile")
    assert outcome.code == 0, outcome.tail
    made = project.path("results/small-world")
    shipped = [path.relative_to(SMALL_WORLD) for path in SMALL_WORLD.rglob("*") if path.is_file()]
    assert len(shipped) == 15
    assert all((made / name).stat().st_size > 0 for name in shipped)
    for name in ("instruction-data.json", "nano-1M/encoder.json", "nano-1M/vocab.bpe"):
        assert (made / name).read_bytes() == (SMALL_WORLD / name).read_bytes(), name
