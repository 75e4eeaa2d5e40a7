"""A finished variant as a folder in Hugging Face's layout.

The files follow transformers' GPT-2; transformers itself is not needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow.lib.export.card import model_card
from workflow.lib.export.chat_template import chat_template
from workflow.lib.export.tokenizer import write_tokenizer
from workflow.lib.export.weights import hf_config, hf_generation_config, hf_tensors, write_weights
from workflow.lib.model.weights import load_trained_model
from workflow.lib.runtime.files import replacing, write_json
from workflow.lib.runtime.log import log
from workflow.lib.settings.recipe import Generation
from workflow.lib.tokens.prompt_style import PromptStyle
from workflow.lib.tokens.tokenizer import load_tokenizer


@dataclass(frozen=True)
class ExportInputs:
    """The files that an export is made from.

    Args:
        model, training, losses: model.pth, training.json and losses.csv.
        tokenizer: folder of encoder.json and vocab.bpe.
        scores, wins: every scores.csv and wins.csv of the variant; may be empty.
    """

    model: Path
    training: Path
    losses: Path
    tokenizer: Path
    scores: Sequence[Path]
    wins: Sequence[Path]


def export_variant(
    inputs: ExportInputs,
    style: PromptStyle,
    generation: Generation,
    names: dict[str, str],
    folder: Path,
) -> None:
    """Write the weights, their settings, the tokenizer and a model card.

    Args:
        generation: default settings of generation.
        names: of model, recipe, dataset and prompt, for the card.
        folder: to write to; made if missing.

    Raises:
        UserError: the weights or the tokenizer's files are damaged.
    """
    model = load_trained_model(inputs.model, inputs.training)
    config = model.config
    end_of_text = load_tokenizer(inputs.tokenizer).eot_token
    write_json(folder / "config.json", hf_config(config, end_of_text))
    write_json(folder / "generation_config.json", hf_generation_config(generation, end_of_text))
    write_tokenizer(inputs.tokenizer, folder, config.context_length, chat_template(style))
    with replacing(folder / "README.md") as unfinished:
        card = model_card(
            names,
            style,
            training=inputs.training,
            losses=inputs.losses,
            scores=inputs.scores,
            wins=inputs.wins,
        )
        unfinished.write_text(card, "utf-8")
    write_weights(hf_tensors(model), folder / "model.safetensors")
    log.info("%s: %d parameters", folder, sum(p.numel() for p in model.parameters()))
