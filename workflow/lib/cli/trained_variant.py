"""A trained variant: the folder results/MODEL/RECIPE, and what to load from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiktoken
from pydantic import ValidationError

from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.record import read_model, read_training
from workflow.lib.model.weights import load_base_model, load_trained_model
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import AGAIN
from workflow.lib.settings.mistakes import in_words
from workflow.lib.settings.recipe import Training
from workflow.lib.tokens.prompt_style import PromptStyle, style_of
from workflow.lib.tokens.tokenizer import load_tokenizer


@dataclass(frozen=True)
class TrainedVariant:
    """A folder that holds a finetuned model.

    Args:
        folder: results/{model}/{recipe}.
        record: the content of its training.json.
        style: of its prompts.
    """

    folder: Path
    record: dict[str, Any]
    style: PromptStyle

    @property
    def training(self) -> Training:
        """The settings of its training.

        Raises:
            UserError: they are none of this version.
        """
        try:
            return Training.model_validate(self.record["training"])
        except ValidationError as error:
            raise UserError(
                f"{self.folder / 'training.json'}: training: {in_words(error.errors()[0])}; {AGAIN}"
            ) from error

    def load_tokenizer(self) -> tiktoken.Encoding:
        name = f"resources/tokenizers/{self.record['tokenizer']}/encoder.json"
        return load_tokenizer(self._file(name).parent)

    def load_model(self) -> GPTModel:
        """Load the finetuned model, on the CPU."""
        return load_trained_model(self.folder / "model.pth", self.folder / "training.json")

    def load_base(self) -> GPTModel:
        """Load the model before finetuning, on the CPU."""
        # Records of earlier versions do not name the file.
        earlier = f"resources/gpt2/{self.folder.parent.name}/model.safetensors"
        return load_base_model(self._file(self.record.get("weights", earlier)))

    def _file(self, name: str) -> Path:
        """Return the path of a file by its path in the working folder."""
        path = self.folder.parents[2] / name
        if not path.is_file():
            raise UserError(f"{path} is missing; run `snakemake {name}` to make it")
        return path


def open_variant(folder: Path) -> TrainedVariant:
    """Check that a folder holds a finetuned model and read what is recorded about it.

    Args:
        folder: results/{model}/{recipe} of this project or of another copy of it.

    Raises:
        UserError: a file is missing, or an earlier version of this pipeline made the folder.
    """
    folder = folder.resolve()
    for name in ("model.pth", "training.json"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} is not a finished variant: it has no {name}; name a folder "
                "results/MODEL/RECIPE, or make it with `snakemake results/MODEL/RECIPE/model.pth`"
            )
    path = folder / "training.json"
    record = read_training(path)
    if not {"model", "style", "tokenizer", "training"} <= set(record):
        raise UserError(
            f"{path} does not name the prompt style and the tokenizer, as "
            "this version's do; finetune again"
        )
    read_model(path)
    # A style without input is recorded with null.
    templates = {key: text for key, text in record["style"].items() if text is not None}
    try:
        style = style_of(templates, f"{path}: style")
    except UserError as error:
        raise UserError(f"{error}; {AGAIN}") from error
    return TrainedVariant(folder, record, style)
