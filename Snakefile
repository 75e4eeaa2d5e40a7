# Instruction-finetunes GPT-2 and measures the result. Read on in workflow/rules/, stage by stage;
# what to run stands in config.yaml.

from workflow.lib.settings.load import check_config_file
from workflow.lib.runtime.errors import or_exit

or_exit(check_config_file, "config.yaml")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"


rule all:
    default_target: True
    input:
        "results/scores.csv",


onsuccess:
    print_outcome()
