"""A response as it is being written: tokens one by one, text as soon as it is certain."""

import codecs
from collections.abc import Iterable, Iterator, Sequence

import tiktoken
import torch

from workflow.lib.generation.kv_cache import KeyValueCache
from workflow.lib.generation.sampling import Sampler
from workflow.lib.model.gpt import GPTModel
from workflow.lib.tokens.prompt_style import PromptStyle


@torch.inference_mode()
def stream_tokens(
    model: GPTModel, prompt: Sequence[int], max_new_tokens: int, end_of_text: int, sample: Sampler
) -> Iterator[int]:
    """Yield the tokens of `generate` for one prompt, each as soon as it is chosen.

    Args:
        model: on the device to compute on, in evaluation mode.
        prompt: token ids, at least one.
        max_new_tokens: most tokens to add.
        end_of_text: the token that ends a response; not yielded.
        sample: chooses the next token.
    """
    weight, context = model.tok_emb.weight, model.config.context_length
    text = list(prompt)
    capacity = min(context, len(text) + max_new_tokens)
    cache = KeyValueCache(model.config, 1, capacity, weight)
    for _ in range(max_new_tokens):
        if len(text) > context:  # the window slides, as in `generate`
            window = torch.tensor([text[-context:]], device=weight.device)
            states = model.hidden(window)[:, -1]
        elif len(cache):
            states = cache.extend(model, text[-1:])
        else:
            states = cache.add(model, [text])
        [token] = sample(model.out_head(states), [0])
        if token == end_of_text:
            return
        text.append(token)
        yield token


def stream_answer(
    tokens: Iterable[int], tokenizer: tiktoken.Encoding, style: PromptStyle
) -> Iterator[str]:
    """Yield the text of `style.answer` in pieces, none of which has to be taken back later.

    A token may end within a character, and a text that looks like the response header may become
    one. Both are held back until further tokens decide.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    header = style.response.format(output="").strip()
    written = shown = ""
    for token in tokens:
        written += decoder.decode(tokenizer.decode_single_token_bytes(token))
        answer = style.answer(_certain(written, header))
        yield answer[len(shown) :]
        shown = answer
    yield style.answer(written + decoder.decode(b"", final=True))[len(shown) :]


def _certain(written: str, header: str) -> str:
    """Return the text without an end that may be the beginning of a header."""
    ends = (n for n in range(min(len(header) - 1, len(written)), 0, -1))
    held = next((n for n in ends if written.endswith(header[:n])), 0)
    return written[: len(written) - held]
