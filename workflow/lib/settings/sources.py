"""Where data sets, tokenizers and checkpoints come from."""

from typing import Literal

from pydantic import Field, model_validator

from workflow.lib.section import Number, Section, Sha256


class Source(Section):
    """Where files come from."""

    url: str = Field(min_length=1, description="https or http address, or a local path")
    mirrors: list[str] = Field([], description="other addresses of the same files, tried in order")


class Split(Section):
    """Shares of a data set in file order (listing 7.3); validation gets what remains."""

    train: Number = Field(0.85, gt=0, lt=1, description="share of the entries to train on")
    test: Number = Field(0.10, gt=0, lt=1, description="share of the entries to test on")

    @model_validator(mode="after")
    def leaves_something_to_validate(self) -> "Split":
        if self.train + self.test >= 1:
            raise ValueError(f"train {self.train} + test {self.test} leaves no validation entries")
        return self


class Dataset(Source):
    """A list of entries with instruction, input and output (section 7.2)."""

    sha256: Sha256 | None = Field(None, description="expected digest of the file")
    split: Split = Split()


class Tokenizer(Source):
    """encoder.json and vocab.bpe of a byte-pair encoding, both under the url."""

    sha256: dict[Literal["encoder.json", "vocab.bpe"], Sha256] = Field({}, description="by file")


class Model(Source):
    """A TensorFlow checkpoint in OpenAI's layout of seven files, all under the url."""

    tokenizer: str = Field(description="name of an entry of tokenizers")
    sha256: dict[str, Sha256] = Field({}, description="expected digests by file name")
