"""What a base model knows: two probes that tell more about pretraining than its loss.

Recall: does a statement about one thing end in the right answer? Binding: after a document has
named three things and stated something about the first, does it go on to the second?
"""

from random import Random

import torch
from tokenizers import Tokenizer

from workflow.lib.model.gpt import GPTModel
from workflow.lib.tokens.tokenizer import END_OF_TEXT
from workflow.small_world.facts import capitalised, fill, remembered_facts, wordings


def recall(model: GPTModel, tokenizer: Tokenizer) -> float:
    """Share of the remembered facts that the model completes with the right answer.

    Args:
        model: the base model.
        tokenizer: of the model, as `fast_tokenizer` makes it.

    Returns:
        Between 0 and 1.
    """
    known = []
    for kind, facts in remembered_facts().items():
        # The first wording in which the answer comes last, so that all before it is given.
        template = next(
            text for text in wordings()[kind].statements if "value}" in text.split()[-1]
        )
        for fact in facts:
            text = END_OF_TEXT + fill(template, fact, Random(0))
            known.append(_foretells(model, tokenizer, text, text.rindex(fact.value)))
    return sum(known) / len(known)


def binding(model: GPTModel, tokenizer: Tokenizer, documents: int = 300) -> float:
    """Share of documents whose second statement is all about the second thing they named.

    Args:
        model: the base model.
        tokenizer: of the model.
        documents: how many to try.

    Returns:
        Between 0 and 1; a model that knows every fact but not which is asked about gets 0.01.
    """
    random = Random(0)
    bound = []
    for _ in range(documents):
        wording, facts = random.choice(
            [(wordings()[kind], facts) for kind, facts in remembered_facts().items()]
        )
        named = random.sample(facts, 3)
        header = f"{capitalised(wording.title)}: " + ", ".join(f"'{fact.key}'" for fact in named)
        # Both statements in one wording: the model only has to find what comes next.
        first, second = (fill(wording.statements[0], fact, Random(0)) for fact in named[:2])
        before = f"{END_OF_TEXT}{header}\n{first}\n"
        start = len(before) + _shared_start(first, second)
        bound.append(_foretells(model, tokenizer, before + second, start))
    return sum(bound) / len(bound)


def _shared_start(first: str, second: str) -> int:
    """How many characters two different texts have in common at their start."""
    pairs = enumerate(zip(first, second, strict=False))
    return next(place for place, (one, other) in pairs if one != other)


@torch.no_grad()
def _foretells(model: GPTModel, tokenizer: Tokenizer, text: str, start: int) -> bool:
    """Whether greedy decoding of what stands before `start` would write the rest of the text."""
    encoded = tokenizer.encode(text, add_special_tokens=False)
    token_ids = torch.tensor([encoded.ids])
    likeliest = model(token_ids[:, :-1]).argmax(-1)  # (1, T - 1)
    right = (likeliest == token_ids[:, 1:])[0].tolist()
    ends = [end for _, end in encoded.offsets[1:]]
    return all(hit for hit, end in zip(right, ends, strict=True) if end > start)
