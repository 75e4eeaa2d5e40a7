"""Memory of finetuning GPT-2 with adapters: the whole job on random weights, files to files.

python -m benchmarks.lora [--data FOLDER] [--size xl] [--rank 16] [--parts 8] [--steps 2]

Reads converted weights, measures losses, trains on batches of 8 in `parts` micro-batches, writes
samples, adapters and the merged model, in its own process, whose peak is reported. Needs 13 GB
of disk for xl. Without data the vocabulary is the small world's: the model is smaller.
"""

import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.common import SMALL_WORLD, arguments, load_entries, machine
from workflow.lib.model.gpt import GPTConfig, GPTModel
from workflow.lib.runtime.files import write_json
from workflow.lib.settings.recipe import Lora, Training
from workflow.lib.tokens.dataset import tokenize_split
from workflow.lib.tokens.prompt_style import load_style

SIZES = {
    "small": {"emb_dim": 768, "n_heads": 12, "n_layers": 12},
    "medium": {"emb_dim": 1024, "n_heads": 16, "n_layers": 24},
    "large": {"emb_dim": 1280, "n_heads": 20, "n_layers": 36},
    "xl": {"emb_dim": 1600, "n_heads": 25, "n_layers": 48},
}
FINETUNE = """
import json, sys
from pathlib import Path
from workflow.lib.model.device import prepare_device
from workflow.lib.training.arguments import Compute, FinetuneFiles, FinetuneRecipe, Inputs, Outputs
from workflow.lib.training.finetune import finetune
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Training
from workflow.lib.tokens.tokenizer import load_tokenizer
folder, tokenizer, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
inputs = ("model.safetensors", "train.npz", "val.npz", "val.json")
outputs = ("model.pth", "losses.csv", "samples.json", "training.json", "adapter.safetensors")
training = Training(**json.loads((folder / "settings.json").read_text()))
finetune(
    FinetuneFiles(
        Inputs(*(folder / name for name in inputs)), Outputs(*(folder / name for name in outputs))
    ),
    FinetuneRecipe(
        load_tokenizer(tokenizer), load_style("alpaca"), training, Evaluation(batches=1)
    ),
    Compute(prepare_device(Computing(device="cpu", threads=threads))),
)
"""


def main() -> None:
    chosen = arguments(__doc__, size="xl", rank=16, parts=8, steps=2)
    entries, tokenizer = load_entries(chosen.data)
    files = chosen.data / "gpt2-tokenizer" if chosen.data else SMALL_WORLD / "nano-1M"
    config = GPTConfig(tokenizer.n_vocab, 1024, **SIZES[chosen.size])
    lora = Lora(rank=chosen.rank, alpha=chosen.rank)
    training = Training(epochs=1, gradient_accumulation=chosen.parts, lora=lora)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, part in (("train", entries[: 8 * chosen.steps]), ("val", entries[-8:])):
            write_json(folder / f"{split}.json", part)
            style = load_style("alpaca")
            tokenize_split(folder / f"{split}.json", tokenizer, style, folder / f"{split}.npz")
        write_json(folder / "settings.json", training.model_dump())
        write_random_weights(folder / "model.safetensors", config)
        command = [sys.executable, "-c", FINETUNE, folder, files, str(chosen.threads)]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux
        record = json.loads((folder / "training.json").read_text())
        print(machine())
        print(f"{record['parameters']:,} parameters, {record['trainable_parameters']:,} trained")
        print(f"{record['steps']} steps of 8 entries in {chosen.parts} parts: {took:.0f} s in all")
        print(f"peak memory of the process: {peak * 1024 / 1e9:.2f} GB")
        for file in ("adapter.safetensors", "model.pth"):
            print(f"{file}: {(folder / file).stat().st_size / 1e9:.2f} GB")


def write_random_weights(path: Path, config: GPTConfig) -> None:
    """Write weights as `convert_checkpoint` does, one by one to save memory."""
    with torch.device("meta"):
        state = GPTModel(config).state_dict()
    del state["out_head.weight"]
    shape = {k: v for k, v in asdict(config).items() if k not in ("drop_rate", "qkv_bias")}
    header, end = {"__metadata__": {"config": json.dumps(shape)}}, 0
    for name, tensor in state.items():
        begin, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": [*tensor.shape], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, tensor in state.items():
            center = 1.0 if name.endswith("scale") else 0.0
            file.write(torch.normal(center, 0.02, tensor.shape).numpy().tobytes())


if __name__ == "__main__":
    main()
