# Instruction-finetunes GPT-2 and measures the result. Read on in workflow/rules/, stage by stage;
# config.yaml says what to run.


include: "workflow/rules/home.smk"
include: "workflow/rules/console.smk"


from snakemake.utils import update_config

from workflow.lib.runtime.errors import or_exit
from workflow.lib.runtime.files import read_yaml
from workflow.lib.settings.load import check_config_file

for file in (CONFIG_FILE, *workflow.config_settings.configfiles):
    or_exit(check_config_file, file)


configfile: str(CONFIG_FILE)


# The settings that a `module` statement gives are laid over config.yaml, as a --configfile is.
if IS_MODULE:
    given, config = config, read_yaml(CONFIG_FILE)
    update_config(config, given)


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
