"""Score the responses of one variant (listing 7.11)."""

from pathlib import Path

from workflow.lib.config import load_settings
from workflow.lib.judge.score import judge_responses
from workflow.lib.runlog import rule_log

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
