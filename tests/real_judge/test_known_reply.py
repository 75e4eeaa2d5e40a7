"""The openai judge against a real server, with a model made on the spot that says 85, always."""

import csv
import json
from pathlib import Path

import pytest

from tests.support.transformers_server import serving
from workflow.lib.judge.backends.openai import OpenAI
from workflow.lib.judge.judge import judge_responses
from workflow.lib.judge.preflight import check_judge
from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import Transport

ENTRIES = [
    {"instruction": "Count.", "input": "", "output": "1", "model_response": f"`{n}` <|end|>"}
    for n in range(3)
]


def make_model(folder: Path) -> None:
    """A Llama that knows one thing to say: 85.

    Its only layer is silenced, so the last token alone decides on the next one.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    marks = ["<|user|>", "<|end|>", "<|assistant|>"]
    ids = {t: n for n, t in enumerate(marks + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytes_only = Tokenizer(models.BPE(vocab=ids, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|user|>{{ message['content'] if message['content'] is "
        "string else message['content'][0]['text'] }}<|end|>{% endfor %}<|assistant|>"
    )
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=320,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=ids["<|end|>"],
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight[:, : len(ids)] = torch.eye(len(ids))
        for token, following in (("<|assistant|>", "8"), ("8", "5"), ("5", "<|end|>")):
            model.lm_head.weight[ids[following], ids[token]] = 5.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_a_real_server_is_checked_asked_and_then_no_longer_needed(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    (tmp_path / "responses.json").write_text(json.dumps(ENTRIES), "utf-8")
    scores, usage = tmp_path / "scores.csv", tmp_path / "usage.json"

    def judge() -> None:
        names = {"model": "nano", "recipe": "book", "judge": "tiny"}
        answers = tmp_path / "answers.jsonl"
        judge_responses(tmp_path / "responses.json", settings, names, scores, answers, usage)

    with serving(tmp_path / "model") as server:
        settings = OpenAI(
            backend="openai",
            model=str(tmp_path / "model"),
            base_url=server.url,
            api_key_env=None,
            options={"temperature": 0, "seed": 123, "max_tokens": 8},
            transport=Transport(concurrency=2, first_timeout=60.0),
        )
        with pytest.raises(UserError, match=r"cannot tell a right answer \(85\) from a plainly"):
            check_judge(settings, "tiny", tmp_path / "check.json")
        lenient = settings.model_copy(update={"check": "warn"})
        check_judge(lenient, "tiny", tmp_path / "check.json")
        judge()
    with scores.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["score"], row["reply"]) for row in rows] == [("85", "85")] * 3
    used = json.loads(usage.read_text())
    assert used["answers"] == 3
    assert used["question_tokens"] > 600  # a token is a byte
    assert used["answer_tokens"] == 9
    before = scores.read_bytes()
    judge()
    assert scores.read_bytes() == before
