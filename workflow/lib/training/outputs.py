"""What a finished finetuning writes."""

from dataclasses import asdict, fields

from workflow.lib.model.device import peak_memory
from workflow.lib.model.lora import add_adapters, merge_adapters, save_adapters
from workflow.lib.model.weights import load_base_model, load_trainable, save_model, trainable_state
from workflow.lib.runtime.files import write_csv, write_json
from workflow.lib.training.arguments import Compute, Files, FinetuneRecipe
from workflow.lib.training.data import FinetuneData
from workflow.lib.training.progress import Losses
from workflow.lib.training.run import Run


def write_outputs(
    files: Files, recipe: FinetuneRecipe, compute: Compute, data: FinetuneData, run: Run
) -> None:
    """Write weights, losses, samples and the record; then remove the checkpoint.

    All processes call it, and the leader writes.
    """
    engine, progress, outputs, lora = run.engine, run.progress, files.outputs, recipe.training.lora
    weights = progress.best_weights
    if weights is None:
        weights = engine.full_state(trainable_state(engine.model))
    peaks = engine.world.gather(peak_memory(compute.device))
    if not engine.world.is_leader:
        return
    model = engine.model
    if engine.sharded:  # loaded again: the leader holds only a part of each weight
        model = load_base_model(files.inputs.weights, recipe.training.drop_rate)
        if lora:
            add_adapters(model, lora, recipe.training.seed)
    load_trainable(model, weights)
    if lora:
        if outputs.adapter:
            save_adapters(model, lora, run.record["inputs"]["weights"], outputs.adapter)
        merge_adapters(model)

    save_model(model, outputs.model)
    columns = [field.name for field in fields(Losses)]
    write_csv(outputs.losses, columns, map(asdict, progress.losses))
    write_json(outputs.samples, progress.samples)
    speed = round(progress.tokens_seen / progress.seconds) if progress.step else None
    result = {
        "initial_losses": dict(zip(("train", "val"), progress.initial_losses, strict=True)),
        "steps": progress.step,
        "kept_step": progress.kept_step,
        "tokens_seen": progress.tokens_seen,
        "too_long": data.too_long,
        "cut_before_response": data.unanswered,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": speed,
        "processes": engine.world.world_size,
        "sharded": engine.sharded,
        "peak_memory_bytes": max(peaks),
        "resumed_at": progress.resumed_at,
    }
    write_json(outputs.training, run.record | result)
    run.checkpoint.remove()
