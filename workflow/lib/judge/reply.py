"""What a reply says: a score, or a verdict on two responses, as the judge's prompt asks."""

from typing import Any

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply
from workflow.lib.judge.parse import read_score
from workflow.lib.judge.prompt import JudgePrompt
from workflow.lib.judge.verdict import read_verdict


def read_reply(backend: ServerBackend[Any], reply: Reply | None) -> float | str | None:
    """Return what a reply says: a score, or a verdict where the prompt asks for one.

    Returns:
        None if it cannot be read, there is no reply, or it was cut off.
    """
    if reply is None or reply.cut:
        return None
    prompt = backend.prompt
    if isinstance(prompt, JudgePrompt):
        return read_score(reply.text, prompt.scale.worst, prompt.scale.best)
    return read_verdict(reply.text)
