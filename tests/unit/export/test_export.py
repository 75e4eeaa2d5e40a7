"""An export is the same model to other programs: transformers here, by logits, ids and texts."""

import csv
import json
import os
import re
import stat

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.finished_variant import SHAPE, make_project
from tests.support.models import random_model
from tests.support.oracle import ChapterModel, logits_of
from tests.support.paths import NANO
from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.export.chapter_file import (
    chapter_file_name,
    check_chapter_file_name,
    write_chapter_file,
)
from workflow.lib.export.chat_template import chat_template, content_with_input
from workflow.lib.export.huggingface import ExportInputs, export_variant
from workflow.lib.export.weights import hf_generation_config
from workflow.lib.generation.generate import generate
from workflow.lib.judge.scores import COLUMNS
from workflow.lib.judge.wins import COLUMNS as WIN_COLUMNS
from workflow.lib.judge.wins import VALUES, Win, row_of
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import write_csv
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle, load_style
from workflow.lib.tokens.tokenizer import load_tokenizer

NAMES = {"model": "tiny", "recipe": "quick", "dataset": "few", "prompt": "alpaca"}
ODD = PromptStyle("'{{{instruction}}}' \\n\"", "\t{input}}} 안녕 🚀 {{%", " {{# {output}")


def export(folder, scores=(), wins=()):
    variant = make_project(folder)
    inputs = ExportInputs(
        *(variant / name for name in ("model.pth", "training.json", "losses.csv")),
        tokenizer=NANO,
        scores=scores,
        wins=wins,
    )
    export_variant(inputs, load_style("alpaca"), Generation(), NAMES, variant / "hf")
    return variant / "hf"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def theirs(exported):
    return AutoModelForCausalLM.from_pretrained(exported).eval()


@pytest.fixture(scope="module")
def their_tokenizer(exported):
    return AutoTokenizer.from_pretrained(exported)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(NANO)


def test_transformers_computes_the_same_logits(theirs):
    model = random_model(6, SHAPE)
    token_ids = torch.randint(3000, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = theirs(token_ids).logits
    torch.testing.assert_close(found, logits_of(model, token_ids), atol=1e-4, rtol=1e-4)


def test_the_output_head_is_its_own_matrix(theirs, exported):
    """Not tied to the embedding, as GPT-2's is unless config.json says otherwise."""
    model = random_model(6, SHAPE)
    assert torch.equal(theirs.lm_head.weight, model.out_head.weight)
    assert torch.equal(theirs.transformer.wte.weight, model.tok_emb.weight)
    assert not torch.equal(theirs.lm_head.weight, theirs.transformer.wte.weight)
    assert json.loads((exported / "config.json").read_text())["tie_word_embeddings"] is False


def test_nothing_is_missing_or_left_over(exported):
    _, report = AutoModelForCausalLM.from_pretrained(exported, output_loading_info=True)
    assert not any(report.values()), report


def check_ids(text, exported, their_tokenizer, tokenizer):
    """Transformers builds its own from vocab.json; others read tokenizer.json as it stands."""
    ids = tokenizer.encode(text, allowed_special="all")
    assert their_tokenizer.encode(text) == ids
    assert their_tokenizer.decode(ids) == text
    alone = Tokenizer.from_file(str(exported / "tokenizer.json"))
    assert alone.encode(text).ids == ids
    assert alone.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=40)
@given(text=st.text(max_size=60))
def test_ids_are_the_pipelines(text, exported, their_tokenizer, tokenizer):
    check_ids(text, exported, their_tokenizer, tokenizer)


@pytest.mark.parametrize(
    "text",
    [
        "Below is an instruction that describes a task.\n\n### Instruction:\n",
        "  two  spaces\t\ttabs\r\n\r\nlines   ",
        "it's we'll THEY'RE 12345 3.14 ...!?",
        "아래는 작업을 설명하는 지시사항입니다. 🚀🦙 é é ﷽ 我想",
        "\x00\x01\x7f\ufeff\u200d",
        f"before{END_OF_TEXT}{END_OF_TEXT} after",
    ],
    ids=ascii,
)
def test_varied_text_has_the_same_ids(text, exported, their_tokenizer, tokenizer):
    check_ids(text, exported, their_tokenizer, tokenizer)


