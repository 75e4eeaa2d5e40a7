"""Give the weights the chapter's file name (end of section 7.7)."""

from pathlib import Path

from workflow.lib.export.chapter_file import write_chapter_file
from workflow.lib.runtime.log import rule_log

with rule_log(snakemake.log[0]):
    write_chapter_file(Path(snakemake.input[0]), Path(snakemake.output[0]))
