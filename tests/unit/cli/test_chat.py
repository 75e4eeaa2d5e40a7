"""Talking to a variant: streamed answers are the whole ones, mistakes are one line."""

import io
import json
import os
import pty
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.support.finished_variant import SHAPE, make_project
from tests.support.models import random_model, random_prompts
from tests.support.paths import NANO, ROOT
from workflow.lib.cli import chat as module
from workflow.lib.cli.chat import Chat, main
from workflow.lib.cli.console import SafeConsole
from workflow.lib.cli.program import run_program
from workflow.lib.generation.generate import generate
from workflow.lib.generation.sampling import Sampler
from workflow.lib.generation.streaming import stream_answer, stream_tokens
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle, load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer(NANO)
STYLE = load_style("alpaca")
HEADER = "### Response:"


def whole_answer(model, instruction, given_input="", most=20):
    """What the pipeline's own generation answers."""
    entry = {"instruction": instruction, "input": given_input, "output": ""}
    prompt = TOKENIZER.encode_ordinary(STYLE.prompt(entry))
    [(_, tokens)] = generate(model, [prompt], most, TOKENIZER.eot_token)
    return STYLE.answer(TOKENIZER.decode(tokens))


@pytest.mark.parametrize("length", [1, 20, 30, 32])
@pytest.mark.parametrize(
    "settings", [Generation(), Generation(temperature=1.5, top_k=20, seed=7)], ids=str
)
def test_streamed_tokens_are_those_of_generate(length, settings):
    """Within the context of 32, growing out of it, and from its very edge."""
    model = random_model(3)
    [prompt] = random_prompts([length])
    [(_, expected)] = generate(model, [prompt], 15, 96, Sampler(settings))
    assert list(stream_tokens(model, prompt, 15, 96, Sampler(settings))) == expected


def test_a_stream_ends_at_end_of_text():
    model = random_model(3)
    [prompt] = random_prompts([4])
    tokens = list(stream_tokens(model, prompt, 15, -1, Sampler(Generation())))
    end = tokens[5]
    found = list(stream_tokens(model, prompt, 15, end, Sampler(Generation())))
    assert found == tokens[: tokens.index(end)]


@given(
    tokens=st.lists(
        st.one_of(
            st.integers(0, 2998).map(lambda token: [token]),
            st.text(max_size=4).map(TOKENIZER.encode_ordinary),
            st.sampled_from([HEADER, f"\n\n{HEADER}\n", "### Resp", "#"]).map(
                TOKENIZER.encode_ordinary
            ),
        ),
        max_size=12,
    ).map(lambda parts: [token for part in parts for token in part])
)
def test_pieces_make_the_whole_answer(tokens):
    """Any tokens, with broken characters and headers, whole or not, anywhere."""
    pieces = list(stream_answer(tokens, TOKENIZER, STYLE))
    assert "".join(pieces) == STYLE.answer(TOKENIZER.decode(tokens))


def test_no_half_character_is_shown():
    tokens = [TOKENIZER.encode_single_token(bytes([byte])) for byte in "é🚀안".encode()]
    assert len(tokens) == 9
    pieces = list(stream_answer(tokens, TOKENIZER, STYLE))
    assert [piece for piece in pieces if piece] == ["é", "🚀", "안"]


def test_text_comes_as_soon_as_it_is_certain():
    tokens = TOKENIZER.encode_ordinary(f"\n\n{HEADER}\nOne two")
    pieces = list(stream_answer(tokens, TOKENIZER, STYLE))
    first = next(n for n, piece in enumerate(pieces) if piece)
    assert first == len(TOKENIZER.encode_ordinary(f"\n\n{HEADER}\n"))


def test_a_style_without_header_streams_too():
    style = PromptStyle("{instruction}", " {input}", "{output}")
    tokens = TOKENIZER.encode_ordinary("One two")
    assert "".join(stream_answer(tokens, TOKENIZER, style)) == "One two"


