"""An entry as the model sees it agrees with what training computes its loss on."""

import json
import shutil
from ast import literal_eval

import pytest

from tests.support.finished_variant import ENTRIES, make_project
from tests.support.models import random_model
from tests.support.oracle import finetune_textbook
from tests.support.paths import NANO
from tests.support.training_case import BYTES, CONFIG, TRAINING, random_split, write_split
from workflow.lib.cli.program import run_program
from workflow.lib.cli.show import main, shown_tokens
from workflow.lib.cli.show_batch import ALL, batch_lines, first_epoch
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.collate import IGNORE_INDEX, collate
from workflow.lib.tokens.dataset import load_tokens
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer(NANO)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    return folder


@pytest.fixture
def show(project, capsys):
    """Run the program: exit status and what it said."""

    def run(*arguments):
        try:
            run_program(lambda: main([*map(str, arguments)]))
        except SystemExit as stop:
            out, err = capsys.readouterr()
            said = stop.code if isinstance(stop.code, str) else err.rstrip("\n")
            assert (out, said.count("\n")) == ("", 0)
            return 1, said
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def tokens(project):
    return project / "results/tokens/words/few/alpaca/train.npz"


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("max_length", [1, 20, 50, 1024])
def test_fates_are_those_of_the_batch(tokens, mask_prompt, max_length):
    split = load_tokens(tokens)
    for number, sequence in enumerate(split.sequences):
        shown = shown_tokens(
            split, number, TOKENIZER, max_length=max_length, mask_prompt=mask_prompt
        )
        starts = split.response_starts[[number]] if mask_prompt else None
        _, [targets] = collate([sequence], TOKENIZER.eot_token, max_length, starts)
        learned = [token.token for token in shown if token.fate == "learned"]
        assert learned == [t for t in targets.tolist() if t != IGNORE_INDEX]
        kept = [token.token for token in shown if token.fate != "cut"]
        assert kept == [*sequence, TOKENIZER.eot_token][: max_length + 1]
        assert [token.token for token in shown] == [*sequence, TOKENIZER.eot_token]


@pytest.mark.parametrize("number", [0, 1])
def test_the_text_is_the_entrys(tokens, number):
    style, entry = load_style("alpaca"), ENTRIES[number]
    shown = shown_tokens(load_tokens(tokens), number, TOKENIZER, max_length=1024, mask_prompt=True)
    answer = "".join(token.text for token in shown if token.fate == "learned")
    assert shown[-1].text == "<|endoftext|>"
    if number == 0:
        assert answer == style.completion(entry) + "<|endoftext|>"
    else:  # a rocket of several tokens, none of which is a character
        assert r"\xf0" in answer
        assert answer.startswith("\n\n### Response:\nOccasion")


def test_marks_stand_in_for_colors_elsewhere(show, tokens):
    code, text = show(tokens, 0, "--mask-prompt")
    lines = text.splitlines()
    assert code == 0
    assert "\x1b" not in text
    assert sum(line.startswith("+ ") for line in lines) == int(
        lines[-1].split(": ")[1].partition(" learned")[0]
    )
    assert "'<|endoftext|>'" in lines[-2]


def test_a_cut_is_shown_where_it_is(show, tokens):
    _, text = show(tokens, 0, "--max-length", 10)
    places = {mark: [int(line.split()[2]) for line in text.splitlines() if line.startswith(mark)]
              for mark in "+x"}  # fmt: skip
    assert places["+"] == list(range(1, 11))
    assert places["x"][0] == 11
    assert text.splitlines()[-1] == "cut after place 10; the end of the text is not learned"


def test_a_variant_says_what_it_learned_from(show, tokens, project):
    """Its record masks prompts; its model sees 64 positions."""
    assert show(tokens, 1, "--variant", project / "results/tiny/quick") == show(
        tokens, 1, "--mask-prompt", "--max-length", 64
    )


def test_mistakes_are_one_line(show, tokens, project):
    for arguments, said in (
        ([tokens, 2], "has entries 0 to 1, not 2"),
        ([tokens, -1], "has entries 0 to 1, not -1"),
        ([tokens, "one"], "argument ENTRY: invalid int value: 'one'"),
        ([tokens], "the following arguments are required: ENTRY"),
        ([tokens, 0, "--max-length", 0], "--max-length 0: should be at least 1"),
        ([tokens.with_name("tran.npz"), 0], "No such file or directory"),
        ([project / "entries.json", 0], "name a tokenized split"),
        ([tokens, 0, "--tokenizer", project], "holds no encoder.json; name the folder with"),
        ([tokens, 0, "--variant", project], "is not a finished variant"),
    ):
        code, text = show(*arguments)
        assert code
        assert text.startswith("error: ")
        assert said in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": [0, 1]}, "train.json: has 1 entries, and origins.json beside it numbers 2"),
        ({"train": ["x"]}, "origins.json: train.0: Input should be a valid integer"),
        ({"train": [2]}, "origins.json: its content: numbers an entry twice"),
        ({"test": [9]}, "origins.json: its content: numbers an entry that no file has"),
    ],
)
def test_damaged_origins_are_one_line(show, project, monkeypatch, change, said):
    monkeypatch.chdir(project)
    folder = project / "results/data/damaged"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        (folder / f"{split}.json").write_text(json.dumps(ENTRIES[:1]))
    origins = {"train": [0], "val": [2], "test": [3], "left_out": {}} | change
    origins |= {"files": [{"file": "few.json", "entries": 4, "lines": None}]}
    (folder / "origins.json").write_text(json.dumps(origins))
    code, text = show("damaged", 0)
    shutil.rmtree(folder)
    assert code
    assert text.strip() == f"error: results/data/damaged/{said}; delete it and run again"


