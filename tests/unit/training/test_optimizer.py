"""Learning rates, clipping and accumulation do what their names promise."""

import json
import math

import pytest
import torch

from tests.support.models import CONFIG, random_model
from tests.support.oracle import collate_textbook
from tests.support.training_case import CPU, TRAINING, recipe_of, run, update
from workflow.lib.model.weights import load_trained_model
from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.dataloader import read_split
from workflow.lib.tokens.dataset import load_tokens
from workflow.lib.training.arguments import Compute
from workflow.lib.training.finetune import finetune
from workflow.lib.training.optimizer import learning_rate, make_optimizer


def rates(steps, **options):
    training = Training(learning_rate=1.0, **options)
    return [learning_rate(training, step, steps) for step in range(steps)]


def test_learning_rate_is_constant_as_in_the_chapter():
    assert rates(5) == [1.0] * 5


def test_learning_rate_rises_over_the_warmup():
    assert rates(6, warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_learning_rate_falls_in_a_line():
    assert rates(6, warmup_steps=2, decay="linear") == [0.5, 1, 1, 0.75, 0.5, 0.25]


def test_learning_rate_falls_like_torchs_cosine():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for rate in rates(8, decay="cosine"):
        assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_warmup_as_long_as_the_training_is_no_error():
    assert rates(3, warmup_steps=3, decay="cosine") == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("clip_norm", [0.01, 1e6])
def test_clipping_shortens_the_gradient_and_keeps_its_direction(clip_norm):
    """AdamW's first moments after one step are a tenth of the gradient that it was given."""
    model = random_model(1)
    batch = collate_textbook([[1, 2, 3], [4, 5]], 96)
    Engine(model).backward(*batch)
    whole = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    training = Training(clip_norm=clip_norm)
    optimizer = make_optimizer(model, training)
    update(model, optimizer, training, 0, 1)
    given = torch.cat([optimizer.state[p]["exp_avg"].flatten() * 10 for p in model.parameters()])
    expected = whole * min(1, clip_norm / whole.norm())
    torch.testing.assert_close(given, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("micro_batches", [2, 3, 8, 20])
@pytest.mark.parametrize(
    ("packed", "drop_rate"),
    [(True, 0.0), (False, 0.0), (True, 1e-12)],
    ids=["packed", "padded", "padded for dropout"],
)
def test_micro_batches_have_the_gradient_of_the_batch(micro_batches, packed, drop_rate):
    """However unevenly the targets are spread over them; one has none at all."""
    model = random_model(1, type(CONFIG)(**vars(CONFIG) | {"drop_rate": drop_rate})).double()
    sequences = [[1, 2, 3, 4, 5, 6], [7], [8, 9], [1, 2, 5, 5, 5], [3, 3], [4], [5], [6, 6, 1]]
    batch = collate_textbook(sequences, 96, 5, [0, 0, 0, 6, 0, 0, 0, 0])

    def gradients(micro_batches):
        engine = Engine(model, micro_batches=micro_batches, packed=packed)
        model.zero_grad()
        engine.backward(*batch)
        losses = torch.tensor(engine.losses([batch]), dtype=torch.float64)
        return [losses, *(parameter.grad for parameter in model.parameters())]

    for whole, divided in zip(gradients(1), gradients(micro_batches), strict=True):
        torch.testing.assert_close(divided, whole, atol=1e-9, rtol=1e-6)


def test_a_run_in_parts_gives_the_run_in_one(files):
    """1 x 8 equals 8 x 1: losses of every evaluation, and the tokens that are counted."""
    whole, _ = run(files)
    parted, _ = run(files, TRAINING.model_copy(update={"gradient_accumulation": 8}))
    for one, other in zip(whole, parted, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_batch_without_targets_is_refused():
    batch = collate_textbook([[1, 2, 3]], 96, 2, [3])
    with pytest.raises(UserError, match="no responses left after truncation"):
        Engine(random_model(1)).backward(*batch)


def test_the_best_weights_are_those_of_the_lowest_validation_loss(files):
    """With a learning rate that rises until it does harm."""
    rising = {"learning_rate": 0.5, "warmup_steps": 100, "keep": "best", "epochs": 6}
    training = TRAINING.model_copy(update=rising)
    rows, record = run(files, training, Evaluation(every=1, batches=1))
    best = min(rows, key=lambda row: row["val_loss"])
    assert record["kept_step"] == best["step"] < record["steps"] - 1
    model = load_trained_model(files[1].model, files[1].training)
    sequences = load_tokens(files[0].val).sequences[:8]  # a batch, in the order of the file
    [loss] = Engine(model).losses([collate_textbook(sequences, 256, 50)])
    assert loss == pytest.approx(best["val_loss"], abs=1e-5)


def test_long_entries_are_dropped_or_refused_on_request(files, caplog):
    caplog.set_level("INFO", "pipeline")
    split, numbers = read_split(files[0].train, 50)
    dropped, same_numbers = read_split(files[0].train, 50, "drop")
    assert numbers == same_numbers == [n for n, s in enumerate(split.sequences) if len(s) > 50]
    assert len(dropped.sequences) == len(dropped.response_starts) == 43 - len(numbers)
    assert all(len(sequence) <= 50 for sequence in dropped.sequences)
    assert f"{len(numbers)} entries dropped, longer than 50 tokens" in caplog.text
    with pytest.raises(UserError, match=f"{len(numbers)} entries are longer than 50 tokens"):
        read_split(files[0].train, 50, "raise")
    _, record = run(files, TRAINING.model_copy(update={"too_long": "drop"}))
    assert record["too_long"]["train"] == numbers
    assert record["steps"] == 2 * math.floor((43 - len(numbers)) / 8)


def test_training_in_bfloat16_is_close_to_float32(files):
    """The path of CUDA, on the CPU: weights stay float32, losses are near."""
    exact, _ = run(files)
    settings = Computing(precision="bf16")
    finetune(files, recipe_of(), Compute(CPU, settings=settings))
    record = json.loads(files[1].training.read_text())
    assert record["precision"] == "bf16"
    state = torch.load(files[1].model, weights_only=True)
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    rows = files[1].losses.read_text().splitlines()[1:]
    for row, line in zip(exact, rows, strict=True):
        assert row["train_loss"] == pytest.approx(float(line.split(",")[3]), abs=0.05)
