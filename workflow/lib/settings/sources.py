"""Where data sets, tokenizers and checkpoints come from, and what is taken of a data set."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from workflow.lib.settings.base import Count, Number, Section, Seed, Sha256

Format = Literal["json", "jsonl", "csv", "parquet"]
_FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
# What becomes of doubtful entries: named and kept, named and left out, or named and refused.
Action = Literal["report", "drop", "raise"]


def _can_be_fetched(place: str) -> str:
    if "://" in place and not place.lower().startswith(("https://", "http://")):
        raise ValueError(
            f"should be a local path, or begin with https:// or http://, not {place!r}"
        )
    return place


Place = Annotated[str, Field(min_length=1), AfterValidator(_can_be_fetched)]


class Source(Section):
    """Where files come from."""

    url: Place = Field(description="https or http address, or a local path")
    mirrors: list[Place] = Field(
        [], description="other addresses of the same files, tried in order"
    )


class File(Source):
    """Where one file comes from."""

    sha256: Sha256 | None = Field(None, description="expected digest of the file")


def _as_file(value: Any) -> Any:
    """An address alone stands for a file at it."""
    return {"url": value} if isinstance(value, str) else value


class Files(Section):
    """A data set that comes split: a file for each."""

    train: Annotated[File, BeforeValidator(_as_file)]
    val: Annotated[File, BeforeValidator(_as_file)]
    test: Annotated[File, BeforeValidator(_as_file)]


class Fields(Section):
    """What the file calls the three texts of an entry."""

    instruction: str = Field("instruction", min_length=1, description="what is asked")
    input: str | None = Field("input", min_length=1, description="on what; null: no entry has any")
    output: str = Field("output", min_length=1, description="the wanted answer")

    @model_validator(mode="after")
    def are_three_different_ones(self) -> "Fields":
        if len({self.instruction, self.input, self.output}) < 3:
            raise ValueError("instruction, input and output need a field of their own each")
        return self


class Split(Section):
    """Shares of a data set (listing 7.3); validation gets what remains."""

    train: Number = Field(0.85, gt=0, lt=1, description="share of the entries to train on")
    test: Number = Field(0.10, gt=0, lt=1, description="share of the entries to test on")
    shuffle: Seed | None = Field(
        None, description="seed of the order to split in; null: that of the file, as the chapter"
    )

    @model_validator(mode="after")
    def leaves_something_to_validate(self) -> "Split":
        if self.train + self.test >= 1:
            raise ValueError(f"train {self.train} + test {self.test} leaves no validation entries")
        return self


class Checks(Section):
    """What becomes of doubtful entries; each is named with its number in any case."""

    broken: Literal["drop", "raise"] = Field(
        "raise", description="lacks a text or has something else in its place, or asks nothing"
    )
    empty_output: Action = Field("report", description="the wanted answer is empty")
    end_of_text: Action = Field("report", description="has <|endoftext|> inside, which stays text")
    duplicates: Action = Field("report", description="all three texts the same; drop keeps one")
    conflicting_answers: Action = Field(
        "report", description="asked the same, answered differently; drop keeps the first"
    )
    leaks: Action = Field(
        "report",
        description="a test entry is asked in another split too; drop takes it out of the other",
    )


class Selection(Section):
    """What is taken of a data set's files, and how it is split."""

    fields: Fields = Fields()
    split: Split = Split()
    limit: Count | None = Field(
        None, description="most entries to take, of each file, the first of the order; null: all"
    )
    checks: Checks = Checks()


class Dataset(Selection):
    """Entries with instruction, input and output (section 7.2): one file, or one for each split."""

    url: Place | None = Field(None, description="address or path of the one file")
    mirrors: list[Place] = Field([], description="other addresses of it, tried in order")
    sha256: Sha256 | None = Field(None, description="expected digest of it")
    files: Files | None = Field(None, description="instead of url: train, val and test")
    format: Format | None = Field(None, description="null: as the address ends")
    near: Number = Field(
        95, ge=80, le=100, description="percent from which on quality.json calls entries alike"
    )

    @model_validator(mode="after")
    def has_its_files_once_and_readable(self) -> "Dataset":
        if (self.url is None) == (self.files is None):
            raise ValueError("needs either url, of one file, or files, with train, val and test")
        if self.files and (self.mirrors or self.sha256):
            raise ValueError("with files, mirrors and sha256 belong to each of them")
        if self.files and self.split != Split():
            raise ValueError("files are split already; take `split` or `files` away")
        for file in self.parts().values():
            if not (self.format or _format_of(file.url)):
                raise ValueError(
                    f"{file.url!r} does not end in {', '.join(_FORMATS)}; "
                    "say `format: json`, jsonl, csv or parquet"
                )
        return self

    def parts(self) -> dict[str, File]:
        """Its files: by split, or one under the empty name."""
        if self.files:
            return {name: getattr(self.files, name) for name in ("train", "val", "test")}
        return {"": File(url=self.url or "", mirrors=self.mirrors, sha256=self.sha256)}

    def raw(self, name: str) -> dict[str, str]:
        """Where its files are kept as they came, by their names in `parts`.

        Args:
            name: of the data set.
        """
        return {
            part: f"resources/datasets/{name}{part and '/' + part}"
            f".{self.format or _format_of(file.url)}"
            for part, file in self.parts().items()
        }


class Tokenizer(Source):
    """encoder.json and vocab.bpe of a byte-pair encoding, both under the url."""

    sha256: dict[Literal["encoder.json", "vocab.bpe"], Sha256] = Field({}, description="by file")


class Model(Source):
    """A TensorFlow checkpoint in OpenAI's layout of seven files, all under the url."""

    tokenizer: str = Field(description="name of an entry of tokenizers")
    sha256: dict[str, Sha256] = Field({}, description="expected digests by file name")


def _format_of(url: str) -> Format | None:
    """What the end of an address says, its query aside."""
    path = urlsplit(url).path if "://" in url else url
    return _FORMATS.get(PurePosixPath(path).suffix.lower())