def test_end_of_text_is_the_token_that_ends_and_pads(their_tokenizer, theirs, tokenizer):
    end = tokenizer.eot_token
    assert their_tokenizer.encode(END_OF_TEXT) == [end]
    assert their_tokenizer.eos_token_id == their_tokenizer.pad_token_id == end
    assert theirs.generation_config.eos_token_id == theirs.config.eos_token_id == end
    assert len(their_tokenizer) == tokenizer.n_vocab


@pytest.mark.parametrize("style", ["alpaca", "alpaca-ko", "phi3", ODD], ids=str)
@pytest.mark.parametrize("given_input", ["", "{{ input }} \"'\n"], ids=["alone", "with input"])
def test_the_chat_template_writes_the_prompt_style(their_tokenizer, style, given_input):
    style = style if isinstance(style, PromptStyle) else load_style(style)
    entry = {"instruction": "Say {% raw %} \\ 'hi'", "input": given_input, "output": "ha {{ 1 }}"}
    asked = {"role": "user", "content": entry["instruction"], "input": entry["input"]}
    told = {"role": "assistant", "content": entry["output"]}

    def render(messages, **options):
        return their_tokenizer.apply_chat_template(
            messages, chat_template=chat_template(style), tokenize=False, **options
        )

    whole = style.prompt(entry) + style.completion(entry)
    assert render([asked]) == style.prompt(entry)
    assert render([asked], add_generation_prompt=True) + entry["output"] == whole
    assert render([asked, told]) == whole + END_OF_TEXT


@pytest.mark.parametrize("style", ["alpaca", "alpaca-ko", "phi3"])
@pytest.mark.parametrize("given_input", ["", "Ocassion\n  {{ x }}"], ids=["alone", "with input"])
def test_one_message_holds_instruction_and_input(their_tokenizer, style, given_input):
    """The plain way, which every server passes on: a message of role and content alone."""
    style = load_style(style)
    entry = {"instruction": "Correct it.", "input": given_input, "output": ""}
    content = (
        content_with_input(style, "Correct it.", given_input) if given_input else "Correct it."
    )
    rendered = their_tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=chat_template(style),
        tokenize=False,
        add_generation_prompt=True,
    )
    assert rendered == style.prompt(entry) + style.completion(entry)


def test_a_style_whose_instruction_has_an_end_cannot_take_both_in_one_message():
    assert content_with_input(ODD, "a", "b") is None


def test_the_card_shows_the_message_with_an_input(exported):
    card = (exported / "README.md").read_text("utf-8")
    assert r'"content": "Correct the spelling.\n\n### Input:\nOcassion"}]' in card
    assert "`input`" not in card


def test_a_chat_asks_as_the_pipeline_does(their_tokenizer, theirs, tokenizer):
    """The template stored in the files; the tokens that transformers generates from it."""
    style, entry = load_style("alpaca"), {"instruction": "Name it.", "input": "", "output": ""}
    asked = [{"role": "user", "content": "Name it."}]
    ids = their_tokenizer.apply_chat_template(asked, return_tensors="pt")["input_ids"]
    prompt = tokenizer.encode_ordinary(style.prompt(entry))
    assert ids[0].tolist() == prompt
    model = random_model(6, SHAPE)
    [(_, tokens)] = generate(model, [prompt], 10, tokenizer.eot_token)
    assert theirs.generate(ids, max_new_tokens=10)[0, len(prompt) :].tolist()[:10] == tokens


def test_roles_the_model_never_saw_are_refused(their_tokenizer):
    with pytest.raises(Exception, match="knows the roles user and assistant"):
        their_tokenizer.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)


def test_the_settings_of_generation_are_the_recipes():
    greedy = hf_generation_config(Generation(), 9)
    assert greedy["do_sample"] is False
    drawn = hf_generation_config(Generation(temperature=0.7, top_k=5), 9)
    assert (drawn["do_sample"], drawn["temperature"], drawn["top_k"]) == (True, 0.7, 5)
    assert hf_generation_config(Generation(temperature=1), 9)["top_k"] == 0
    # A length here would take precedence over what an evaluation asks for.
    assert not any("max" in key for key in greedy)


