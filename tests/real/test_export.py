"""The exported tokenizer of the real GPT-2 gives this pipeline's ids, on real texts."""

import json

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from workflow.lib.export.chat_template import chat_template
from workflow.lib.export.tokenizer import write_tokenizer
from workflow.lib.tokens.prompt_style import load_style
from workflow.lib.tokens.tokenizer import load_tokenizer


def test_ids_of_the_chapters_data_set_in_every_style(real_data, tmp_path):
    tokenizer = load_tokenizer(real_data / "gpt2-tokenizer")
    style = load_style("alpaca")
    write_tokenizer(real_data / "gpt2-tokenizer", tmp_path, 1024, chat_template(style))
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == tokenizer.n_vocab == 50257
    assert theirs.eos_token_id == tokenizer.eot_token == 50256
    entries = json.loads((real_data / "instruction-data.json").read_text("utf-8"))
    for style in map(load_style, ("alpaca", "alpaca-ko", "phi3")):
        texts = [style.prompt(entry) + style.completion(entry) for entry in entries]
        ids = tokenizer.encode_ordinary_batch(texts)
        assert theirs(texts)["input_ids"] == ids
        assert [encoding.ids for encoding in alone.encode_batch(texts)] == ids
