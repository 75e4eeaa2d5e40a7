"""Finetuning gives the chapter's numbers, batch for batch."""

import json
from dataclasses import replace

import pytest
import torch

from tests.support.oracle import finetune_textbook
from tests.support.training_case import CONFIG, TRAINING, random_split, run, write_weights
from workflow.lib.model.weights import load_base_model
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.dataloader import make_dataloader


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
    assert (
        f"{len(cut)} entries truncated to 50 tokens: {', '.join(map(str, cut[:10]))}" in caplog.text
    )


def test_evaluating_draws_random_numbers_as_the_chapter_does():
    """One pass over the shuffled loader takes two draws, over the other loader one."""
    split = random_split(20, 4)
    shuffled = make_dataloader(split, 256, TRAINING, 50, shuffle=True)
    plain = make_dataloader(split, 256, TRAINING, 50, shuffle=False)
    for loader, draws in ((shuffled, 2), (plain, 1)):
        torch.manual_seed(5)
        next(iter(loader))
        after = torch.random.get_rng_state()
        torch.manual_seed(5)
        for _ in range(draws):
            torch.empty((), dtype=torch.int64).random_()
        assert torch.equal(torch.random.get_rng_state(), after)
