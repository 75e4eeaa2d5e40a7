"""Finetuning gives the chapter's numbers, batch for batch."""

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiktoken
import torch
from safetensors.torch import save_file

from tests.support.oracle import finetune_textbook
from tests.unit.model.test_gpt import random_model
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.model.weights import load_base_model
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.dataloader import make_loader
from workflow.lib.tokens.dataset import TokenizedSplit
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.finetune import Inputs, Outputs, finetune

CONFIG = GPTConfig(vocab_size=257, context_length=64, emb_dim=32, n_heads=4, n_layers=2)
BYTES = tiktoken.Encoding(
    "bytes",
    pat_str=r"[\s\S]",
    mergeable_ranks={bytes([n]): n for n in range(256)},
    special_tokens={"<|endoftext|>": 256},
    explicit_n_vocab=257,
)
TRAINING = Training(learning_rate=1e-3, max_length=50)


def random_split(count: int, seed: int) -> TokenizedSplit:
    """Sequences of 10 to 60 tokens, the longer ones past max_length."""
    random = np.random.default_rng(seed)
    sequences = [
        random.integers(0, 256, random.integers(10, 60)).astype(np.int32) for _ in range(count)
    ]
    return TokenizedSplit(sequences, random.integers(0, 10, count))


def write_split(path, split: TokenizedSplit):
    offsets = np.cumsum([0, *map(len, split.sequences)])
    np.savez(
        path,
        token_ids=np.concatenate(split.sequences),
        offsets=offsets,
        response_starts=split.response_starts,
    )


def write_weights(path, config: GPTConfig):
    """Random weights as convert_checkpoint stores them."""
    state = random_model(1, config).state_dict()
    del state["out_head.weight"]
    shape = {k: v for k, v in asdict(config).items() if k not in ("drop_rate", "qkv_bias")}
    save_file(state, path, {"config": json.dumps(shape)})


@pytest.fixture
def files(tmp_path):
    """Inputs of a finetuning on random weights and tokens, and where its outputs go."""
    write_weights(tmp_path / "model.safetensors", CONFIG)
    write_split(tmp_path / "train.npz", random_split(43, 2))
    write_split(tmp_path / "val.npz", random_split(11, 3))
    entry = {"instruction": "Say hi.", "input": "", "output": "hi"}
    (tmp_path / "val.json").write_text(json.dumps([entry]))
    inputs = Inputs(*(tmp_path / n for n in ("model.safetensors", "train.npz", "val.npz")),
                    tmp_path / "val.json")  # fmt: skip
    names = ("model.pth", "losses.csv", "samples.json", "training.json")
    return inputs, Outputs(*(tmp_path / "out" / name for name in names))


def run(files, training=TRAINING, evaluation=Evaluation(), style="phi3"):  # noqa: B008
    inputs, outputs = files
    finetune(inputs, outputs, BYTES, load_style(style), training, evaluation, torch.device("cpu"))
    with outputs.losses.open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return rows, json.loads(outputs.training.read_text())


@pytest.mark.parametrize("mask_prompt", [False, True])
def test_losses_and_weights_are_the_textbooks(files, mask_prompt):
    """Initial losses, every evaluation, tokens seen and the final weights."""
    rows, record = run(files, TRAINING.model_copy(update={"mask_prompt": mask_prompt}))
    model = load_base_model(files[0].weights)
    train, val = random_split(43, 2), random_split(11, 3)
    starts = (train.response_starts, val.response_starts) if mask_prompt else None
    trace = finetune_textbook(
        model, train.sequences, val.sequences, 256, learning_rate=1e-3, max_length=50,
        prompt_lengths=starts,
    )  # fmt: skip
    assert record["initial_losses"]["train"] == pytest.approx(trace.initial[0], abs=1e-5)
    assert record["initial_losses"]["val"] == pytest.approx(trace.initial[1], abs=1e-5)
    assert len(rows) == len(trace.evaluations) == 2
    for row, (step, epoch, tokens_seen, train_loss, val_loss) in zip(
        rows, trace.evaluations, strict=True
    ):
        assert (row["step"], row["epoch"], row["tokens_seen"]) == (step, epoch, tokens_seen)
        assert row["train_loss"] == pytest.approx(train_loss, abs=1e-4)
        assert row["val_loss"] == pytest.approx(val_loss, abs=1e-4)
    assert record["steps"] == len(trace.batch_lengths) == 10
    state = torch.load(files[1].model, weights_only=True)
    for name, parameter in model.named_parameters():
        if name.endswith("W_key.bias"):
            continue  # its true gradient is zero: AdamW makes full steps out of rounding errors
        torch.testing.assert_close(state[name], parameter.data, atol=1e-4, rtol=1e-3)


def test_two_runs_are_byte_identical(files):
    run(files)
    first = [path.read_bytes() for path in (files[1].model, files[1].losses, files[1].samples)]
    run(files)
    again = [path.read_bytes() for path in (files[1].model, files[1].losses, files[1].samples)]
    assert first == again


def test_without_epochs_the_weights_stay_and_the_losses_are_known(files):
    rows, record = run(files, TRAINING.model_copy(update={"epochs": 0}))
    assert rows == []
    assert record["steps"] == 0
    assert record["initial_losses"]["train"] > 0
    base = load_base_model(files[0].weights).state_dict()
    state = torch.load(files[1].model, weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in base.items())


def test_samples_are_one_before_and_one_after_each_epoch(files):
    run(files)
    samples = json.loads(files[1].samples.read_text())
    assert [sample["epoch"] for sample in samples] == [0, 1, 2]
    assert all(sample["instruction"] == "Say hi." for sample in samples)


def test_a_tokenizer_of_another_model_is_refused(files):
    inputs, outputs = files
    write_weights(inputs.weights, replace(CONFIG, vocab_size=99))
    with pytest.raises(UserError, match=r"tokenizer bytes has 257 tokens, the model 99"):
        run(files)
    assert not outputs.model.exists()


def test_a_split_smaller_than_a_batch_is_refused(files):
    with pytest.raises(UserError, match="43 entries do not fill a batch of 64"):
        run(files, TRAINING.model_copy(update={"batch_size": 64}))


def test_a_loss_that_is_no_number_ends_the_run(files):
    with pytest.raises(UserError, match=r"lower training\.learning_rate"):
        run(files, TRAINING.model_copy(update={"learning_rate": 1e30}))
    assert not files[1].model.exists()


def test_entries_longer_than_the_context_are_cut_and_named(files, caplog):
    caplog.set_level("INFO", "pipeline")
    run(files)
    cut = [n for n, ids in enumerate(random_split(43, 2).sequences) if len(ids) > 50]
    assert f"{len(cut)} entries cut to 50 tokens: {', '.join(map(str, cut[:10]))}" in caplog.text


def test_evaluating_draws_random_numbers_as_the_chapter_does():
    """One pass over the shuffled loader takes two draws, over the other loader one."""
    split = random_split(20, 4)
    shuffled = make_loader(split, 256, TRAINING, 50, shuffle=True)
    plain = make_loader(split, 256, TRAINING, 50, shuffle=False)
    for loader, draws in ((shuffled, 2), (plain, 1)):
        torch.manual_seed(5)
        next(iter(loader))
        after = torch.random.get_rng_state()
        torch.manual_seed(5)
        for _ in range(draws):
            torch.empty((), dtype=torch.int64).random_()
        assert torch.equal(torch.random.get_rng_state(), after)
