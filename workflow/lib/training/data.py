"""The data of a finetuning: batches of both splits, and a sample entry."""

from dataclasses import dataclass

from workflow.lib.data.entries import Entry, read_entries
from workflow.lib.model.gpt import GPTConfig
from workflow.lib.runtime.errors import UserError
from workflow.lib.tokens.dataloader import drop_cut_before_response, make_dataloader, read_split
from workflow.lib.training.arguments import FinetuneRecipe, Inputs
from workflow.lib.training.train import Loaders


@dataclass(frozen=True)
class FinetuneData:
    """The batches of a finetuning and its sample entry.

    Args:
        loaders: batches of both splits.
        sample: the first validation entry, which is answered before and after each epoch.
        too_long: numbers of the entries that were longer than is kept, by split.
        unanswered: numbers of those left out because their response was cut off, by split.
    """

    loaders: Loaders
    sample: Entry
    too_long: dict[str, list[int]]
    unanswered: dict[str, list[int]]


def load_data(inputs: Inputs, recipe: FinetuneRecipe, config: GPTConfig) -> FinetuneData:
    """Read both splits and prepare their batches.

    Args:
        config: of the model, whose context limits the length of sequences.

    Raises:
        UserError: the tokenizer is not the model's, the training split does not fill a batch, or
            an entry is longer than is allowed.
    """
    tokenizer, training = recipe.tokenizer, recipe.training
    if tokenizer.n_vocab != config.vocab_size:
        raise UserError(
            f"tokenizer {tokenizer.name} has {tokenizer.n_vocab} tokens, the model "
            f"{config.vocab_size}; correct `tokenizer` of the model"
        )
    max_length = min(training.max_length, config.context_length)
    splits, too_long = {}, {}
    unanswered: dict[str, list[int]] = {"train": [], "val": []}
    for name, path in (("train", inputs.train), ("val", inputs.val)):
        splits[name], too_long[name] = read_split(path, max_length, training.too_long)
        if training.mask_prompt:
            splits[name], unanswered[name] = drop_cut_before_response(
                splits[name], path, max_length
            )
    if len(splits["train"].sequences) < training.batch_size:
        raise UserError(
            f"{inputs.train}: {len(splits['train'].sequences)} entries do not fill a batch of "
            f"{training.batch_size}; lower training.batch_size of the recipe"
        )
    end = tokenizer.eot_token
    loaders = Loaders(
        make_dataloader(splits["train"], end, training, max_length, shuffle=True),
        make_dataloader(splits["val"], end, training, max_length, shuffle=False),
    )
    return FinetuneData(loaders, read_entries(inputs.val_entries)[0], too_long, unanswered)
