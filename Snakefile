# Instruction-finetunes GPT-2 and measures the result. Read on in workflow/rules/, stage by stage;
# config.yaml says what to run.


include: "workflow/rules/home.smk"
include: "workflow/rules/snakemake.smk"
include: "workflow/rules/console.smk"


from copy import deepcopy

from snakemake.utils import update_config

from workflow.lib.runtime.errors import or_exit
from workflow.lib.settings.load import read_config_layer
from workflow.lib.settings.places import COMMAND_LINE, Layer

# In the order in which they are laid over each other.
LAYERS = [
    or_exit(read_config_layer, file)
    for file in (CONFIG_FILE, *workflow.config_settings.configfiles)
]


configfile: str(CONFIG_FILE)


# The settings that a `module` statement gives are laid over config.yaml, as a --configfile is.
if IS_MODULE:
    given, config = config, deepcopy(LAYERS[0].content)
    update_config(config, given)
    LAYERS = [LAYERS[0], Layer("config of the module", given)]
else:
    LAYERS.append(Layer(COMMAND_LINE, workflow.config_settings.config))


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/attempts.smk"
include: "workflow/rules/people.smk"
include: "workflow/rules/pairwise.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"


rule all:
    default_target: True
    input:
        f"{COMPARISON}/scores.csv",


onstart:
    Path(PASSED_CHECKS).unlink(missing_ok=True)


onsuccess:
    print_outcome()
