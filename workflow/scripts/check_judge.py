"""See whether a judge can be asked, before anything expensive starts (section 7.8)."""

from pathlib import Path

from workflow.lib.config import load_settings
from workflow.lib.judge.check import check_judge
from workflow.lib.runlog import rule_log

with rule_log(snakemake.log[0]):
    name = snakemake.wildcards.judge
    # The whole section, not the params alone: timeouts and retries rerun nothing, but are used.
    judge = load_settings(snakemake.config).judges[name]
    check_judge(judge, name, Path(snakemake.output[0]))
