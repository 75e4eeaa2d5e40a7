"""Compare the responses of one variant with those of a baseline."""

from pathlib import Path

from workflow.lib.judge.pairs import judge_pairs
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.load import load_settings

with rule_log(snakemake.log[0]):
    wins, baseline = Path(snakemake.output.wins), snakemake.input.get("baseline")
    judge_pairs(
        Path(snakemake.input.responses),
        Path(baseline) if baseline else None,
        # The whole section, not the params alone: timeouts and retries rerun nothing, but are used.
        load_settings(snakemake.config).judges[snakemake.wildcards.judge],
        dict(snakemake.wildcards.items()),
        snakemake.params.baseline,
        wins,
        cache=wins.with_name("answers.jsonl"),
        usage=Path(snakemake.output.usage),
    )
