"""Two probes of what a base model knows, which tell more about pretraining than its loss.

Recall: does the model complete a statement with the right answer? Binding: after a document named
three things and stated a fact about the first, does the model state one about the second?
"""

from random import Random

import torch
from tokenizers import Tokenizer

from workflow.lib.data.entries import END_OF_TEXT
from workflow.lib.model.gpt import GPTModel
from workflow.small_world.facts import capitalized, fill, remembered_facts, wordings


def recall(model: GPTModel, tokenizer: Tokenizer) -> float:
    """Return the share of remembered facts that the model completes with the right answer.

    Args:
        model: the base model.
        tokenizer: of the model, from `fast_tokenizer`.

    Returns:
        Between 0 and 1.
    """
    known = []
    for kind, facts in remembered_facts().items():
        # The first wording that ends in the answer, so that everything else can be given.
        template = next(
            text for text in wordings()[kind].statements if "value}" in text.split()[-1]
        )
        for fact in facts:
            text = END_OF_TEXT + fill(template, fact, Random(0))
            known.append(_predicts_rest(model, tokenizer, text, text.rindex(fact.value)))
    return sum(known) / len(known)


def binding(model: GPTModel, tokenizer: Tokenizer, documents: int = 300) -> float:
    """Return the share of documents in which the model states the fact about the second thing.

    Args:
        model: the base model.
        tokenizer: of the model.
        documents: number of documents to try.

    Returns:
        Between 0 and 1; 0.01 for a model that knows all facts but not which one comes next.
    """
    random = Random(0)
    bound = []
    for _ in range(documents):
        wording, facts = random.choice(
            [(wordings()[kind], facts) for kind, facts in remembered_facts().items()]
        )
        named = random.sample(facts, 3)
        header = f"{capitalized(wording.title)}: " + ", ".join(f"'{fact.key}'" for fact in named)
        # Both statements have the same wording, so only the thing differs.
        first, second = (fill(wording.statements[0], fact, Random(0)) for fact in named[:2])
        before = f"{END_OF_TEXT}{header}\n{first}\n"
        start = len(before) + _shared_start(first, second)
        bound.append(_predicts_rest(model, tokenizer, before + second, start))
    return sum(bound) / len(bound)


def _shared_start(first: str, second: str) -> int:
    """Return the length of the longest common prefix of two different texts."""
    pairs = enumerate(zip(first, second, strict=False))
    return next(place for place, (one, other) in pairs if one != other)


@torch.no_grad()
def _predicts_rest(model: GPTModel, tokenizer: Tokenizer, text: str, start: int) -> bool:
    """Return whether greedy decoding of the text before `start` writes the rest of it."""
    encoded = tokenizer.encode(text, add_special_tokens=False)
    token_ids = torch.tensor([encoded.ids])
    likeliest = model(token_ids[:, :-1]).argmax(-1)  # (1, T - 1)
    right = (likeliest == token_ids[:, 1:])[0].tolist()
    ends = [end for _, end in encoded.offsets[1:]]
    return all(hit for hit, end in zip(right, ends, strict=True) if end > start)