def say(monkeypatch, capsys, lines, *arguments):
    """Run the program with lines from a pipe: exit status, standard output, standard error."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")  # threads would outlive the test
    code = 0
    try:
        run_program(lambda: main([*map(str, arguments)]))
    except SystemExit as stop:
        code = stop.code
        if isinstance(code, str):  # what Python prints as it leaves
            print(code, file=sys.stderr)
            code = 1
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


@pytest.fixture(scope="module")
def variant(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def test_each_line_of_a_pipe_is_answered(variant, monkeypatch, capsys):
    code, out, err = say(
        monkeypatch, capsys, b"Hi\n\nYou\n", variant, "--max-new-tokens", 9, "--device", "cpu"
    )
    model = random_model(6, SHAPE)
    answers = [whole_answer(model, instruction, most=9) for instruction in ("Hi", "You")]
    assert (code, err) == (0, "")
    assert out == f"> Hi\n{answers[0]}\n> \n> You\n{answers[1]}\n"


def test_an_input_is_for_the_next_instruction_alone(variant, monkeypatch, capsys):
    lines = b"/input x\\ny\nHi\nHi\n/quit\nHi\n"
    _, out, _ = say(monkeypatch, capsys, lines, variant, "--max-new-tokens", 9)
    model = random_model(6, SHAPE)
    with_input, alone = whole_answer(model, "Hi", "x\ny", 9), whole_answer(model, "Hi", most=9)
    assert with_input != alone
    assert out == f"> /input x\\ny\n> Hi\n{with_input}\n> Hi\n{alone}\n> /quit\n"


def test_before_shows_the_base_models_answer_first(variant, monkeypatch, capsys):
    _, out, _ = say(
        monkeypatch, capsys, b"Hi\n/before\nHi\n", variant, "--before", "--max-new-tokens", 9
    )
    base = random_model(5, SHAPE)
    base.out_head.weight = base.tok_emb.weight
    before, after = (whole_answer(model, "Hi", most=9) for model in (base, random_model(6, SHAPE)))
    assert before != after
    assert out == f"> Hi\nbefore: {before}\nafter: {after}\n> /before\n> Hi\n{after}\n"


def test_drawn_answers_repeat_with_their_seed(variant, monkeypatch, capsys):
    def draw(seed):
        arguments = ("--temperature", 2, "--top-k", 50, "--max-new-tokens", 9, "--seed", seed)
        return say(monkeypatch, capsys, b"Hi\nHi\n", variant, *arguments)[1]

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/inptu x", "error: unknown command /inptu; did you mean /input?"),
        ("/zzz", "error: unknown command /zzz; /help lists them"),
        ("long " * 99, "tokens and the model sees 64; shorten it"),
    ],
)
def test_a_line_that_cannot_be_answered_is_one_line(variant, monkeypatch, capsys, line, said):
    code, out, err = say(
        monkeypatch, capsys, f"{line}\nHi\n".encode(), variant, "--max-new-tokens", 3
    )
    assert code == 0
    assert said in err
    assert err.count("\n") == 1
    assert out.splitlines()[1] == "> Hi"  # and the conversation goes on


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--top-k", "0"], "error: --top-k 0: Input should be greater"),
        (["--temperature", "hot"], "error: argument --temperature: invalid float value: 'hot'"),
        (["--temperature", "-1"], "error: --temperature -1.0: Input should be greater"),
        (["--temperature", "nan"], "error: --temperature nan: "),
        (["--max-new-tokens", "0"], "error: --max-new-tokens 0: Input should be greater"),
        (["--tempo", "1"], "error: unrecognized arguments: --tempo 1"),
        (["--device", "tpu"], "error: argument --device: invalid choice: 'tpu'"),
    ],
)
def test_a_wrong_option_is_one_line(variant, monkeypatch, capsys, arguments, said):
    code, out, err = say(monkeypatch, capsys, b"Hi\n", variant, *arguments)
    assert code
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("results/tiny/quick/model.pth", "is not a finished variant: it has no model.pth"),
        ("results/tiny/quick/training.json", "is not a finished variant: it has no training.json"),
        ("resources/tokenizers/words/encoder.json", "is missing; run `snakemake resources/tok"),
        (
            "resources/gpt2/tiny/model.safetensors",
            "is missing; run `snakemake resources/gpt2/tiny/model.safetensors` to make it",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, capsys, missing, said):
    variant = make_project(tmp_path)
    (tmp_path / missing).unlink()
    code, _, err = say(monkeypatch, capsys, b"Hi\n", variant, "--before")
    assert code
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_the_base_model_is_the_one_that_was_trained(tmp_path, monkeypatch, capsys):
    """By the path in training.json, whatever lies beside it under the model's name."""
    variant = make_project(tmp_path)
    record = json.loads((variant / "training.json").read_text())
    record |= {"weights": "resources/gpt2/tiny-01234567/model.safetensors"}
    (variant / "training.json").write_text(json.dumps(record))
    code, _, err = say(monkeypatch, capsys, b"Hi\n", variant, "--before")
    assert code
    assert "run `snakemake resources/gpt2/tiny-01234567/model.safetensors` to make it" in err
    (tmp_path / "resources/gpt2/tiny").rename(tmp_path / "resources/gpt2/tiny-01234567")
    assert not say(monkeypatch, capsys, b"Hi\n", variant, "--before")[0]


