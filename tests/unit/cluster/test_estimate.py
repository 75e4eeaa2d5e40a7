"""What jobs ask for, from model, recipe and data; and what is refused."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

from tests.support.paths import ROOT
from workflow.lib.cluster import estimate
from workflow.lib.cluster.estimate import (
    MB,
    asked_for,
    convert_needs,
    export_needs,
    finetune_needs,
    generate_needs,
    refuse_if_too_large,
)
from workflow.lib.cluster.workload import UNKNOWN, Workload, workload_of_entries
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.model.shape import GPT2, Shape, shape_of_source
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.cluster import JobResources, Limits, RecipeResources
from workflow.lib.settings.load import load_settings
from workflow.lib.settings.recipe import Recipe
from workflow.lib.settings.root import compared

BOOK = Workload(entries=935, longest=141, tokens=70_000)


def recipe(**training) -> Recipe:
    return Recipe(dataset="few", training=training)


@pytest.mark.parametrize("shape", [Shape(3000, 256, 64, 3), GPT2["124M"]])
def test_parameters_are_counted_as_the_model_has_them(shape):
    with torch.device("meta"):
        model = GPTModel(GPTConfig(**vars(shape), n_heads=4))
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("rank", [1, 16])
def test_adapters_are_counted_as_every_linear_layer_has_one(rank):
    shape = Shape(3000, 256, 64, 3)
    with torch.device("meta"):
        model = GPTModel(GPTConfig(**vars(shape), n_heads=4))
    linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    counted = sum(rank * (layer.in_features + layer.out_features) for layer in linear)
    assert shape.adapter_parameters(rank) == counted


def test_full_finetuning_takes_16_bytes_a_parameter():
    small, large = (
        finetune_needs(GPT2[size], recipe(), UNKNOWN).gpu_mb for size in ("124M", "1558M")
    )
    difference = GPT2["1558M"].parameters - GPT2["124M"].parameters
    assert (large - small) * 1e6 == pytest.approx(1.15 * 16 * difference, rel=1e-3)


# GB that torch reserved on an H100 for a batch of 8 in bfloat16, as benchmarks/README.md has them:
# size, positions of an entry, rank of adapters (0 without).
ON_AN_H100 = [
    ("124M", 64, 0, 3.27), ("124M", 256, 0, 4.74), ("355M", 64, 0, 7.12), ("355M", 256, 0, 9.29),
    ("355M", 64, 16, 3.52), ("774M", 64, 0, 15.15), ("774M", 256, 0, 18.26), ("774M", 64, 16, 6.77),
    ("1558M", 64, 0, 28.86), ("1558M", 256, 0, 32.94), ("1558M", 64, 16, 12.55),
]  # fmt: skip


@pytest.mark.parametrize(("size", "length", "rank", "reserved"), ON_AN_H100)
def test_what_a_gpu_was_measured_to_take_is_asked_for(size, length, rank, reserved):
    """With the 0.72 GB of CUDA itself: not below, and not much above."""
    lora = {"lora": {"rank": rank, "alpha": rank}} if rank else {}
    needs = finetune_needs(GPT2[size], recipe(**lora), Workload(8, length, 8 * length), "cuda")
    assert reserved + 0.72 < needs.gpu_mb / 1000 < 1.4 * (reserved + 0.72)


def test_memory_grows_with_the_batch_and_shrinks_with_its_parts():
    def needs(**training):
        return finetune_needs(GPT2["124M"], recipe(**training), BOOK, "cpu").mem_mb

    assert (
        needs(batch_size=16) > needs(batch_size=8) == needs(batch_size=16, gradient_accumulation=2)
    )
    assert needs(max_length=64) < needs(max_length=141) == needs(max_length=1024)
    assert needs(keep="best") >= needs()


def test_a_processor_computes_in_the_memory_of_the_host_alone():
    needs = finetune_needs(GPT2["124M"], recipe(), BOOK, "cpu")
    assert needs.gpu_mb == 0
    assert needs.minutes > finetune_needs(GPT2["124M"], recipe(), BOOK).minutes
    assert generate_needs(GPT2["124M"], recipe(), BOOK, "cpu").gpu_mb == 0


def test_generating_needs_less_than_finetuning():
    finetune, generate = (
        needs(GPT2["1558M"], recipe(), BOOK) for needs in (finetune_needs, generate_needs)
    )
    assert generate.gpu_mb < finetune.gpu_mb


# Peaks on a CPU of the default run's jobs, of their own process, as benchmarks/README.md has them.
MEASURED = {"pico": (384, 310), "nano": (397, 343)}
SMALL = {"pico": Shape(3000, 256, 96, 3), "nano": Shape(3000, 256, 128, 4)}
TRAINED_ON, ANSWERED = Workload(880, 90, 50_000), Workload(110, 70, 6_000)


@pytest.fixture(params=[estimate.TORCH_CPU, estimate.TORCH_CUDA], ids=["torch-cpu", "torch-cuda"])
def python(request, monkeypatch):
    """The memory of a process with torch, as with each build of it."""
    monkeypatch.setattr(estimate, "python", lambda: request.param)
    return request.param


@pytest.mark.parametrize("size", SMALL)
def test_requests_for_the_small_world_are_near_what_its_jobs_take(size, python):
    """With the two Snakemakes of a submitted job: not below, and not much above."""
    more = 380 if python == estimate.TORCH_CUDA else 0  # measured, MB
    finetune, generate = MEASURED[size]
    training = recipe(max_length=256)
    for needs, peak in (
        (finetune_needs(SMALL[size], training, TRAINED_ON, "cpu"), finetune + more),
        (generate_needs(SMALL[size], training, ANSWERED, "cpu"), generate + more),
    ):
        assert peak + 342 < needs.mem_mb < 1.55 * (peak + 342)
    assert 270 + more + 342 < export_needs(SMALL["nano"]).mem_mb < 1.5 * (270 + more + 342)
    assert 561 + 489 + 342 < convert_needs(5 * 10**6).mem_mb < 1.5 * (561 + 489 + 342)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [(["libtorch_cpu.so"], estimate.TORCH_CPU),
     (["libtorch_cpu.so", "libtorch_cuda.so"], estimate.TORCH_CUDA), (None, estimate.TORCH_CUDA)],
    ids=["for the CPU", "for CUDA", "unknown"],
)  # fmt: skip
def test_memory_of_python_depends_on_the_build_of_torch(tmp_path, monkeypatch, installed, expected):
    """Torch for CUDA is larger without a GPU, too; jobs may have it where Snakemake has none."""
    found = None if installed is None else SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    (tmp_path / "lib").mkdir()
    for name in installed or ():
        (tmp_path / "lib" / name).touch()
    monkeypatch.setattr(estimate, "find_spec", lambda name: found)
    assert estimate.python.__wrapped__() == expected  # not what is kept for this process


def test_the_build_of_torch_is_seen_without_importing_it():
    code = (
        "import sys; from workflow.lib.cluster.estimate import python; "
        "print(python(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    expected = estimate.TORCH_CUDA if torch.version.cuda else estimate.TORCH_CPU
    assert done.stdout.split() == [str(expected), "False"]


def test_several_processes_need_one_snakemake_and_one_process_that_starts_them(python):
    one, two, four = (
        finetune_needs(
            GPT2["124M"], recipe().model_copy(update={"gpus": gpus, "sharding": "none"}), UNKNOWN
        ).mem_mb
        for gpus in (1, 2, 4)
    )
    each = (four - two) / 2
    assert two - one == pytest.approx(each + 1.15 * python / MB, abs=3)
    assert one - each == pytest.approx(1.15 * 350, abs=3)


def test_converting_and_exporting_grow_with_the_model():
    assert export_needs(GPT2["1558M"]).mem_mb - export_needs(GPT2["124M"]).mem_mb == pytest.approx(
        1.15 * 12 * (GPT2["1558M"].parameters - GPT2["124M"].parameters) / 1e6, abs=2
    )
    assert convert_needs(2 * 10**9).mem_mb - convert_needs(10**9).mem_mb == pytest.approx(
        3450, abs=2
    )
    assert export_needs(GPT2["124M"]).gpu_mb == convert_needs(1).gpu_mb == 0


def test_every_attempt_asks_for_more():
    needs = finetune_needs(GPT2["124M"], recipe(), BOOK)
    first, second, third = (asked_for(needs, JobResources(), attempt) for attempt in (1, 2, 3))
    assert first == {"mem_mb": needs.mem_mb, "runtime": needs.minutes}
    assert second["mem_mb"] == pytest.approx(1.5 * needs.mem_mb, abs=1)
    assert third["runtime"] == 3 * needs.minutes


def test_a_recipe_may_say_what_to_ask_for():
    needs = finetune_needs(GPT2["124M"], recipe(), BOOK)
    override = JobResources(mem_mb=5000, runtime=90)
    assert asked_for(needs, override) == {"mem_mb": 5000, "runtime": 90}
    assert asked_for(needs, override, 2) == {"mem_mb": 7500, "runtime": 180}


def refusal(shape, recipe, data, limits) -> str:
    with pytest.raises(UserError) as refused:
        refuse_if_too_large("finetune xl book", shape, recipe, data, limits)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_fits_or_has_no_limit_is_not_refused():
    """To the megabyte: what is needed is no less than what is allowed."""
    refuse_if_too_large("x", GPT2["1558M"], recipe(), BOOK, Limits())
    needs = finetune_needs(GPT2["124M"], recipe(), BOOK)
    enough = Limits(gpu_memory_gb=needs.gpu_mb / 1000, mem_mb=needs.mem_mb)
    refuse_if_too_large("x", GPT2["124M"], recipe(), BOOK, enough)
    for short in (
        Limits(gpu_memory_gb=(needs.gpu_mb - 1) / 1000, mem_mb=needs.mem_mb),
        Limits(gpu_memory_gb=needs.gpu_mb / 1000, mem_mb=needs.mem_mb - 1),
    ):
        refusal(GPT2["124M"], recipe(), BOOK, short)


def test_the_smallest_number_of_parts_that_fits_is_named():
    data = Workload(1000, 1024, 10**6)
    limits = Limits(gpu_memory_gb=6.5)
    said = refusal(GPT2["124M"], recipe(), data, limits)
    assert "finetune xl book needs" in said
    assert "limits.gpu_memory_gb is 6.5" in said
    parts = int(said.rpartition("training.gradient_accumulation: ")[2])
    assert parts > 1
    refuse_if_too_large("x", GPT2["124M"], recipe(gradient_accumulation=parts), data, limits)
    fewer = max(n for n in (1, 2, 4, 8) if n < parts)
    refusal(GPT2["124M"], recipe(gradient_accumulation=fewer), data, limits)


def test_where_no_batch_fits_another_way_is_named():
    said = refusal(GPT2["1558M"], recipe(batch_size=1), BOOK, Limits(gpu_memory_gb=24))
    assert said.endswith("it would fit with training.lora: {rank: 16}")


def test_adapters_leave_six_bytes_a_frozen_parameter():
    """In float32 and, on a GPU, its copy in bfloat16."""
    full, adapted = (
        finetune_needs(GPT2["1558M"], recipe(lora=lora), UNKNOWN).gpu_mb
        for lora in (None, {"rank": 16})
    )
    learned = GPT2["1558M"].adapter_parameters(16)
    saved = 10 * GPT2["1558M"].parameters - 12 * learned
    assert (full - adapted) * 1e6 == pytest.approx(1.15 * saved, rel=1e-3)


def test_where_nothing_helps_that_is_said():
    said = refusal(GPT2["1558M"], recipe(), UNKNOWN, Limits(mem_mb=4000))
    assert said.endswith("limits.mem_mb is 4000; use a smaller model")


def test_more_than_there_is_may_not_be_asked_for_either():
    asking = recipe().model_copy(
        update={"resources": RecipeResources(finetune=JobResources(mem_mb=9000))}
    )
    said = refusal(GPT2["124M"], asking, BOOK, Limits(mem_mb=8000))
    assert said.endswith(
        "asks for mem_mb 9000, limits.mem_mb is 8000; lower resources.finetune.mem_mb of the recipe"
    )


@pytest.mark.parametrize("size", GPT2)
def test_gpt2_is_known_by_its_address_before_it_is_downloaded(size, tmp_path):
    assert shape_of_source(f"https://example.org/gpt-2/models/{size}/", tmp_path) == GPT2[size]


def test_a_local_checkpoint_is_known_by_its_file_and_others_are_not(tmp_path):
    names = {"n_vocab": 3000, "n_ctx": 256, "n_embd": 64, "n_head": 4, "n_layer": 3}
    (tmp_path / "hparams.json").write_text(json.dumps(names))
    assert shape_of_source(str(tmp_path), tmp_path / "none") == Shape(3000, 256, 64, 3)
    assert shape_of_source("https://example.org/mine", tmp_path / "none") is None
    (tmp_path / "hparams.json").write_text("{}")
    assert shape_of_source(str(tmp_path), tmp_path / "none") is None


def test_the_length_of_prompts_is_estimated_from_their_bytes(tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps([{"instruction": "a" * 100, "input": ""},
                                {"instruction": "b" * 10, "input": "c" * 10}]))  # fmt: skip
    assert workload_of_entries(path) == Workload(2, 114, 188)


def test_what_is_asked_for_is_no_part_of_what_is_compared():
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    before = compared(load_settings(config))
    config["limits"] = {"gpu_memory_gb": 80, "mem_mb": 10**6}
    config["recipes"]["small-world"]["resources"] = {"finetune": {"mem_mb": 1, "runtime": 1}}
    assert compared(load_settings(config)) == before
