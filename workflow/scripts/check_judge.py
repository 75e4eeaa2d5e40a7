"""Check that a judge can work, before anything expensive starts (section 7.8)."""

from pathlib import Path

from workflow.lib.judge.preflight import check_judge
from workflow.lib.runtime.log import rule_log
from workflow.lib.settings.load import load_settings

with rule_log(snakemake.log[0]):
    name = snakemake.wildcards.judge
    # The whole section, not the params alone: timeouts and retries rerun nothing, but are used.
    judge = load_settings(snakemake.config).judges[name]
    check_judge(judge, name, Path(snakemake.output[0]), Path(snakemake.params.passed))