def test_a_variant_of_an_earlier_version_says_so(tmp_path, monkeypatch, capsys):
    variant = make_project(tmp_path)
    record = json.loads((variant / "training.json").read_text())
    del record["style"]
    (variant / "training.json").write_text(json.dumps(record))
    code, _, err = say(monkeypatch, capsys, b"Hi\n", variant)
    assert code
    assert "does not name the prompt style and the tokenizer" in err


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("style", {"input": ["x"]}, "style: input: should be text with {input} in it, once"),
        ("style", {"instruction": None}, "style: has no instruction; should have the keys"),
        ("style", {"more": "x"}, "style: unknown key more; should have the keys"),
        ("model", {"emb_dim": None}, "model.emb_dim: Input should be a valid integer"),
    ],
)
def test_a_damaged_record_is_one_line(tmp_path, monkeypatch, capsys, section, change, said):
    variant = make_project(tmp_path)
    record = json.loads((variant / "training.json").read_text())
    record[section] |= change
    (variant / "training.json").write_text(json.dumps(record))
    code, _, err = say(monkeypatch, capsys, b"Hi\n", variant)
    assert code
    assert f"{variant / 'training.json'}: {said}" in err
    assert err.endswith("; delete it and run again\n")
    assert err.count("\n") == 1


def test_bytes_that_are_no_text_are_no_mistake(variant, monkeypatch, capsys):
    code, out, err = say(monkeypatch, capsys, b"Hi \xff\n", variant, "--max-new-tokens", 3)
    assert (code, err) == (0, "")
    assert out.startswith("> Hi �\n")


def make_chat(variant_folder, **options):
    variant = module.open_variant(variant_folder)
    models = {"after": variant.load_model().eval()}
    settings = Generation(max_new_tokens=9)
    device = torch.device("cpu")
    return Chat(variant, models, variant.load_tokenizer(), STYLE, settings, device, **options)


@pytest.mark.parametrize("width", [99, 120])
def test_answers_stand_side_by_side_where_there_is_room(variant, capsys, width):
    screen = io.StringIO()
    chat = make_chat(variant, console=Console(file=screen, force_terminal=True, width=width))
    chat.toggle_before()
    chat.handle_line("Hi")
    drawn = screen.getvalue()
    assert not capsys.readouterr().out
    beside = any("before" in line and "after" in line for line in drawn.splitlines())
    assert beside == (width == 120)
    after = whole_answer(random_model(6, SHAPE), "Hi", most=9)
    assert all(word in drawn for word in after.split())


@pytest.mark.parametrize("width", [99, 120])
def test_an_answer_cannot_steer_the_terminal(variant, monkeypatch, width):
    screen = io.StringIO()
    console = SafeConsole(file=screen, force_terminal=True, width=width)
    chat = make_chat(variant, console=console)
    chat.toggle_before()
    monkeypatch.setattr(module, "stream_answer", lambda *_: iter(["a\x1b]0;", "x\x00\u202e\x9b"]))
    chat.handle_line("Hi")
    drawn = screen.getvalue()
    assert r"a\x1b]0;x\x00\u202e\x9b" in drawn
    assert not set("\x00\u202e\x9b") & set(drawn)
    assert "\x1b]" not in drawn


def test_control_c_stops_an_answer_and_not_the_conversation(variant, monkeypatch, capsys):
    """From a terminal; between two tokens, when a person would press it."""
    answers = iter([KeyboardInterrupt, None])
    whole = module.stream_tokens

    def interrupted(*arguments):
        stop = next(answers)
        for number, token in enumerate(whole(*arguments)):
            if stop and number == 3:
                raise stop
            yield token

    typed = iter(["Hi", "Hi"])

    def type_line(_):
        if (line := next(typed, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr(module, "stream_tokens", interrupted)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setattr("builtins.input", type_line)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    main([str(variant), "--max-new-tokens", "9"])
    out = capsys.readouterr().out
    assert out.count("[stopped]") == 1
    assert out.endswith(whole_answer(random_model(6, SHAPE), "Hi", most=9) + "\n\n")


def test_a_person_at_a_terminal_is_asked_answered_and_let_go(variant):
    """A real terminal: a prompt, an answer, control-C at the prompt, control-D."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "workflow", "chat", str(variant), "--max-new-tokens", "9"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"},
    )  # fmt: skip
    os.close(theirs)
    seen = ""

    def wait_for(text):
        nonlocal seen
        deadline = time.monotonic() + 120
        while text not in seen:
            assert time.monotonic() < deadline, seen
            seen += os.read(ours, 4096).decode("utf-8", "replace")
        seen = seen.partition(text)[2]

    try:
        wait_for("> ")
        os.write(ours, b"Hi\n")
        wait_for(whole_answer(random_model(6, SHAPE), "Hi", most=9).splitlines()[0])
        wait_for("> ")
        os.write(ours, b"\x04")
        assert child.wait(timeout=120) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
