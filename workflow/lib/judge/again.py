"""The second request where a reply cannot be read: for the score or the verdict alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workflow.lib.judge.backend import ServerBackend
from workflow.lib.judge.cache import ReplyCache, request_key
from workflow.lib.judge.reply import read_reply
from workflow.lib.judge.runner import Request


def requests_again(
    backend: ServerBackend[Any], requests: Sequence[Request], cache: ReplyCache, digest: str | None
) -> dict[str, Request]:
    """Return the requests that go on with the conversation, by the key of the first request.

    A reply that was cut off is left as it is: another one would be as long.
    """
    judge, found = backend.settings, {}
    for request in requests if judge.ask_again else ():
        reply = cache.get(request.key)
        if reply is None or reply.cut or read_reply(backend, reply) is not None:
            continue
        turns = [
            {"role": "assistant", "content": reply.text},
            {"role": "user", "content": backend.prompt.again_text},
        ]
        messages = [*request.body["messages"], *turns]
        body = {**request.body, "messages": messages, "format": None}
        key = request_key(judge.backend, judge.address, digest, body, request.repeat)
        found[request.key] = replace(request, body=body, key=key)
    return found
