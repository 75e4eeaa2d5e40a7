"""The sources of data sets, tokenizers and models, and which entries of a data set are used."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from workflow.lib.runtime.files import local_path
from workflow.lib.runtime.names import shown
from workflow.lib.settings.base import Count, Number, Section, Seed, Sha256
from workflow.lib.settings.keys import key_of

Format = Literal["json", "jsonl", "csv", "parquet"]
_FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
# What is done with doubtful entries: list and keep them, list and drop them, or raise an error.
Action = Literal["report", "drop", "raise"]


def _path_or_http(place: str) -> str:
    if place.lower().startswith(("https://", "http://")):
        try:
            _ = urlsplit(place).port  # a port that is none is found when it is read
        except ValueError as error:
            raise ValueError(f"{shown(place)} is no valid address: {error}") from None
        return place
    if "://" in place:
        raise ValueError(
            f"should be a local path, or begin with https:// or http://, not {shown(place)}"
        )
    if "{" in place or "}" in place:
        raise ValueError(
            f"{shown(place)} contains a brace, which Snakemake reads as the beginning or end of a "
            "wildcard; rename the file or folder"
        )
    # The limits of common file systems.
    if len(place.encode()) > 4000 or any(len(p.encode()) > 255 for p in place.split("/")):
        raise ValueError("is longer than the path of a file can be")
    local_path(place)
    return place


Place = Annotated[str, Field(min_length=1), AfterValidator(_path_or_http)]


class Source(Section):
    """The address of files."""

    url: Place = Field(description="https or http address, or a local path")
    mirrors: list[Place] = Field(
        [], description="other addresses of the same files, tried in this order if url fails"
    )


class File(Source):
    """The address of one file."""

    sha256: Sha256 | None = Field(None, description="SHA-256 digest; any other file is refused")


def _as_file(value: Any) -> Any:
    """Turn an address alone into a file at that address."""
    return {"url": value} if isinstance(value, str) else value


FileOrAddress = Annotated[File, BeforeValidator(_as_file, json_schema_input_type=str | File)]


class Files(Section):
    """The three files of a data set that is already split."""

    train: FileOrAddress = Field(description="address of the training entries")
    val: FileOrAddress = Field(description="address of the validation entries")
    test: FileOrAddress = Field(description="address of the test entries")


class Fields(Section):
    """The names of the file's fields that hold the three texts of an entry, and its kind."""

    instruction: str = Field("instruction", min_length=1, description="field of the instruction")
    input: str | None = Field(
        "input", min_length=1, description="field of the input; null: entries have no input"
    )
    output: str = Field("output", min_length=1, description="field of the expected response")
    kind: str | None = Field(
        "kind",
        min_length=1,
        description="field by which the report groups scores, where there is one; null: none",
    )

    @model_validator(mode="after")
    def are_different(self) -> "Fields":
        if len({self.instruction, self.input, self.output}) < 3:
            raise ValueError("instruction, input and output should be three different fields")
        if self.kind != "kind" and self.kind in {self.instruction, self.input, self.output} - {
            None
        }:
            raise ValueError(f"kind needs a field of its own, not {shown(self.kind)}")
        return self


class Split(Section):
    """The shares of a data set (listing 7.3); validation gets what remains."""

    train: Number = Field(0.85, gt=0, lt=1, description="share of the training entries")
    test: Number = Field(0.10, gt=0, lt=1, description="share of the test entries")
    shuffle: Seed | None = Field(
        None, description="seed to shuffle by before splitting; null: file order"
    )

    @model_validator(mode="after")
    def leaves_something_to_validate(self) -> "Split":
        if self.train + self.test >= 1:
            raise ValueError(f"train {self.train} + test {self.test} leaves no validation entries")
        return self


class Checks(Section):
    """The action for each kind of doubtful entry; quality.json lists the entries by number."""

    broken: Literal["drop", "raise"] = Field(
        "raise", description="a text is missing or not text, or the instruction is empty"
    )
    empty_output: Action = Field("report", description="the expected response is empty")
    end_of_text: Action = Field(
        "report", description="a text contains <|endoftext|>, which is read as plain text"
    )
    duplicates: Action = Field(
        "report", description="all three texts are the same; drop keeps the first entry"
    )
    conflicting_answers: Action = Field(
        "report",
        description="same instruction and input, different output; drop keeps the first entry",
    )
    leaks: Action = Field(
        "report",
        description="a test entry's instruction and input are also in another split; "
        "drop removes them there",
    )


class Selection(Section):
    """How the entries of a data set's files are read, which are used, and how they are split."""

    format: Literal["json", "jsonl", "csv", "parquet", "messages"] | None = Field(
        None,
        description="format of the files, null: by suffix; or messages: conversations of one turn, "
        "in JSON, JSON lines or Parquet",
    )
    fields: Fields = Fields()
    split: Split = Split()
    limit: Count | None = Field(
        None, description="use only the first entries of each file, this many; null: all"
    )
    checks: Checks = Checks()


