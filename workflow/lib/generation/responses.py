"""Responses to a test split, from files to files (listing 7.9)."""

from collections.abc import Sequence
from pathlib import Path

import tiktoken
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from workflow.lib.data.entries import read_entries
from workflow.lib.fast.cpu_kernels import speed_up
from workflow.lib.fast.cuda_graphs import has_graphs
from workflow.lib.generation.generate import generate
from workflow.lib.generation.record import write_generation
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.device import prepare_device
from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.weights import load_trained_model
from workflow.lib.parallel.world import SINGLE_PROCESS, World, join_world
from workflow.lib.runtime.files import write_json
from workflow.lib.runtime.log import log, progress_bar
from workflow.lib.runtime.processes import Worker
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer


def write_responses(
    model: GPTModel,
    entries: Path,
    tokenizer: tiktoken.Encoding,
    style: PromptStyle,
    settings: Generation,
    output: Path,
    world: World = SINGLE_PROCESS,
    graphs: bool = False,
) -> None:
    """Generate a response to every entry and write the entries with "model_response" added.

    Args:
        model: on the device to compute on.
        entries: JSON list of test entries.
        output: JSON file to write, in the order of the entries; beside it generation.json tells
            which responses have all the tokens they may have, so that they may lack their end.
        world: the processes that share the entries, each of which calls this; the leader writes.
        graphs: see `generate`.
    """
    loaded = read_entries(entries)
    prompts = [tokenizer.encode_ordinary(style.prompt(entry)) for entry in loaded]
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    own = world.shard(by_length)  # long and short ones for every rank
    sampler = Sampler(settings)

    def sample(logits: Tensor, rows: Sequence[int]) -> list[int]:
        world.heartbeat()
        return sampler(logits, [own[row] for row in rows])

    own_prompts, most = [prompts[number] for number in own], settings.max_new_tokens
    finished = generate(model, own_prompts, most, tokenizer.eot_token, sample, graphs)
    responses: dict[int, str] = {}
    cut_off: list[int] = []
    for row, tokens in progress_bar(finished, "responses", total=len(own)):
        responses[own[row]] = style.answer(tokenizer.decode(tokens))
        if len(tokens) == settings.max_new_tokens:
            cut_off.append(own[row])
    gathered = world.gather((responses, sampler.ties, cut_off))
    if not world.is_leader:
        return
    all_responses = {number: text for share, *_ in gathered for number, text in share.items()}
    ties = sorted(number for _, tied, _ in gathered for number in tied)
    all_cut_off = [number for *_, share in gathered for number in share]
    write_json(
        output,
        [{**entry, "model_response": all_responses[n]} for n, entry in enumerate(loaded)],
        recorded=True,
    )
    write_generation(output, settings.max_new_tokens, all_cut_off)
    log.info("%s: %d responses", output, len(loaded))
    if all_cut_off:
        log.info(
            "%d of them were cut off at %d tokens (generation.max_new_tokens)",
            len(all_cut_off),
            settings.max_new_tokens,
        )
    if ties:
        log.info(
            "%d of them had to choose between tokens that are equal up to rounding, and may go on "
            "differently on another machine: %s",
            len(ties),
            ", ".join(map(str, ties)),
        )


class ResponsesJob(BaseModel):
    """The work of rule `generate`, which can be passed to other processes as JSON.

    Args:
        model, training: a finetuned model and its training.json.
        entries: JSON list of test entries.
        tokenizer: folder of encoder.json and vocab.bpe.
        output: JSON file to write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    training: Path
    entries: Path
    tokenizer: Path
    output: Path
    style: PromptStyle
    generation: Generation
    computing: Computing

    def run(self, worker: Worker) -> None:
        """Do the part of one process."""
        device = prepare_device(self.computing, worker.local_rank, worker.local_world_size)
        world = join_world(worker, device)
        model = load_trained_model(self.model, self.training)
        if self.computing.fast:
            speed_up(model, device)
        write_responses(
            model.to(device),
            self.entries,
            load_tokenizer(self.tokenizer),
            self.style,
            self.generation,
            self.output,
            world,
            graphs=self.computing.fast and has_graphs(device),
        )
