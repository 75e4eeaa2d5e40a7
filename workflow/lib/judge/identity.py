"""The part of a judge's settings that its scores depend on, as params of its rules."""

from dataclasses import asdict
from typing import Any

from workflow.lib.judge.prompt import prompt_of
from workflow.lib.settings.judges import JudgeSettings, ServerJudge


def judge_identity(judge: JudgeSettings) -> dict[str, Any]:
    """Return everything in a judge's settings that its scores depend on.

    How the server is reached and which variable holds the key is left out, and so are comments in
    the file of the prompt.

    Args:
        judge: an entry of `judges`.

    Returns:
        plain values, with the templates of the judge's prompt and of the entries in it.

    Raises:
        UserError: the prompt is missing or broken.
    """
    identity = judge.model_dump(exclude=set(judge.changes_no_score))
    if isinstance(judge, ServerJudge):
        prompt = prompt_of(judge)
        identity["prompt"] = {**prompt.model_dump(), "entry": asdict(prompt.style)}
    return identity
