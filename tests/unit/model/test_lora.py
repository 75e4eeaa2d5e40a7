"""Adapters on every linear layer: what trains, what stays, and that merging changes nothing."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from torch import nn

from tests.support.killed_training import checkpoint_of, finish, kill_after
from tests.support.models import random_model
from tests.support.oracle import logits_of
from tests.support.training_case import (
    BYTES,
    CONFIG,
    CPU,
    TRAINING,
    run,
    update,
    write_weights,
)
from workflow.lib.generation.generate import generate
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.lora import (
    LoraLinear,
    add_adapters,
    merge_adapters,
)
from workflow.lib.model.weights import (
    load_base_model,
    load_trainable,
    load_trained_model,
    trainable_state,
)
from workflow.lib.parallel.engine import Engine
from workflow.lib.runtime.digests import check_digest, record_of, sha256_of
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Lora, Training
from workflow.lib.tokens.collate import collate
from workflow.lib.tokens.dataloader import make_dataloader
from workflow.lib.tokens.dataset import load_tokens, tokenize_split
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.arguments import Compute, FinetuneFiles, FinetuneRecipe
from workflow.lib.training.finetune import finetune
from workflow.lib.training.optimizer import make_optimizer

LORA = Lora(rank=4, alpha=8)
LORA_TRAINING = TRAINING.model_copy(update={"lora": LORA, "learning_rate": 1e-2})
SEQUENCES = [[1, 2, 3, 4, 5, 6], [1, 2, 9, 8], [1, 2, 7, 7, 7, 3, 4], [1, 2, 5]]


def adapted(settings=LORA, seed=1, config=CONFIG):
    """A random model with adapters whose B is no longer zero."""
    model = random_model(seed, config)
    add_adapters(model, settings, seed)
    random = torch.Generator().manual_seed(seed)
    for name, weight in trainable_state(model).items():
        if name.endswith(".B"):
            weight.normal_(0, 0.3, generator=random)
    return model


@pytest.fixture
def lora_files(files):
    inputs, outputs = files
    return FinetuneFiles(
        inputs, replace(outputs, adapter=outputs.model.with_name("adapter.safetensors"))
    )


def test_gpt2_medium_has_the_published_number_of_trainable_parameters():
    """Exercise 7.4 prints 7,898,384 at rank 16, the output head included."""
    with torch.device("meta"):
        model = GPTModel(GPTConfig(50257, 1024, emb_dim=1024, n_heads=16, n_layers=24))
    add_adapters(model, Lora(rank=16, alpha=16), seed=123)
    assert sum(weight.numel() for weight in trainable_state(model).values()) == 7_898_384
    assert sum(isinstance(part, LoraLinear) for part in model.modules()) == 24 * 6 + 1


@pytest.mark.parametrize("fan", ["inputs", "rank"])
def test_a_new_adapter_changes_nothing_and_starts_as_kaiming_has_it(fan):
    plain, model = random_model(1, CONFIG), random_model(1, CONFIG)
    before = torch.random.get_rng_state()
    add_adapters(model, Lora(rank=4, fan=fan), seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)
    tokens = torch.arange(24).view(2, 12)
    assert torch.equal(model(tokens), plain(tokens))
    for layer in (part for part in model.modules() if isinstance(part, LoraLinear)):
        bound = 1 / math.sqrt(layer.layer.in_features if fan == "inputs" else 4)
        assert 0.9 * bound < layer.A.abs().max() <= bound
        assert not layer.B.any()


def test_adapters_come_from_the_seed_alone():
    first, again, other = random_model(1), random_model(1), random_model(1)
    torch.manual_seed(1)
    add_adapters(first, LORA, seed=7)
    torch.manual_seed(2)
    add_adapters(again, LORA, seed=7)
    add_adapters(other, LORA, seed=8)
    name = "trf_blocks.0.att.W_query.A"
    states = [trainable_state(model)[name] for model in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_the_addition_is_scaled_by_alpha_over_rank():
    """W + (alpha / rank) B A, written out; double the alpha is double the addition."""
    layer = nn.Linear(6, 5)
    x = torch.randn(3, 6)
    for alpha in (8.0, 16.0):
        with_adapter = LoraLinear(layer, Lora(rank=2, alpha=alpha), torch.Generator())
        nn.init.normal_(with_adapter.B)
        expected = layer(x) + x @ (alpha / 2 * with_adapter.B @ with_adapter.A).T
        torch.testing.assert_close(with_adapter(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("qkv_bias", [True, False])
def test_merged_equals_unmerged(qkv_bias):
    """Logits, the loss of a packed batch, and generated tokens; the result is a plain model."""
    model = adapted(config=replace(CONFIG, qkv_bias=qkv_bias))
    tokens = torch.arange(24).view(2, 12)
    [loss] = Engine(model).losses([collate(SEQUENCES, 256)])
    logits, written = model(tokens), dict(generate(model, SEQUENCES, 8, 256))
    places = {weight.data_ptr() for weight in model.parameters() if not weight.requires_grad}
    merge_adapters(model)
    torch.testing.assert_close(model(tokens), logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits_of(model, tokens), logits, atol=1e-5, rtol=1e-4)
    [merged_loss] = Engine(model).losses([collate(SEQUENCES, 256)])
    assert merged_loss == pytest.approx(loss, abs=1e-5, rel=1e-4)
    assert dict(generate(model, SEQUENCES, 8, 256)) == written
    assert model.state_dict().keys() == random_model(1, model.config).state_dict().keys()
    assert not any(isinstance(part, LoraLinear) for part in model.modules())
    # In place: no second copy of the weights.
    assert {weight.data_ptr() for weight in model.parameters()} == places


@pytest.mark.parametrize("drop_rate", [0.0, 1e-12], ids=["packed", "padded"])
@pytest.mark.parametrize("parts", [1, 3])
def test_gradients_are_those_of_the_merged_weights(drop_rate, parts):
    """dL/dA = s B' dL/dW and dL/dB = s dL/dW A', with dL/dW from the plain model."""
    config = replace(CONFIG, drop_rate=drop_rate)
    model, plain = adapted(config=config).double(), adapted(config=config).double()
    merge_adapters(plain)
    for one in (model, plain):
        Engine(one, micro_batches=parts).backward(*collate(SEQUENCES, 256))
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLinear):
            whole = plain.get_submodule(name).weight.grad
            for found, expected in (
                (layer.A.grad, layer.scale * layer.B.T @ whole),
                (layer.B.grad, layer.scale * whole @ layer.A.T),
            ):
                torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6, msg=name)
            assert layer.layer.weight.grad is None


@pytest.mark.parametrize("bf16", [False, True])
def test_only_adapters_train(bf16):
    """The base has no gradients and no optimizer state, and does not move."""
    model = random_model(1, CONFIG)
    add_adapters(model, LORA, seed=1)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    training = Training(learning_rate=1e-2, clip_norm=1.0)
    optimizer = make_optimizer(model, training)

    engine, batch = Engine(model, bf16=bf16), collate(SEQUENCES, 256)
    [first] = engine.losses([batch])
    for step in range(20):
        engine.backward(*batch)
        frozen = [w for w in model.parameters() if not w.requires_grad]
        assert all(weight.grad is None for weight in frozen)
        update(model, optimizer, training, step, 20)
    [last] = engine.losses([batch])
    assert last < 0.5 * first
    trained = trainable_state(model)
    assert len(optimizer.state) == len(trained) == 2 * (6 * CONFIG.n_layers + 1)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]) != (name in trained), name
    assert {weight.dtype for weight in trained.values()} == {torch.float32}


def test_a_run_leaves_a_small_adapter_and_a_plain_merged_model(lora_files):
    inputs, outputs = lora_files
    rows, record = run(lora_files, LORA_TRAINING)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] < record["initial_losses"]["train"]
    assert record["parameters"] == sum(w.numel() for w in random_model(1, CONFIG).parameters())
    assert record["trainable_parameters"] == 4 * (2 * (4 * 64 + 2 * 160) + 32 + 257)
    assert record["training"]["lora"] == {"rank": 4, "alpha": 8.0, "fan": "inputs"}

    with safe_open(outputs.adapter, framework="pt") as stored:
        metadata = stored.metadata()
        adapters = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    assert len(adapters) == 2 * (6 * CONFIG.n_layers + 1)
    digest = sha256_of(inputs.weights)
    check_digest(outputs.adapter)
    assert record_of(outputs.adapter).is_file()
    assert (metadata["rank"], metadata["alpha"]) == ("4", "8.0")
    assert metadata["base_sha256"] == digest
    assert outputs.adapter.stat().st_size < 4 * record["trainable_parameters"] + 8000

    merged = load_trained_model(outputs.model, outputs.training)
    model = load_base_model(inputs.weights)
    add_adapters(model, LORA, seed=0)
    load_trainable(model, adapters)
    tokens = torch.arange(24).view(2, 12)
    torch.testing.assert_close(model(tokens), merged(tokens), atol=1e-5, rtol=1e-4)
    merge_adapters(model)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, merged.state_dict()[name]), name


def test_initial_losses_and_batches_are_those_of_full_finetuning(lora_files):
    """Drawing the adapters does not move the order of the batches."""
    rows, record = run(lora_files, LORA_TRAINING.model_copy(update={"learning_rate": 1e-12}))
    full, full_record = run(lora_files, TRAINING.model_copy(update={"learning_rate": 1e-12}))
    assert record["initial_losses"] == pytest.approx(full_record["initial_losses"], abs=1e-5)
    for row, other in zip(rows, full, strict=True):
        assert row == pytest.approx(other, abs=1e-4)


def test_the_best_adapters_are_kept(lora_files):
    rising = {"learning_rate": 0.5, "warmup_steps": 100, "keep": "best", "epochs": 6}
    training = LORA_TRAINING.model_copy(update=rising)
    rows, record = run(lora_files, training, Evaluation(every=1, batches=1))
    best = min(rows, key=lambda row: row["val_loss"])
    assert record["kept_step"] == best["step"] < record["steps"] - 1
    model = load_trained_model(lora_files[1].model, lora_files[1].training)
    sequences = load_tokens(lora_files[0].val).sequences[:8]  # a batch, in the order of the file
    [loss] = Engine(model).losses([collate(sequences, 256, 50)])
    assert loss == pytest.approx(best["val_loss"], abs=1e-4)


@pytest.mark.parametrize("drop_rate", [0.0, 0.1])
def test_a_killed_training_of_adapters_ends_with_the_same_bytes(lora_files, tmp_path, drop_rate):
    training = LORA_TRAINING.model_copy(
        update={"epochs": 6, "keep": "best", "gradient_accumulation": 3, "drop_rate": drop_rate}
    )
    names = vars(lora_files[1]).items()
    elsewhere = type(lora_files[1])(**{n: tmp_path / "elsewhere" / p.name for n, p in names})
    expected, _ = finish((lora_files[0], elsewhere), training)
    kill_after(lora_files, training, 3, 0.0005)
    checkpoint = torch.load(checkpoint_of(lora_files), weights_only=True)
    assert all(name.endswith((".A", ".B")) for name in checkpoint["model"])
    assert len(checkpoint["optimizer"]["state"]) == len(checkpoint["model"])
    found, record = finish(lora_files, training)
    assert found == expected
    assert len(record["resumed_at"]) == 1
    assert lora_files[1].adapter.read_bytes() == elsewhere.adapter.read_bytes()


@pytest.mark.parametrize("style", ["phi3", "alpaca"])
@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_combine_with_style_masking_and_precision(
    lora_files, style, mask_prompt, precision
):
    """From entries to a merged model that has learned what it was taught."""
    inputs, outputs = lora_files
    style = load_style(style)
    write_weights(inputs.weights, replace(CONFIG, context_length=256))
    entries = [{"instruction": f"Say {n}.", "input": "", "output": "yes"} for n in range(16)]
    for path in (inputs.train, inputs.val):
        inputs.val_entries.write_text(json.dumps(entries))
        tokenize_split(inputs.val_entries, BYTES, style, path)
    training = LORA_TRAINING.model_copy(
        update={"mask_prompt": mask_prompt, "max_length": 256, "epochs": 3}
    )
    recipe = FinetuneRecipe(BYTES, style, training, Evaluation())
    finetune(lora_files, recipe, Compute(CPU, settings=Computing(precision=precision)))
    record = json.loads(outputs.training.read_text())
    loader = make_dataloader(load_tokens(inputs.val), 256, training, 256, shuffle=False)
    model = load_trained_model(outputs.model, outputs.training)
    losses = Engine(model).losses(loader)
    assert sum(losses) / len(losses) < 0.7 * record["initial_losses"]["val"]
    assert record["precision"] == precision
    assert outputs.adapter.exists()
