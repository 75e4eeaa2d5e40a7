"""What a judge's answers depend on: the params that decide whether it must judge again."""

from typing import Any

from workflow.lib.judge.prompt import load_judge_prompt
from workflow.lib.settings.judges import Judge, Overlap


def judge_identity(judge: Judge) -> dict[str, Any]:
    """Everything in the settings of a judge that changes what its job makes.

    How the server is reached and which variable holds the key change nothing, and comments in the
    prompt's file do not either.

    Args:
        judge: an entry of `judges`.

    Returns:
        plain values, the templates of the judge's prompt and of its entries among them.

    Raises:
        UserError: the prompt is missing or broken.
    """
    identity = judge.model_dump(exclude={"transport", "pull", "api_key_env"})
    if not isinstance(judge, Overlap):
        prompt = load_judge_prompt(judge.prompt)
        identity["prompt"] = {**prompt.model_dump(), "entry": prompt.style.as_dict()}
    return identity