class Dataset(Selection):
    """Entries of instruction, input and output (section 7.2), in one file or in three."""

    url: Place | None = Field(None, description="https or http address, or a local path")
    mirrors: list[Place] = Field(
        [], description="other addresses of the same file, tried in this order if url fails"
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 digest; any other file is refused")
    files: Files | None = Field(
        None, description="files of a data set that is already split, instead of url"
    )
    near: Number = Field(
        95.0,
        ge=80,
        le=100,
        description="similarity in percent from which quality.json lists entries as near "
        "duplicates",
    )

    @model_validator(mode="after")
    def has_its_files_once_and_readable(self) -> "Dataset":
        if (self.url is None) == (self.files is None):
            raise ValueError("needs either url, of one file, or files, with train, val and test")
        if self.files and (self.mirrors or self.sha256):
            raise ValueError("with `files`, set mirrors and sha256 for each of them")
        if self.files and self.split != Split():
            raise ValueError("files are split already; remove `split` or `files`")
        if self.format == "messages" and self.fields.model_dump(
            exclude={"kind"}
        ) != Fields().model_dump(exclude={"kind"}):
            raise ValueError("fields: only `kind` can be set with `format: messages`")
        for file in self.parts().values():
            if self.format == "messages" and _format_of(file.url) == "csv":
                raise ValueError(f"{shown(file.url)} is CSV, which holds no lists of messages")
            if not self._stored_as(file):
                raise ValueError(
                    f"{shown(file.url)} does not end in {', '.join(_FORMATS)}; "
                    "set `format` to json, jsonl, csv or parquet"
                )
        return self

    def parts(self) -> dict[str, File]:
        """Return its files by split, or its one file under the empty name."""
        if self.files:
            return {name: getattr(self.files, name) for name in ("train", "val", "test")}
        return {"": File(url=self.url or "", mirrors=self.mirrors, sha256=self.sha256)}

    def raw(self, name: str, located: Callable[[str], str] = str) -> dict[str, str]:
        """Return where its downloaded files are kept, by their names in `parts`.

        Args:
            name: of the data set.
            located: finds a local path that may lie in the folder of the workflow.
        """
        kept = {}
        for part, file in self.parts().items():
            key = key_of([*map(located, (file.url, *file.mirrors))], sha256=file.sha256)
            kept[part] = (
                f"resources/datasets/{name}{part and '/' + part}-{key}.{self._stored_as(file)}"
            )
        return kept

    def _stored_as(self, file: File) -> Format | None:
        """Return the format of a file, None if it is not known; JSON tells JSON lines itself."""
        if self.format == "messages":
            return _format_of(file.url) or "json"
        return self.format or _format_of(file.url)


class Tokenizer(Source):
    """A byte-pair encoding: encoder.json, vocab.bpe or vocab.json, merges.txt, under the url."""

    sha256: dict[Literal["encoder.json", "vocab.bpe"], Sha256] = Field(
        {}, description="SHA-256 digests by file name"
    )


ModelFormat = Literal["tensorflow", "huggingface", "chapter", "variant"]


class Model(Source):
    """Pretrained weights: OpenAI's TensorFlow checkpoint, Hugging Face's GPT-2, or a .pth file."""

    format: ModelFormat | None = Field(
        None,
        description="tensorflow (OpenAI's seven files), huggingface (config.json and weights), "
        "chapter (a .pth file) or variant (a finished one of this pipeline); null: recognized",
    )
    n_heads: Count | None = Field(
        None, description="attention heads, with format chapter: a .pth file does not tell"
    )
    tokenizer: str = Field(description="name of a tokenizer in tokenizers")
    sha256: dict[str, Sha256] = Field({}, description="SHA-256 digests by file name")

    @model_validator(mode="after")
    def is_an_address_of_files(self) -> "Model":
        if "://huggingface.co/" in self.url and "/resolve/" not in self.url:
            raise ValueError(
                f"url: should be the address of the files, such as "
                f"https://huggingface.co/openai-community/gpt2/resolve/main, not {shown(self.url)}"
            )
        return self

    @property
    def variant(self) -> tuple[str, str] | None:
        """Model and recipe of the variant of the working folder that the url names, if it does."""
        named = re.match(r"(?:\./)?results/([^/]+)/([^/]+)(?:/|$)", self.url)
        return (named[1], named[2]) if named else None


def _format_of(url: str) -> Format | None:
    """Return the format that the ending of an address, without its query, stands for."""
    path = urlsplit(url).path if "://" in url else url
    return _FORMATS.get(PurePosixPath(path).suffix.lower())
