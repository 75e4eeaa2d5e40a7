"""What the small world promises: its data set, tokenizer, corpus and shipped models."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.runtime.files import read_json
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer
from workflow.small_world.bpe import fast_tokenizer
from workflow.small_world.corpus import make_documents, write_corpus
from workflow.small_world.dataset import (
    SPLIT_SIZES,
    make_dataset,
    sentences_to_rewrite,
    write_dataset,
)
from workflow.small_world.facts import remembered_facts, rewriting_kinds, wordings
from workflow.small_world.openai_writer import write_tf_checkpoint
from workflow.small_world.pretrain import Pretraining, encode_corpus, pretrain
from workflow.small_world.probes import recall

SHIPPED = Path(__file__).resolve().parents[3] / "workflow/resources/small-world"
MODELS = ["pico-650K", "nano-1M"]
SEED = 123


@pytest.fixture(scope="module")
def entries() -> list[dict[str, str]]:
    return read_json(SHIPPED / "instruction-data.json")


@pytest.fixture(scope="module")
def documents(entries: list[dict[str, str]]) -> list[str]:
    return list(make_documents(2_000, 1, sentences_to_rewrite(entries)))


def splits(entries: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    rest = iter(entries)
    return {name: list(islice(rest, size)) for name, size in SPLIT_SIZES.items()}


def test_the_shipped_data_set_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    write_dataset(tmp_path / "again.json", SEED)
    shipped = (SHIPPED / "instruction-data.json").read_bytes()
    assert (tmp_path / "again.json").read_bytes() == shipped
    assert make_dataset(SEED) != make_dataset(SEED + 1)


def test_the_data_set_has_1100_different_questions_in_the_chapters_schema(entries: list) -> None:
    assert len(entries) == 1_100 == sum(SPLIT_SIZES.values())
    assert len({(entry["instruction"], entry["input"]) for entry in entries}) == 1_100
    for entry in entries:
        assert list(entry) == ["instruction", "input", "output", "kind"]
        assert entry["instruction"] and entry["output"] and "{" not in "".join(entry.values())
    with_input = sum(bool(entry["input"]) for entry in entries)
    assert 300 < with_input < 800


def test_every_kind_stands_in_every_split_about_as_often(entries: list) -> None:
    for name, part in splits(entries).items():
        counts = Counter(entry["kind"] for entry in part)
        assert set(counts) == set(wordings())
        assert max(counts.values()) - min(counts.values()) <= 1, name


def test_what_test_and_validation_ask_about_is_not_stated_in_training(entries: list) -> None:
    parts = splits(entries)
    stated: dict[str, list[str]] = {kind: [] for kind in wordings()}
    for entry in parts["train"]:
        stated[entry["kind"]].append(" | ".join(list(entry.values())[:3]))
    for entry in parts["test"] + parts["val"]:
        # As a word of its own: "one" is not "bone".
        asked = re.compile(rf"(?<!\w){re.escape(subject_of(entry))}(?!\w)")
        assert not [text for text in stated[entry["kind"]] if asked.search(text)], entry


def subject_of(entry: dict[str, str]) -> str:
    """The thing an entry asks about, found by trying every key of its kind."""
    if entry["kind"] in rewriting_kinds():
        return sentences_to_rewrite([entry]).pop()
    asked = " ".join((entry["instruction"], entry["input"]))
    wording = {word for task in wordings()[entry["kind"]].tasks for word in words(task)}
    keys = {fact.key for fact in remembered_facts()[entry["kind"]]}
    found = keys & (set(re.findall(r"\w+", asked)) - wording)
    assert len(found) == 1, entry
    return found.pop()


def words(task: dict[str, str]) -> list[str]:
    return re.findall(r"\w+", re.sub(r"\{\w+\}", "", task["instruction"]))


def test_no_word_is_asked_about_under_two_kinds() -> None:
    counts = Counter(fact.key for facts in remembered_facts().values() for fact in facts)
    assert counts.most_common(1)[0][1] == 1


def test_the_corpus_states_every_fact_and_never_in_the_instruction_format(
    documents: list[str],
) -> None:
    text = "\n".join(documents)
    style = load_style("alpaca")
    preamble = style.instruction.split("\n")[0]
    for part in ("###", "Instruction", "Response", "Input", preamble, END_OF_TEXT):
        assert part not in text
    instructions = {task["instruction"] for kind in wordings().values() for task in kind.tasks}
    for instruction in instructions:
        assert instruction.split("{")[0] not in text
    for facts in remembered_facts().values():
        assert not [fact for fact in facts if fact.key not in text or fact.value not in text]


def test_the_corpus_does_not_rewrite_the_sentences_of_the_data_set(
    documents: list[str], entries: list
) -> None:
    left_out = sentences_to_rewrite(entries)
    assert len(left_out) > 200
    text = "\n".join(documents)
    assert not [sentence for sentence in left_out if sentence in text]


def test_the_corpus_is_the_same_for_the_same_seed(tmp_path: Path, documents: list[str]) -> None:
    write_corpus(tmp_path / "corpus.txt", SHIPPED / "instruction-data.json", 2_000, 1)
    expected = "".join(document + END_OF_TEXT + "\n" for document in documents)
    assert (tmp_path / "corpus.txt").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("model", MODELS)
def test_the_tokenizer_gives_back_what_it_was_given(model: str, entries: list) -> None:
    encoding = load_tokenizer(SHIPPED / model)
    assert (encoding.n_vocab, encoding.eot_token) == (3_000, 2_999)
    text = "\n".join(entry["output"] for entry in entries) + "\n\n  Grüße, 안녕하세요 \t😀 1,100"
    assert encoding.decode(encoding.encode_ordinary(text)) == text


def test_a_prompts_preamble_is_a_token_a_word(documents: list[str]) -> None:
    encoding = load_tokenizer(SHIPPED / "nano-1M")
    preamble = load_style("alpaca").instruction.format(instruction="")
    assert len(encoding.encode_ordinary(preamble)) == len(re.findall(r"#+|\w+|[.:]|\n", preamble))


def test_both_ways_to_read_the_tokenizer_agree(documents: list[str]) -> None:
    text = "\n".join(documents[:300])
    fast = fast_tokenizer(SHIPPED / "nano-1M")
    assert fast.encode(text).ids == load_tokenizer(SHIPPED / "nano-1M").encode_ordinary(text)


def test_the_shipped_models_have_openais_seven_files_and_stay_small() -> None:
    names = "checkpoint encoder.json hparams.json model.ckpt.data-00000-of-00001 "
    names += "model.ckpt.index model.ckpt.meta vocab.bpe"
    for model in MODELS:
        assert sorted(path.name for path in (SHIPPED / model).iterdir()) == names.split()
        assert read_json(SHIPPED / model / "hparams.json")["n_vocab"] == 3_000
    sizes = [path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(sizes) <= 12_000_000


@pytest.mark.slow
def test_pretraining_teaches_facts(documents: list[str], tmp_path: Path) -> None:
    tokenizer = fast_tokenizer(SHIPPED / "nano-1M")
    text = "".join("The capital of France is Paris." + END_OF_TEXT + "\n" for _ in range(600))
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    stream = encode_corpus(tmp_path / "corpus.txt", tokenizer)
    shape = GPTConfig(vocab_size=3_000, context_length=32, emb_dim=32, n_heads=2, n_layers=1)
    settings = Pretraining(20_000, 8, matrix_learning_rate=0.01, other_learning_rate=0.01, seed=1)
    model = pretrain(shape, stream, settings)
    start = tokenizer.encode(END_OF_TEXT + "The capital of France is").ids
    following = tokenizer.encode(" Paris").ids[0]
    assert model(torch.tensor([start]))[0, -1].argmax().item() == following
    assert model.out_head.weight is not model.tok_emb.weight
    assert 0 < recall(model, tokenizer) < 0.01
    again = pretrain(shape, stream, settings)
    assert torch.equal(again.tok_emb.weight, model.tok_emb.weight)


def test_a_checkpoint_has_openais_names_and_transposed_matrices(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    model = GPTModel(GPTConfig(11, context_length=5, emb_dim=4, n_heads=2, n_layers=1))
    write_tf_checkpoint(tmp_path, model, "float32")
    path = tensorflow.train.latest_checkpoint(tmp_path)
    shapes = dict(tensorflow.train.list_variables(path))
    assert shapes.pop("model/h0/attn/c_attn/w") == [1, 4, 12]
    assert shapes.pop("model/wpe") == [5, 4] and len(shapes) == 14
    written = tensorflow.train.load_variable(path, "model/h0/mlp/c_fc/w")[0]
    weight = model.trf_blocks[0].ff.layers[0].weight.detach().numpy()
    assert (written == weight.T).all()
    queries = tensorflow.train.load_variable(path, "model/h0/attn/c_attn/w")[0, :, :4]
    assert (queries == model.trf_blocks[0].att.W_query.weight.detach().numpy().T).all()
