"""What one can take away of a finished comparison, asked for by its file."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.oracle import ChapterModel
from tests.support.project import SHAPE, one_error

VARIANT = "results/tiny-a/quick"
EXPORT = f"{VARIANT}/hf/model.safetensors"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The finished project with one variant exported, in both forms."""
    project = finished.copy(tmp_path_factory.mktemp("exported") / "project")
    outcome = project.run(EXPORT, f"{VARIANT}/tiny-a-sft.pth")
    assert outcome.code == 0, outcome.tail
    assert outcome.jobs == {"export tiny-a quick", "chapter_file tiny-a quick tiny-a"}
    return project


def test_both_exports_are_the_same_model(exported):
    folder = exported.path(f"{VARIANT}/hf")
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    chapters = ChapterModel(SHAPE.__dict__)
    chapters.load_state_dict(torch.load(exported.path(f"{VARIANT}/tiny-a-sft.pth")))
    ids = AutoTokenizer.from_pretrained(folder)("What is the capital?", return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(**ids).logits, chapters(ids["input_ids"]), atol=1e-4, rtol=1e-4
        )


def test_the_card_holds_the_scores_there_are(exported):
    card = exported.path(f"{VARIANT}/hf/README.md").read_text("utf-8")
    assert "| overlap | 8 of 8 |" in card
    assert "| server | 8 of 8 |" in card


def test_nothing_is_made_twice(exported):
    assert not exported.run(EXPORT, f"{VARIANT}/tiny-a-sft.pth").jobs


def test_other_scores_make_another_card_and_start_no_judge(exported, tmp_path):
    project = exported.copy(tmp_path / "project")
    project.path(f"{VARIANT}/server/scores.csv").unlink()
    outcome = project.run(EXPORT)
    assert outcome.jobs == {"export tiny-a quick"}, outcome.tail
    assert "server" not in project.path(f"{VARIANT}/hf/README.md").read_text("utf-8")


def test_another_name_than_the_chapters_is_refused(exported):
    line = one_error(exported.run(f"{VARIANT}/tiny_a-sft.pth"))
    assert line.endswith(f"the chapter's name for this file is {VARIANT}/tiny-a-sft.pth")


def test_a_finished_variant_can_be_talked_to(exported):
    """With what stands in the project's folder alone, before and after."""
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "chat", VARIANT, "--before", "--max-new-tokens=5"],
        cwd=exported.folder, input="Hello\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("> Hello\nbefore: ")
    assert "\nafter: " in done.stdout


def test_an_entry_can_be_looked_at(exported):
    done = subprocess.run(
        [sys.executable, "-m", "workflow", "show",
         "results/tokens/small-world/few/alpaca/val.npz", "0", "--variant", VARIANT],
        cwd=exported.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "'<|endoftext|>'" in done.stdout
