"""The second request where a reply cannot be read: for the score or the verdict alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import Reply, ReplyCache, request_key
from workflow.lib.judge.reply import read_reply
from workflow.lib.judge.runner import Request


def requests_again(
    backend: ServerBackend[Any], requests: Sequence[Request], cache: ReplyCache, digest: str | None
) -> dict[str, Request]:
    """Return the requests that go on with the conversation, by the key of the first request."""
    judge, found = backend.settings, {}
    for request in requests:
        reply = cache.get(request.key)
        if reply and (body := body_again(backend, request.body, reply)):
            key = request_key(judge.backend, judge.address, digest, body, request.repeat)
            found[request.key] = replace(request, body=body, key=key)
    return found


def body_again(
    backend: ServerBackend[Any], body: Mapping[str, Any], reply: Reply
) -> dict[str, Any] | None:
    """Return what to send after a reply that cannot be read; None if nothing is to be sent.

    A reply that was cut off is left as it is: another one would be as long.
    """
    if not backend.settings.ask_again or reply.cut or read_reply(backend, reply) is not None:
        return None
    turns = [
        {"role": "assistant", "content": reply.text},
        {"role": "user", "content": backend.prompt.again_text},
    ]
    return {**body, "messages": [*body["messages"], *turns], "format": None}
