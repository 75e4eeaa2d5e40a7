"""Score the responses of one variant (listing 7.11)."""

from pathlib import Path

from workflow.lib.judge.judge import judge_responses
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.load import load_settings

with rule_log(snakemake.log[0]):
    scores = Path(snakemake.output.scores)
    judge_responses(
        Path(snakemake.input.responses),
        # The whole section, not the params alone: timeouts and retries rerun nothing, but are used.
        load_settings(snakemake.config).judges[snakemake.wildcards.judge],
        dict(snakemake.wildcards.items()),
        scores,
        cache=scores.with_name("answers.jsonl"),
        usage=Path(snakemake.output.usage),
    )
