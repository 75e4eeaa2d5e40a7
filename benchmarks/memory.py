"""Peak memory of finetuning and generating, compared with workflow/lib/cluster/estimate.py.

python -m benchmarks.memory [--sizes nano,124M] [--threads N]

Real jobs with random weights, each in its own process; the entries share no prefix, so that nothing
is computed once for several of them.
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tiktoken
import torch

from benchmarks.common import ROOT, machine
from workflow.lib.cluster.estimate import finetune_needs, generate_needs
from workflow.lib.cluster.workload import Workload
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.generation.responses import write_responses
from workflow.lib.model.device import peak_memory, prepare_device
from workflow.lib.model.shape import GPT2, Shape
from workflow.lib.model.weights import load_trained_model
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation, Generation, Recipe, Training
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.training.arguments import Compute, FinetuneFiles, FinetuneRecipe, Inputs, Outputs
from workflow.lib.training.finetune import finetune

SIZES = {"nano": Shape(3000, 256, 128, 4), **GPT2}
HEADS = {"nano": 4, "124M": 12, "355M": 16, "774M": 20, "1558M": 25}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """One job: its rule, and the sizes that its memory depends on."""

    rule: str
    size: str
    batch_size: int = 8
    gradient_accumulation: int = 1
    length: int = 64
    lora_rank: int = 0

    @property
    def recipe(self) -> Recipe:
        lora = {"lora": {"rank": self.lora_rank, "alpha": self.lora_rank}} if self.lora_rank else {}
        return Recipe(
            dataset="none",
            training=Training(
                epochs=1,
                batch_size=self.batch_size,
                gradient_accumulation=self.gradient_accumulation,
                **lora,
            ),
            evaluation=Evaluation(every=2, batches=1),
            generation=Generation(max_new_tokens=8),
        )


CASES = [
    Case("finetune", "nano"),
    Case("generate", "nano"),
    Case("finetune", "124M"),
    Case("finetune", "124M", length=256),
    Case("finetune", "124M", length=256, gradient_accumulation=4),
    Case("finetune", "124M", batch_size=2, length=1000),
    Case("generate", "124M", length=100),
    Case("generate", "124M", length=500),
    Case("finetune", "355M"),
    Case("finetune", "355M", length=256),
    Case("generate", "355M", length=100),
    Case("finetune", "1558M", lora_rank=16),
]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="nano,124M")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--case", help="for internal use: one job, as JSON")
    chosen = parser.parse_args()
    prepare_device(Computing(device="cpu", threads=chosen.threads))
    if chosen.case:
        print(measure(Case(**json.loads(chosen.case))))
        return
    print(machine())
    print(f"{'':44}{'peak, GB':>10}{'formula':>10}")
    for case in CASES:
        if case.size in chosen.sizes.split(","):
            command = [sys.executable, "-m", "benchmarks.memory", "--case",
                       json.dumps(asdict(case)), "--threads", str(chosen.threads)]  # fmt: skip
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            peak, asked = json.loads(done.stdout.splitlines()[-1])
            batch = f"{case.batch_size}/{case.gradient_accumulation}"
            parts = [case.rule, case.size, batch, f"length {case.length}"]
            if case.lora_rank:
                parts.append(f"LoRA {case.lora_rank}")
            print(f"{' '.join(parts):44}{peak / 1e9:10.2f}{asked / 1e9:10.2f}", flush=True)


def measure(case: Case, device: torch.device = CPU) -> list[int]:
    """Return the peak memory of a real job on the host and the estimate, in bytes."""
    shape, recipe, style = SIZES[case.size], case.recipe, load_style("alpaca")
    config = {**asdict(shape), "n_heads": HEADS[case.size]}
    tokenizer = _tokenizer(shape.vocab_size)
    count, draw = 2 * case.batch_size, np.random.default_rng(123)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {n: folder / n for n in ("model.safetensors", "model.pth", "entries.json")}
        subprocess.run(  # in its own process, so that its memory does not count
            [sys.executable, "-c", _MAKE_WEIGHTS, json.dumps(config), case.rule, str(folder)],
            cwd=ROOT, check=True,
        )  # fmt: skip
        texts = ["".join(map(chr, draw.integers(97, 123, case.length))) for _ in range(count)]
        entries = [{"instruction": text, "input": "", "output": "x"} for text in texts]
        files["entries.json"].write_text(json.dumps(entries))
        if case.rule == "generate":
            model = load_trained_model(files["model.pth"], folder / "training.json")
            speed_up(model, device)
            write_responses(
                model.to(device), files["entries.json"], tokenizer, style, recipe.generation,
                folder / "responses.json",
            )  # fmt: skip
            longest = max(len(tokenizer.encode_ordinary(style.prompt(e))) for e in entries)
            work = Workload(count, longest, count * longest)
            asked = generate_needs(shape, recipe, work, device.type).mem_mb
            return [peak_memory(CPU), asked * 10**6]
        for split in ("train", "val"):
            np.savez(
                folder / f"{split}.npz",
                token_ids=draw.integers(0, shape.vocab_size - 1, count * case.length, np.int32),
                offsets=np.arange(count + 1) * case.length,
                response_starts=np.ones(count, int),
            )
        inputs = (files["model.safetensors"], folder / "train.npz", folder / "val.npz",
                  files["entries.json"])  # fmt: skip
        outputs = ("out.pth", "losses.csv", "samples.json", "t.json")
        finetune(
            FinetuneFiles(Inputs(*inputs), Outputs(*(folder / name for name in outputs))),
            FinetuneRecipe(tokenizer, style, recipe.training, recipe.evaluation),
            Compute(device),
        )
        work = Workload(count, case.length, count * case.length)
        asked = finetune_needs(shape, recipe, work, device.type).mem_mb
        return [peak_memory(CPU), asked * 10**6]


_MAKE_WEIGHTS = """
import json, sys
from pathlib import Path
from safetensors.torch import save_file
from workflow.lib.model.weights import save_model
from workflow.lib.model.gpt import GPTConfig, GPTModel
config, rule, folder = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
model = GPTModel(GPTConfig(**config))
if rule == "generate":
    save_model(model, folder / "model.pth")
    (folder / "training.json").write_text(json.dumps({"model": config}))
else:
    state = model.state_dict()
    del state["out_head.weight"]
    save_file(state, folder / "model.safetensors", {"config": json.dumps(config)})
"""


def _tokenizer(vocab_size: int) -> tiktoken.Encoding:
    """Return a tokenizer with a token per byte, filled up to the vocabulary with unused tokens."""
    tokens = [bytes([number]) for number in range(256)]
    tokens += [f"token {number}".encode() for number in range(256, vocab_size - 1)]
    return tiktoken.Encoding(
        "bytes",
        pat_str=r"[\s\S]",
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={"<|endoftext|>": vocab_size - 1},
    )


if __name__ == "__main__":
    main()