def test_what_llama_cpp_and_vllm_read_is_there(exported):
    """llama.cpp takes n_ctx and layer_norm_epsilon, for which transformers has more names."""
    config = json.loads((exported / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert config["n_ctx"] == config["n_positions"] == 64
    assert config["layer_norm_epsilon"] == 1e-5
    with safe_open(exported / "model.safetensors", "pt") as stored:
        assert stored.metadata() == {"format": "pt"}
        assert stored.get_slice("transformer.h.0.attn.c_attn.weight").get_shape() == [24, 72]
        assert stored.get_slice("lm_head.weight").get_shape() == [3000, 24]


def test_others_may_read_the_files(exported):
    mask = os.umask(0)
    os.umask(mask)
    for file in exported.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask, file.name


def test_the_card_tells_what_was_done_and_measured(tmp_path):
    table = tmp_path / "llama3" / "scores.csv"
    table.parent.mkdir()
    blank = dict.fromkeys(COLUMNS, "")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for entry, score in enumerate(["40", "61", ""]):
            row = {"entry": entry, "repeat": 0, "score": score, "exact_match": 0,
                   "status": "scored" if score else "failed"}  # fmt: skip
            writer.writerow(blank | row)
    card = (export(tmp_path / "project", [table]) / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    for text in ("# tiny / quick", "data set few", "| learning_rate | 5e-05 |", "12,345 parameters",
                 "| before finetuning | 3.826 | 3.762 |", "| step 225 of 230 | 0.300 | 0.657 |",
                 "### Instruction:\n{instruction}", "| llama3 | 2 of 3 | 50.50 |"):  # fmt: skip
        assert text in card


def write_wins(folder, judge, baseline, outcomes):
    table = folder / judge / "wins.csv"
    table.parent.mkdir()
    status = "same" if baseline == "tiny/quick" else "judged"
    rows = [
        Win("tiny", "quick", judge, baseline, entry, 0, *({"same": ""}.get(said, said),) * 2,
            VALUES.get(said, 0.5), status, 3 + entry % 2, 3, "", "", 0, "", "", "")
        for entry, said in enumerate(outcomes)
    ]  # fmt: skip
    write_csv(table, WIN_COLUMNS, map(row_of, rows), recorded=True)
    return table


def test_the_card_tells_win_rates_where_there_are_some(tmp_path):
    wins = [
        write_wins(tmp_path, "pairs", "tiny/untuned", ["win"] * 12 + ["loss"] * 4),
        write_wins(tmp_path, "itself", "tiny/quick", ["same"] * 16),
    ]
    card = (export(tmp_path / "project", wins=wins) / "README.md").read_text("utf-8")
    assert "## Win rates" in card
    assert re.search(
        r"\| pairs \| tiny/untuned \| 16 of 16 \| 75\.00 \| 51\.2 to 98\.8 \| \d+\.\d\d \|", card
    )
    assert "itself" not in card


def test_a_card_needs_no_scores(exported):
    card = (exported / "README.md").read_text("utf-8")
    assert "Not judged when this card was written." in card
    assert "## Win rates" not in card


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt2-medium-355M", "gpt2-medium355M-sft.pth"),
        ("gpt2-small-124M", "gpt2-small124M-sft.pth"),
        ("gpt2-xl-1558M", "gpt2-xl1558M-sft.pth"),
        ("nano-1M", "nano1M-sft.pth"),
        ("llama-1.5B", "llama1.5B-sft.pth"),
        ("my-gpt2", "my-gpt2-sft.pth"),
    ],
)
def test_the_chapters_name(model, name):
    assert chapter_file_name(model) == name
    check_chapter_file_name(model, "book", name)


def test_another_name_is_refused_with_the_right_one():
    with pytest.raises(UserError, match=r"is results/gpt2-medium-355M/book/gpt2-medium355M-sft.p"):
        check_chapter_file_name("gpt2-medium-355M", "book", "gpt2-medium-355M-sft.pth")


@pytest.mark.parametrize("links", [True, False])
def test_the_chapters_file_loads_as_the_chapter_says(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError()))
    model, path = make_project(tmp_path) / "model.pth", tmp_path / "tiny-sft.pth"
    path.write_bytes(b"an earlier one")
    write_chapter_file(model, path)
    assert path.samefile(model) == links
    chapters = ChapterModel(SHAPE.__dict__)
    chapters.load_state_dict(torch.load(path, weights_only=True))
    token_ids = torch.randint(3000, (2, 40))
    with torch.no_grad():
        expected = logits_of(random_model(6, SHAPE), token_ids)
        torch.testing.assert_close(chapters(token_ids), expected, atol=1e-4, rtol=1e-4)
