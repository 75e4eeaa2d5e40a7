"""OpenAI's two tokenizer files in the formats of transformers and llama.cpp."""

import shutil
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.runtime.files import read_json, replacing, write_json

# GPT-2's own settings: text around the token keeps its white space.
_SPECIAL = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}


def write_tokenizer(source: Path, folder: Path, context_length: int, template: str) -> None:
    """Write vocab.json, merges.txt, tokenizer.json, tokenizer_config.json, special_tokens_map.json.

    Other programs read `<|endoftext|>` in a text as the token, which this pipeline does not; every
    other text has the same ids.

    Args:
        source: folder of encoder.json and vocab.bpe.
        folder: to write to; made if missing.
        context_length: of the model, in tokens.
        template: Jinja chat template.
    """
    for old, new in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        with replacing(folder / new) as unfinished:
            shutil.copyfile(source / old, unfinished)
    with replacing(folder / "tokenizer.json") as unfinished:
        text = _fast_tokenizer(source).to_str(pretty=True)
        unfinished.write_text(text + "\n", "utf-8")
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    special = dict.fromkeys(names, END_OF_TEXT)
    write_json(folder / "special_tokens_map.json", special)
    end_of_text = read_json(source / "encoder.json")[END_OF_TEXT]
    config: dict[str, Any] = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": context_length,
        **special,
        "added_tokens_decoder": {
            str(end_of_text): {"content": END_OF_TEXT, "special": True, **_SPECIAL}
        },
        "chat_template": template,
    }
    write_json(folder / "tokenizer_config.json", config)


def _fast_tokenizer(source: Path) -> Tokenizer:
    """Return byte-level BPE with GPT-2's splitting of text into words."""
    files = (str(source / "encoder.json"), str(source / "vocab.bpe"))
    tokenizer = Tokenizer(models.BPE.from_file(*files))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, **_SPECIAL)])
    return tokenizer