def test_a_variant_of_another_version_is_one_line(show, tokens, project):
    path = project / "results/tiny/quick/training.json"
    record = json.loads(path.read_text())
    for key, value, said in (
        ("momentum", 0.9, "training: momentum: unknown key"),
        ("batch_size", 0, "training: batch_size: should be greater than or equal to 1, not 0"),
    ):
        path.write_text(json.dumps(record | {"training": record["training"] | {key: value}}))
        code, text = show(tokens, 0, "--variant", path.parent)
        assert code
        assert text.strip() == f"error: {path}: {said}; delete it and run again"
    path.write_text(json.dumps(record))


def test_the_chapters_text_is_what_was_tokenized(show, tokens):
    style = load_style("alpaca")
    for number, entry in enumerate(ENTRIES):
        whole = style.prompt(entry) + style.completion(entry)
        assert show(tokens, number, "--prompt") == (0, whole + "\n")


def test_an_entry_is_found_by_its_number_in_the_data_set(show, project, monkeypatch):
    """Its split holds it in another place, and what was left out has no place."""
    monkeypatch.chdir(project)
    folder = project / "results/data/few"
    folder.mkdir(parents=True, exist_ok=True)
    for split, entries in (("train", ENTRIES[:1]), ("val", ENTRIES[1:]), ("test", ENTRIES[:1])):
        (folder / f"{split}.json").write_text(json.dumps(entries))
    origins = {"train": [3], "val": [1], "test": [4]}
    origins |= {"files": [{"file": "few.json", "entries": 5, "lines": None}], "left_out": {}}
    (folder / "origins.json").write_text(json.dumps(origins))
    code, text = show("few", 1)
    assert (code, text.splitlines()[0]) == (0, "entry 1 of few, entry 0 of val.json:")
    assert literal_eval(text.partition("\n")[2]) == ENTRIES[1]
    assert show(1) == show("few", 1)  # the only data set
    for style in ("alpaca", "phi3"):
        made = load_style(style)
        whole = made.prompt(ENTRIES[1]) + made.completion(ENTRIES[1])
        assert show("few", 1, "--prompt", "--style", style) == (0, whole + "\n")
    code, text = show("few", 0)
    assert (code, text.count("has no entry 0")) == (1, 1)
    code, text = show("fwe", 0)
    assert (code, text.count("there are: few;")) == (1, 1)


@pytest.mark.parametrize("mask_prompt", [False, True])
def test_batches_are_those_of_the_first_epoch(tmp_path, capsys, mask_prompt):
    """Shapes as the textbook's loop meets them, targets as its collate makes them."""
    path, split = tmp_path / "train.npz", random_split(43, 2)
    write_split(path, split)
    training = TRAINING.model_copy(update={"mask_prompt": mask_prompt})
    _, *shapes = batch_lines(path, BYTES, training, ALL)
    trace = finetune_textbook(
        random_model(1, CONFIG), split.sequences, random_split(11, 3).sequences, 256, max_length=50
    )
    size = "torch.Size([8, {}])".format
    assert shapes == [f"{size(n)} {size(n)}" for n in trace.batch_lengths[: len(shapes)]]
    assert len(shapes) == 5
    for number, (inputs, targets) in enumerate(first_epoch(path, BYTES, training)):
        _, shape, *shown = batch_lines(path, BYTES, training, number)
        assert shape == shapes[number]
        assert [eval(text, {"tensor": list}) for text in shown] == [
            inputs.tolist(),
            targets.tolist(),
        ]
        assert IGNORE_INDEX in targets


def test_the_tokenizer_is_found_by_its_name(tmp_path, capsys):
    """With the key of its source; of two sources one is to be named."""
    make_project(tmp_path)
    tokens = str(tmp_path / "results/tokens/words/few/alpaca/train.npz")
    kept = tmp_path / "resources/tokenizers/words-01234567"
    (tmp_path / "resources/tokenizers/words").rename(kept)
    shutil.copytree(kept, kept.with_name("words-two-01234567"))  # of another name
    main([tokens, "0"])
    shutil.copytree(kept, kept.with_name("words-89abcdef"))
    with pytest.raises(UserError, match=r"several sources; name one with --tokenizer: .*01234567"):
        main([tokens, "0"])
    capsys.readouterr()
    main([tokens, "0", "--tokenizer", str(kept)])
    assert "<|endoftext|>" in capsys.readouterr().out


def test_the_only_tokenized_split_is_found(show, project, monkeypatch):
    monkeypatch.chdir(project)
    code, text = show("--batch", 0)
    assert (code, text.count("2 entries do not fill a batch of 8")) == (1, 1)
    shutil.copy(project / "results/tokens/words/few/alpaca/train.npz", project / "val.npz")
    code, text = show(
        "val.npz", "--batch", 0, "--tokenizer", project / "resources/tokenizers/words"
    )
    assert code == 0
    assert "\ntorch.Size([2, " in text
    assert "-100" in text
    for number in (1, -1):
        code, text = show(
            "val.npz", "--batch", number, "--tokenizer", project / "resources/tokenizers/words"
        )
        assert (code, f"has batches 0 to 0 of 8 entries, not {number}" in text) == (1, True)
    monkeypatch.chdir(project / "results")
    assert "holds 0 tokenized training splits; run the pipeline first" in show("--batch", 0)[1]
